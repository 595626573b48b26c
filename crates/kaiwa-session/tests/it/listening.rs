//! The input buffer, turn detection and transcription.

use std::collections::BTreeSet;

use kaiwa_session::{EngineCommand, EngineEvent, Input, Output, SessionOptions, Timer};
use serde_json::{Value, json};

use crate::harness::{Harness, failed, transcript};

fn detection(members: Value) -> Value {
    let mut detection = json!({"type": "server_vad", "silence_duration_ms": 320});
    for (name, value) in members.as_object().into_iter().flatten() {
        detection[name] = value.clone();
    }
    json!({"type": "realtime", "audio": {"input": {"turn_detection": detection}}})
}

#[test]
fn a_turn_begins_with_its_prefix_and_ends_with_its_silence() {
    for (prefix, start) in [(0, 960), (100, 860), (300, 660), (5000, 0)] {
        let mut harness = Harness::updated(detection(json!({"prefix_padding_ms": prefix})));
        harness.audio(960, false);
        harness.audio(640, true);
        harness.audio(640, false);
        let started = harness.last("input_audio_buffer.speech_started");
        // The resampler's filter smears the edge of the speech by less than a frame.
        let found = started["audio_start_ms"].as_u64().expect("a number");
        assert!(
            found.abs_diff(start) <= 32,
            "{found} for a prefix of {prefix}"
        );
        let stopped = harness.last("input_audio_buffer.speech_stopped")["audio_end_ms"]
            .as_u64()
            .expect("a number");
        assert!(stopped.abs_diff(960 + 640 + 320) <= 32, "{stopped}");
        let ids: Vec<_> = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
        ]
        .map(|kind| &harness.last(kind)["item_id"])
        .into();
        assert_eq!(ids[0], ids[1]);
        assert_eq!(ids[1], ids[2]);
        assert_eq!(
            &harness.last("conversation.item.added")["item"]["id"],
            ids[0]
        );
    }
}

#[test]
fn the_audio_of_a_turn_is_kept_as_it_came() {
    let mut harness = Harness::new();
    harness.audio(640, false);
    harness.audio(640, true);
    harness.audio(640, false);
    let number = |kind: &str, member: &str| harness.last(kind)[member].as_u64().expect("a number");
    let ms = number("input_audio_buffer.speech_stopped", "audio_end_ms")
        - number("input_audio_buffer.speech_started", "audio_start_ms");
    let item = harness.last("input_audio_buffer.committed")["item_id"].clone();
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": item}));
    let content = &harness.last("conversation.item.retrieved")["item"]["content"][0];
    let bytes = content["audio"].as_str().expect("base64").len() as u64 / 4 * 3;
    assert_eq!(bytes, ms * 48);
}

#[test]
fn later_turns_are_told_in_time_of_the_whole_session() {
    let mut harness = Harness::new();
    for _ in 0..2 {
        harness.audio(640, true);
        harness.audio(1600, false);
    }
    let starts: Vec<_> = harness
        .sent("input_audio_buffer.speech_started")
        .iter()
        .map(|e| e["audio_start_ms"].as_u64().expect("a number"))
        .collect();
    assert_eq!(starts[0], 0);
    assert!(starts[1].abs_diff(2240 - 300) <= 32, "{starts:?}");
}

#[test]
fn a_click_is_no_turn() {
    let mut harness = Harness::new();
    harness.audio(320, false);
    harness.audio(32, true);
    harness.audio(640, false);
    assert!(harness.sent("input_audio_buffer.speech_started").is_empty());
}

#[test]
fn without_create_response_a_turn_ends_with_its_item() {
    let mut harness = Harness::updated(detection(json!({"create_response": false})));
    harness.audio(640, true);
    harness.audio(640, false);
    assert_eq!(
        harness.kinds(harness.events.len() - 5),
        [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done"
        ]
    );
}

