//! Sounds over the assistant's voice: not each of them is an interruption.

use kaiwa_session::SessionOptions;
use serde_json::json;

use crate::harness::{Harness, answer, test_options};

/// The assistant has begun an answer of 8.1 s, of which 7.8 s are to be played.
fn telling() -> Harness {
    let mut harness = Harness::with(SessionOptions {
        ahead_ms: Some(160),
        ..test_options()
    });
    semantic(&mut harness, json!({"type": "semantic_vad"}));
    let story = [
        "Once upon a time ",
        "there was a ship ",
        "that sailed to ",
        "the end of ",
    ];
    let story: String = story.into_iter().chain(["all seas it knew."; 4]).collect();
    harness.answers.push_back(answer(&[story.leak()]));
    harness.say("tell me a story");
    harness.audio(320, false);
    harness
}

fn semantic(harness: &mut Harness, detection: serde_json::Value) {
    harness.client(
        json!({"type": "session.update", "session": {"type": "realtime",
        "audio": {"input": {"turn_detection": detection}}}}),
    );
}

fn begun(harness: &Harness) -> usize {
    harness.sent("input_audio_buffer.speech_started").len()
}

/// The ms of sound after which the turn was announced; `None` if it was not.
fn yielded_after(harness: &mut Harness, sound_ms: u64) -> Option<u64> {
    let from = harness.now;
    for (ms, loud) in [(sound_ms, true), (1_600, false)] {
        for _ in 0..ms / 32 {
            harness.audio(32, loud);
            if begun(harness) > 0 {
                return Some(harness.now - from);
            }
        }
    }
    None
}

#[test]
fn a_sound_of_agreement_leaves_the_answer_alone() {
    for (sound_ms, heard) in [
        (128, &["Mm."][..]),
        (256, &["Yeah."]),
        (320, &["Right."]),
        (256, &["Uh..."]),
        (480, &["Mm", "Mm-hm."]),
        (800, &["Yeah", "Yeah, yeah", "Yeah, yeah."]),
    ] {
        let mut harness = telling();
        harness
            .transcripts
            .extend(heard.iter().map(|text| Ok(*text)));
        assert_eq!(yielded_after(&mut harness, sound_ms), None, "{heard:?}");
        assert!(harness.transcripts.is_empty(), "{heard:?}");
        assert_eq!(harness.sent("conversation.item.added").len(), 2);
        // Whoever speaks then is heard.
        harness.transcripts.push_back(Ok("Stop."));
        assert!(yielded_after(&mut harness, 480).is_some(), "{heard:?}");
    }
}

#[test]
fn a_late_truncation_of_an_earlier_answer_does_not_silence_this_one() {
    let mut harness = telling();
    let first = harness.last("response.output_item.done")["item"]["id"].clone();
    let story = "And another ship that sailed to the end of all seas and did not come back.";
    harness.answers.push_back(answer(&[story]));
    harness.say("and then?");
    let truncate = |item: &serde_json::Value| {
        json!({"type": "conversation.item.truncate", "item_id": item,
        "content_index": 0, "audio_end_ms": 700})
    };
    harness.client(truncate(&first));
    harness.transcripts.push_back(Ok("Yeah."));
    assert_eq!(yielded_after(&mut harness, 256), None);
    // Without its voice, there is nothing to leave alone.
    let second = harness.last("response.output_item.done")["item"]["id"].clone();
    harness.client(truncate(&second));
    assert!(yielded_after(&mut harness, 256).is_some());
}

#[test]
fn a_cough_leaves_the_answer_alone() {
    let mut harness = telling();
    assert_eq!(yielded_after(&mut harness, 224), None);
}

#[test]
fn other_words_interrupt_as_soon_as_they_are_heard() {
    for (sound_ms, heard) in [(480, "Stop."), (256, "No."), (128, "Wait.")] {
        let mut harness = telling();
        harness.transcripts.push_back(Ok(heard));
        let after = yielded_after(&mut harness, sound_ms).expect("a turn");
        // A frame is held back by the resampler.
        assert!(after <= 256 + 32, "{heard}: {after}");
        let started = harness.last("input_audio_buffer.speech_started");
        let said = harness.now - after;
        // The turn holds the sound and what was before it, all the same.
        assert!(started["audio_start_ms"].as_u64().expect("a time") <= said - 200);
    }
}

#[test]
fn agreement_that_goes_on_is_an_interruption() {
    let mut harness = telling();
    harness.transcripts.extend([Ok("Yeah"), Ok("Yeah, but")]);
    let after = yielded_after(&mut harness, 2_000).expect("a turn");
    assert!((576..=640).contains(&after), "{after}");
    let mut harness = telling();
    harness.transcripts.extend([Ok("Yeah"); 8]);
    let after = yielded_after(&mut harness, 2_000).expect("a turn");
    assert!((1_200..=1_280).contains(&after), "{after}");
}

