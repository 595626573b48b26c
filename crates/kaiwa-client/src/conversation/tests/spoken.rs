use serde_json::json;

use super::*;
use crate::card::{FileCard, Mic, Pace, Speaker};
use crate::testing::{FakeServer, connected, script};

/// The user speaks from 300 ms to 1000 ms, and the server notices 200 ms later.
fn speech() -> Clip {
    let mut clip = tone(1000);
    clip.samples[..300 * 24].fill(0.0);
    clip
}

async fn user_turn(server: &mut FakeServer) {
    server.hear(500).await;
    server
        .send(json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 100, "item_id": "u"}))
        .await;
    server.hear(1200).await;
    server
        .send(json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1200, "item_id": "u"}))
        .await;
    server
        .send(json!({"type": "input_audio_buffer.committed", "previous_item_id": null, "item_id": "u"}))
        .await;
}

async fn transcript(server: &mut FakeServer, text: &str) {
    let kind = "conversation.item.input_audio_transcription";
    server
        .send(json!({"type": format!("{kind}.delta"), "item_id": "u", "content_index": 0, "delta": text}))
        .await;
    server
        .send(
            json!({"type": format!("{kind}.completed"), "item_id": "u", "content_index": 0,
            "transcript": text, "usage": {"type": "duration", "seconds": 1}}),
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_spoken_turn_is_answered_recorded_and_measured() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(speech()))
        .record(file.path())
        .build()
        .expect("a card");
    let (conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    drop(handle);
    let server = script(async move {
        let update = server.open().await;
        let input = &update["session"]["audio"]["input"];
        assert_eq!(input["turn_detection"]["type"], "server_vad");
        assert_eq!(input["transcription"]["model"], "whisper-1");
        user_turn(&mut server).await;
        transcript(&mut server, "How are you?").await;
        // The server thinks for a while.
        server.hear(1500).await;
        server.begin_response("resp_1").await;
        server.speak("resp_1", "a", "I am well.", 500).await;
        server.spoken("resp_1", "a", "I am well.").await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
        server.heard
    });
    let moments = all(conversation).await;
    let heard = server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);

    // What the server heard is the recording, then silence.
    assert!(heard[..300 * 48].iter().all(|&byte| byte == 0));
    assert_eq!(heard[300 * 48..1000 * 48], [0x00, 0x40].repeat(700 * 24));
    assert!(heard[1000 * 48..].iter().all(|&byte| byte == 0));
    assert!(heard.len() >= 3000 * 48, "two seconds of silence follow");

    let latency = latency(&moments);
    assert_eq!(latency.item.as_deref(), Some("u"));
    assert_eq!(latency.response, "resp_1");
    assert_eq!(latency.turn_end_ms, 1000, "1200 less the server's 200");
    assert_eq!(latency.decided_ms, 1200);
    assert_eq!(latency.transcript_ms, Some(1200));
    assert_eq!(latency.response_ms, Some(1500));
    assert_eq!(latency.first_audio_ms, Some(1500));
    assert!((1500..=1520).contains(&latency.audible_ms), "{latency:?}");
    assert_eq!(latency.total_ms, latency.audible_ms - 1000);

    let wav = Clip::open(file.path()).expect("playable");
    let at = |ms: u64| wav.samples[ms as usize * 24];
    // The mean of a left channel at 0.5 and a right channel at 0.25.
    assert_eq!(
        (at(299), at(300), at(999), at(1000)),
        (0.0, 0.25, 0.25, 0.0)
    );
    let answer = latency.audible_ms;
    assert_eq!(
        (at(answer - 1), at(answer), at(answer + 499)),
        (0.0, 0.125, 0.125)
    );
    assert_eq!(at(answer + 500), 0.0);

    for expected in [
        Event::UserSpeechStarted {
            item: "u".to_owned(),
            ms: 100,
        },
        Event::UserSpeechStopped {
            item: "u".to_owned(),
            ms: 1200,
        },
        Event::UserTranscriptDone {
            item: "u".to_owned(),
            text: "How are you?".to_owned(),
            typed: false,
        },
        Event::AssistantSpeechStopped {
            item: "a".to_owned(),
            played_ms: 500,
        },
    ] {
        assert!(events(&moments).contains(&&expected), "{expected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_servers_silence_is_unknown_speech_ends_with_its_last_audible_sample() {
    // What is heard before the turn and after it is not of it: a turn too quiet to be audible
    // ends where the server says.
    for (loudness, end) in [(0.5, 1000), (0.001, 1200)] {
        let mut clip = speech();
        for sample in &mut clip.samples {
            *sample *= 2.0 * loudness;
        }
        clip.samples[..40 * 24].fill(0.5);
        clip.samples.resize(1300 * 24, 0.0);
        clip.samples.resize(1400 * 24, 0.5);
        let (link, mut server) = connected().await;
        let card = FileCard::builder()
            .mic(Mic::clip(clip))
            .build()
            .expect("a card");
        let config = ConversationConfig {
            turn: Turn::Semantic { eagerness: None },
            ..ConversationConfig::default()
        };
        let (conversation, handle) = Conversation::start(link, card, config);
        drop(handle);
        let server = script(async move {
            server.open().await;
            server.hear(500).await;
            server
                .send(json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 100, "item_id": "u"}))
                .await;
            server.hear(1400).await;
            server
                .send(json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1200, "item_id": "u"}))
                .await;
            server.begin_response("resp_1").await;
            server.speak("resp_1", "a", "I am well.", 100).await;
            server.spoken("resp_1", "a", "I am well.").await;
            server.end_response("resp_1", "completed").await;
            assert!(server.next().await.is_none());
        });
        let moments = all(conversation).await;
        server.await.expect("the script");
        let latency = latency(&moments);
        assert_eq!(latency.turn_end_ms, end);
        assert_eq!(latency.decided_ms, 1400);
        assert_eq!(latency.total_ms, latency.audible_ms - end);
    }
}