#[test]
fn noise_that_is_no_speech_is_not_answered() {
    let mut harness = Harness::new();
    harness.transcripts.push_back(Ok("  "));
    harness.audio(640, true);
    harness.audio(640, false);
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "cancelled");
    assert_eq!(done["status_details"]["reason"], "turn_detected");
    assert_eq!(done["output"], json!([]));
    assert!(harness.sent("response.output_item.added").is_empty());
    // The next turn is answered as ever.
    harness.transcripts.push_back(Ok("hello"));
    harness.audio(640, true);
    harness.audio(640, false);
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn a_turn_that_cannot_be_transcribed_fails_the_answer_that_waits_for_it() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "transcription": {"model": "whisper-1"}}}}));
    harness.transcripts.push_back(Err("no weights"));
    harness.audio(640, true);
    harness.audio(640, false);
    let event = harness.last("conversation.item.input_audio_transcription.failed");
    assert_eq!(
        event["error"],
        json!({"type": "transcription_error", "code": "engine_broken", "message": "no weights"})
    );
    let done = &harness.last("response.done")["response"];
    assert_eq!(done["status"], "failed");
    assert_eq!(
        done["status_details"]["error"]["message"],
        "Transcription of the user's audio failed: no weights"
    );
    // It does not spoil the answers after it.
    harness.say("typed then");
    assert_eq!(
        harness.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn transcripts_are_told_only_when_asked_for() {
    let mut harness = Harness::new();
    harness.transcripts.push_back(Ok("hello"));
    harness.audio(640, true);
    harness.audio(640, false);
    assert!(
        harness
            .kinds(0)
            .iter()
            .all(|kind| !kind.contains("transcription"))
    );
    let item = harness.last("input_audio_buffer.committed")["item_id"].clone();
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": item}));
    let content = &harness.last("conversation.item.retrieved")["item"]["content"][0];
    assert_eq!(content["transcript"], Value::Null);
}

#[test]
fn tokens_of_a_transcript_are_told_when_included() {
    let mut harness = Harness::updated(json!({"type": "realtime",
        "include": ["item.input_audio_transcription.logprobs"],
        "audio": {"input": {"transcription": {"model": "whisper-1"}}}}));
    harness.transcripts.push_back(Ok("hi"));
    harness.audio(640, true);
    harness.audio(640, false);
    let event = harness.last("conversation.item.input_audio_transcription.completed");
    assert_eq!(
        event["logprobs"],
        json!([{"token": "hi", "logprob": -0.5, "bytes": [104, 105]}])
    );
    assert_eq!(event["usage"]["type"], "duration");
    // Tokens are known at the end: the text comes with them, in one piece.
    let deltas = harness.sent("conversation.item.input_audio_transcription.delta");
    assert_eq!(deltas.len(), 1);
    assert_eq!(deltas[0]["delta"], "hi");
    assert_eq!(deltas[0]["logprobs"], event["logprobs"]);
}

#[test]
fn a_transcript_without_pieces_is_one_piece() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "turn_detection": null, "transcription": {"model": "whisper-1"}}}}));
    harness.by_hand = true;
    harness.audio(320, true);
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    let from = harness.events.len();
    harness.engine(harness.job("transcribe"), transcript("hello"));
    assert_eq!(
        harness.kinds(from),
        [
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed"
        ]
    );
    assert_eq!(harness.events[from]["delta"], "hello");
}

#[test]
fn the_language_is_told_where_it_was_detected() {
    for (transcription, languages) in [
        (json!({"model": "whisper-1"}), json!([{"code": "en"}])),
        (json!({"model": "whisper-1", "language": "en"}), Value::Null),
        (
            json!({"model": "gpt-transcribe", "languages": ["en"]}),
            Value::Null,
        ),
        (
            json!({"model": "gpt-transcribe", "languages": ["en", "de"]}),
            json!([{"code": "en"}]),
        ),
    ] {
        let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
            "transcription": transcription}}}));
        harness.transcripts.push_back(Ok("hello"));
        harness.audio(640, true);
        harness.audio(640, false);
        let event = harness.last("conversation.item.input_audio_transcription.completed");
        assert_eq!(event["languages"], languages, "{transcription}");
    }
}

#[test]
fn a_transcriber_that_tells_speakers_apart_gives_a_segment() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "turn_detection": null, "transcription": {"model": "gpt-4o-transcribe-diarize"}}}}));
    harness.transcripts.push_back(Ok("hello there"));
    harness.transcripts.push_back(Ok(" "));
    for _ in 0..2 {
        harness.audio(960, true);
        harness.client(json!({"type": "input_audio_buffer.commit"}));
    }
    // One for the words, none for the noise.
    let segments = harness.sent("conversation.item.input_audio_transcription.segment");
    assert_eq!(segments.len(), 1);
    let segment = segments[0];
    assert_eq!(segment["text"], "hello there");
    assert_eq!(segment["speaker"], "A");
    assert_eq!(segment["start"], 0.0);
    assert_eq!(segment["end"], 0.96);
    assert!(
        segment["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("seg_"))
    );
}

