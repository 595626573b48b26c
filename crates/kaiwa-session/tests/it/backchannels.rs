//! Sounds over the assistant's voice: not each of them is an interruption.

use kaiwa_session::SessionOptions;
use serde_json::json;

use crate::harness::{Harness, answer, test_options};

/// The assistant has begun a long answer, of which nine seconds are to be played.
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
        assert!(harness.sent("conversation.item.created").is_empty());
        // Whoever speaks then is heard.
        harness.transcripts.push_back(Ok("Stop."));
        assert!(yielded_after(&mut harness, 480).is_some(), "{heard:?}");
    }
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
    for sound_ms in [352, 2_000] {
        let mut harness = telling();
        harness.by_hand = true;
        let after = yielded_after(&mut harness, sound_ms).expect("a turn");
        assert!(after <= 96 + 300 + 32, "{after}");
        // Nobody waits for the words any more.
        assert_eq!(harness.cancelled.len(), 1);
    }
    let mut harness = telling();
    harness.transcripts.extend([Err("out of memory")]);
    assert!(yielded_after(&mut harness, 256).is_some());
}

#[test]
fn a_yes_at_the_end_of_an_answer_is_a_reply_to_it() {
    let mut harness = telling();
    harness.audio(9_000, false);
    harness.transcripts.extend([Ok("Yes."), Ok("Yes.")]);
    let after = yielded_after(&mut harness, 320).expect("a turn");
    assert!(after <= 96 + 32, "{after}");
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