#[test]
fn what_nobody_can_tell_interrupts_within_300_ms_of_its_detection() {
    for (sound_ms, at_most) in [(2_000, 96 + 300), (352, 352 + 300), (128, 128 + 300)] {
        let mut harness = telling();
        harness.by_hand = true;
        let after = yielded_after(&mut harness, sound_ms).expect("a turn");
        assert!(after <= at_most + 32, "{after}");
        // Nobody waits for the words any more.
        assert_eq!(harness.cancelled.len(), 1);
    }
    let mut harness = telling();
    harness.transcripts.extend([Err("out of memory")]);
    assert!(yielded_after(&mut harness, 256).is_some());
}

#[test]
fn a_cough_is_waited_for_when_its_words_take_time() {
    let mut harness = telling();
    harness.by_hand = true;
    harness.audio(224, true);
    harness.audio(192, false);
    harness.work("transcribe");
    harness.audio(640, false);
    assert_eq!(begun(&harness), 0);
}

#[test]
fn a_yes_at_the_end_of_an_answer_is_a_reply_to_it() {
    // Of 7.8 s; what is left when the sound begins and when it is over.
    for (played, is_reply) in [(5_440, false), (6_560, true), (7_008, true)] {
        let mut harness = telling();
        harness.audio(played, false);
        harness.transcripts.extend([Ok("Yes."), Ok("Yes.")]);
        let yielded = yielded_after(&mut harness, 320).is_some();
        assert_eq!(yielded, is_reply, "{played}");
    }
}

#[test]
fn speech_after_the_voice_of_an_earlier_answer_counts_from_its_end() {
    // A first answer of 7.8 s more, and a second one that is made while it plays.
    let mut harness = telling();
    harness.answers.push_back(answer(&["And one more thing."]));
    harness.say("go on");
    harness.audio(7_008, false);
    harness.transcripts.extend([Ok("Yeah."), Ok("Yeah.")]);
    assert_eq!(yielded_after(&mut harness, 320), None);
}

#[test]
fn a_doubt_over_an_answer_in_the_making_leaves_it_going_on() {
    let mut harness = telling();
    harness.audio(7_808, false);
    harness.by_hand = true;
    harness
        .answers
        .push_back(answer(&["One two three four five. ", "Six seven."]));
    harness.say("count");
    harness.work("generate");
    harness.work("speak");
    harness.audio(224, true);
    let deltas = harness.sent("response.output_audio.delta").len();
    harness.work("speak");
    assert!(harness.sent("response.output_audio.delta").len() > deltas);
    assert_eq!(begun(&harness), 0);
    harness.audio(320, true);
    assert_eq!(begun(&harness), 1);
}

#[test]
fn a_sound_is_speech_when_the_answer_is_silenced_or_silence_is_to_decide() {
    let silenced = |harness: &Harness| {
        let item = harness.last("response.output_item.added")["item"]["id"].clone();
        json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0,
            "audio_end_ms": 300})
    };
    let to_decide = |detection: serde_json::Value| {
        json!({"type": "session.update", "session": {"type": "realtime",
            "audio": {"input": {"turn_detection": detection}}}})
    };
    let plain = to_decide(json!({"type": "server_vad"}));
    let uninterrupted = to_decide(json!({"type": "semantic_vad", "interrupt_response": false}));
    let create = json!({"type": "response.create"});
    for (event, is_speech) in [
        (silenced(&telling()), true),
        (plain, true),
        (uninterrupted, true),
        (create, false),
    ] {
        let mut harness = telling();
        harness.by_hand = true;
        harness.audio(192, true);
        assert_eq!(begun(&harness), 0);
        harness.client(event.clone());
        assert_eq!(begun(&harness), usize::from(is_speech), "{event}");
    }
}

#[test]
fn a_sound_of_a_client_that_falls_silent_is_an_interruption() {
    let mut harness = telling();
    harness.by_hand = true;
    harness.audio(192, true);
    harness.wait(1_400);
    assert_eq!(begun(&harness), 0);
    harness.wait(100);
    assert_eq!(begun(&harness), 1);
}

#[test]
fn there_is_no_doubt_where_nothing_is_played_or_silence_alone_decides() {
    let stop = |harness: &mut Harness, event: serde_json::Value| {
        harness.client(event);
        harness.transcripts.push_back(Ok("Yeah."));
        yielded_after(harness, 320).expect("a turn") <= 96 + 32
    };
    let mut harness = telling();
    let item = harness.last("response.output_item.added")["item"]["id"].clone();
    assert!(stop(
        &mut harness,
        json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0,
            "audio_end_ms": 300})
    ));
    assert!(stop(
        &mut telling(),
        json!({"type": "session.update", "session": {"type": "realtime",
            "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}})
    ));
}

#[test]
fn a_doubt_ends_with_the_audio_it_is_about() {
    let mut harness = telling();
    harness.by_hand = true;
    harness.audio(288, true);
    let asked = harness.job("transcribe");
    harness.client(json!({"type": "input_audio_buffer.clear"}));
    assert!(harness.cancelled.contains(&asked));
    harness.audio(640, false);
    assert_eq!(begun(&harness), 0);
}