#[test]
fn a_format_may_change_in_the_middle_of_a_turn() {
    let mut harness = Harness::new();
    harness.audio(640, true);
    harness.client(
        json!({"type": "session.update", "session": {"type": "realtime", "audio": {
        "input": {"format": {"type": "audio/pcmu"}}}}}),
    );
    // Half a second of silence, and what is left of a frame.
    let input = Input::Audio {
        event_id: None,
        bytes: &[0xFF; 8 * 512],
    };
    let outputs: Vec<_> = harness.session.handle(input, harness.now).collect();
    for output in outputs {
        if let Output::Run(job, EngineCommand::Detect { .. }) = output {
            harness.engine(job, EngineEvent::Voice { probability: 0.0 });
        }
    }
    let started = harness.last("input_audio_buffer.speech_started")["audio_start_ms"].clone();
    let stopped = harness.last("input_audio_buffer.speech_stopped")["audio_end_ms"]
        .as_u64()
        .expect("a number");
    assert_eq!(started, 0);
    assert!(stopped.abs_diff(640 + 320) <= 32, "{stopped}");
    let item = harness.last("input_audio_buffer.committed")["item_id"].clone();
    harness.client(json!({"type": "conversation.item.retrieve", "item_id": item}));
    let part = &harness.last("conversation.item.retrieved")["item"]["content"][0];
    let bytes = part["audio"].as_str().expect("base64").len() as u64 / 4 * 3;
    assert!(bytes.abs_diff(stopped * 8) <= 3, "{bytes} for {stopped} ms");
}