#[tokio::test(start_paused = true)]
async fn without_turn_detection_the_inputs_end_is_the_turns_end() {
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(tone(410)))
        .build()
        .expect("a card");
    let config = ConversationConfig {
        turn: Turn::None,
        transcription: None,
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    drop(handle);
    let server = script(async move {
        server.open().await;
        server.expect("input_audio_buffer.commit").await;
        assert_eq!(server.heard.len(), 420 * 48, "whole frames, and no more");
        server
            .send(json!({"type": "input_audio_buffer.committed", "previous_item_id": null, "item_id": "u"}))
            .await;
        server.expect("response.create").await;
        server.begin_response("resp_1").await;
        server.speak("resp_1", "a", "Yes.", 100).await;
        server.spoken("resp_1", "a", "Yes.").await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
        assert_eq!(server.heard.len(), 420 * 48);
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn fast_input_is_fed_without_time_passing() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(tone(20_000)))
        .record(file.path())
        .pace(Pace::Fast)
        .build()
        .expect("a card");
    let (conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    drop(handle);
    let server = script(async move {
        server.open().await;
        let begun = Instant::now();
        user_turn(&mut server).await;
        server.hear(22_000).await;
        assert_eq!(begun.elapsed().as_millis(), 0);
        transcript(&mut server, "Long.").await;
        server.begin_response("resp_1").await;
        server.speak("resp_1", "a", "Yes.", 1000).await;
        server.spoken("resp_1", "a", "Yes.").await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
        assert_eq!(server.heard.len(), 22_000 * 48, "the silence is bounded");
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    let wav = Clip::open(file.path()).expect("playable");
    assert!(wav.duration_ms() >= 23_000, "{}", wav.duration_ms());
}

#[tokio::test(start_paused = true)]
async fn half_a_sample_at_the_end_of_a_delta_is_kept() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .record(file.path())
        .build()
        .expect("a card");
    let (conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    handle.say("Hello").expect("is taken");
    drop(handle);
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("resp_1").await;
        let bytes = [0x00, 0x20].repeat(1000);
        for piece in bytes.chunks(333) {
            server.sound_bytes("resp_1", "a", piece).await;
        }
        server.spoken("resp_1", "a", "Hm.").await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
    });
    all(conversation).await;
    server.await.expect("the script");
    let wav = Clip::open(file.path()).expect("playable");
    let loud: Vec<f32> = wav.samples.into_iter().filter(|&x| x != 0.0).collect();
    assert_eq!(loud, [0.125; 1000]);
}

#[tokio::test(start_paused = true)]
async fn sound_that_runs_out_is_one_underrun() {
    let (conversation, mut server) = having_typed("Hello").await;
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server.speak("resp_1", "a", "Well,", 200).await;
        server.hear_for(1000).await;
        server.speak("resp_1", "a", " yes.", 200).await;
        server.spoken("resp_1", "a", "Well, yes.").await;
        server.end_response("resp_1", "completed").await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let underruns = moments
        .iter()
        .filter(|moment| matches!(moment.event, Event::PlaybackUnderrun { .. }));
    assert_eq!(underruns.count(), 1);
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

/// How loud the assistant was in each tick, while the user made a sound from 1.0 to 1.4 s.
async fn loudness(turn: Turn) -> Vec<f32> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (link, mut server) = connected().await;
    let mut sound = tone(1400);
    sound.samples[..1000 * 24].fill(0.0);
    let card = FileCard::builder()
        .mic(Mic::clip(sound))
        .speaker(Speaker::wav(file.path()).expect("a file"))
        .build()
        .expect("a card");
    let config = ConversationConfig {
        turn,
        ..ConversationConfig::default()
    };
    let (mut conversation, handle) = Conversation::start(link, card, config);
    handle.say("Hello").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server.speak("resp_1", "a", "A long answer", 4_000).await;
        assert!(server.next().await.is_none());
    });
    until(&mut conversation, |event| {
        matches!(event, Event::AssistantSpeechStarted { .. }).then_some(())
    })
    .await;
    pass(Duration::from_millis(3000)).await;
    handle.stop();
    all(conversation).await;
    server.await.expect("the script");
    let played = Clip::open(file.path()).expect("playable").samples;
    played.chunks_exact(480).map(|tick| tick[479]).collect()
}

#[tokio::test(start_paused = true)]
async fn the_assistant_is_lower_while_a_sound_over_it_is_weighed() {
    let plain = loudness(Turn::default()).await;
    let lowered = loudness(Turn::Semantic { eagerness: None }).await;
    assert!(
        plain[10..140].iter().all(|level| *level == 0.25),
        "{plain:?}"
    );
    for (tick, level) in lowered[10..140].iter().enumerate() {
        let expected = match (tick + 10) * 20 {
            1060..1600 => 0.0625,
            1600..1700 => continue,
            _ => 0.25,
        };
        assert!((level - expected).abs() < 1e-4, "{tick} {level} {expected}");
    }
}