#[test]
fn the_transcriber_is_told_language_and_words() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "turn_detection": null, "transcription": {"model": "whisper-1", "language": "de",
            "prompt": "Names:", "keywords": ["Kaiwa", "Kyoto"]}}}}));
    harness.by_hand = true;
    harness.audio(320, true);
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    match &harness.jobs[0].1 {
        EngineCommand::Transcribe {
            audio,
            language,
            prompt,
            ..
        } => {
            assert_eq!(audio.len(), 320 * 16);
            assert_eq!(language.as_deref(), Some("de"));
            assert_eq!(prompt, "Names: Kaiwa, Kyoto");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_client_may_commit_while_turns_are_detected() {
    let mut harness = Harness::new();
    harness.transcripts.push_back(Ok("hello"));
    harness.audio(640, true);
    let started = harness.last("input_audio_buffer.speech_started")["item_id"].clone();
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    assert_eq!(
        harness.last("input_audio_buffer.committed")["item_id"],
        started
    );
    assert!(harness.sent("response.created").is_empty());
    harness.audio(640, false);
    assert!(harness.sent("input_audio_buffer.speech_stopped").is_empty());
}

#[test]
fn clearing_forgets_audio_and_turn_but_not_the_clock() {
    let mut harness = Harness::new();
    harness.audio(640, true);
    harness.client(json!({"type": "input_audio_buffer.clear"}));
    assert_eq!(harness.sent("input_audio_buffer.cleared").len(), 1);
    harness.client(json!({"type": "input_audio_buffer.commit", "event_id": "c"}));
    assert_eq!(
        harness.last("error")["error"]["code"],
        "input_audio_buffer_commit_empty"
    );
    harness.audio(640, true);
    let start = &harness.last("input_audio_buffer.speech_started")["audio_start_ms"];
    assert_eq!(start, 640);
}

#[test]
fn g711_is_heard_as_well() {
    let mut harness = Harness::updated(json!({"type": "realtime", "audio": {"input": {
        "format": {"type": "audio/pcmu"}, "turn_detection": null}}}));
    harness.by_hand = true;
    let input = Input::Audio {
        event_id: None,
        bytes: &[0xFF; 8 * 250],
    };
    assert_eq!(harness.session.handle(input, 0).count(), 0);
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    match &harness.jobs[0].1 {
        EngineCommand::Transcribe { audio, .. } => assert_eq!(audio.len(), 250 * 16),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_long_append_is_judged_in_portions() {
    let mut harness = Harness::new();
    let bytes = vec![0; 48 * 10_000];
    let input = Input::Audio {
        event_id: None,
        bytes: &bytes,
    };
    let given = harness.session.handle(input, 0).count();
    assert_eq!(given, 64);
}

#[test]
fn a_turn_without_end_ends_at_the_limit() {
    let mut harness = Harness::with(SessionOptions {
        max_buffer_ms: 2000,
        ..SessionOptions::default()
    });
    harness.audio(5000, true);
    assert_eq!(harness.sent("input_audio_buffer.committed").len(), 2);
}

#[test]
fn a_full_buffer_refuses_more_audio_and_says_so() {
    let mut harness = Harness::with(SessionOptions {
        max_buffer_ms: 1000,
        ..SessionOptions::default()
    });
    harness.client(
        json!({"type": "session.update", "session": {"type": "realtime",
        "audio": {"input": {"turn_detection": null}}}}),
    );
    harness.append(900, true);
    harness.append(200, true);
    let error = &harness.last("error")["error"];
    assert_eq!(error["code"], "input_audio_buffer_full");
    assert_eq!(error["event_id"], "append");
    harness.append(100, true);
    assert_eq!(harness.sent("error").len(), 1);
    harness.client(json!({"type": "input_audio_buffer.commit"}));
    harness.append(900, true);
    assert_eq!(harness.sent("error").len(), 1);
}

#[test]
fn a_broken_detector_ends_the_session() {
    let mut harness = Harness::new();
    harness.by_hand = true;
    let bytes = [0; 48 * 100];
    let input = Input::Audio {
        event_id: None,
        bytes: &bytes,
    };
    let job = harness
        .session
        .handle(input, 0)
        .find_map(|output| match output {
            Output::Run(job, _) => Some(job),
            _ => None,
        })
        .expect("frames are judged");
    harness.engine(job, failed("no network"));
    assert_eq!(harness.last("error")["error"]["type"], "server_error");
    assert_eq!(harness.closed.as_ref().map(|(code, _)| *code), Some(1011));
}

#[test]
fn a_silent_user_is_spoken_to() {
    let mut harness = Harness::updated(detection(json!({"idle_timeout_ms": 6000})));
    harness.say("hi");
    // "Okay." plays for 300 ms; only then the clock starts.
    assert_eq!(harness.session.next_timeout(), Some((6300, Timer::Idle)));
    harness.audio(6272, false);
    harness.forget();
    harness.wait(100);
    let mut record = harness.record();
    record.truncate(
        record
            .find("output_item.added")
            .expect("the model speaks up"),
    );
    insta::assert_snapshot!(record);
}

#[test]
fn speech_stops_the_idle_clock() {
    let mut harness = Harness::updated(detection(json!({"idle_timeout_ms": 6000})));
    harness.say("hi");
    harness.audio(160, true);
    assert_eq!(
        harness.session.next_timeout().map(|(_, timer)| timer),
        Some(Timer::Expiry)
    );
}

#[test]
fn a_turn_that_may_be_beginning_is_not_taken_for_silence() {
    let mut harness = Harness::updated(detection(json!({"idle_timeout_ms": 6000})));
    harness.say("hi");
    harness.audio(6208, false);
    // The deadline at 6300 ms passes between the first frame of speech and the third, which
    // makes it a turn.
    harness.audio(128, true);
    let started = harness.last("input_audio_buffer.speech_started");
    assert_eq!(started["audio_start_ms"], 6208 - 300);
    harness.wait(6000);
    assert!(
        harness
            .sent("input_audio_buffer.timeout_triggered")
            .is_empty()
    );
}

#[test]
fn late_judgements_of_audio_that_was_cleared_change_nothing() {
    let mut harness = Harness::new();
    let second = [0; 48 * 1000];
    let append = |harness: &mut Harness| {
        let input = Input::Audio {
            event_id: None,
            bytes: &second,
        };
        let jobs: BTreeSet<_> = harness
            .session
            .handle(input, 0)
            .filter_map(|output| match output {
                Output::Run(job, EngineCommand::Detect { .. }) => Some(job),
                _ => None,
            })
            .collect();
        assert_eq!(jobs.len(), 1, "all frames belong to one stream");
        jobs.into_iter().next().expect("there is one")
    };
    let old = append(&mut harness);
    harness.client(json!({"type": "input_audio_buffer.clear"}));
    let new = append(&mut harness);
    assert_ne!(old, new);
    for _ in 0..10 {
        harness.engine(old, EngineEvent::Voice { probability: 0.9 });
    }
    assert!(harness.sent("input_audio_buffer.speech_started").is_empty());
    for _ in 0..10 {
        harness.engine(new, EngineEvent::Voice { probability: 0.9 });
    }
    let start = &harness.last("input_audio_buffer.speech_started")["audio_start_ms"];
    assert_eq!(start, 1000);
}
