use serde_json::json;

use super::*;
use crate::card::{FileCard, Mic};
use crate::testing::{connected, script};

#[tokio::test(start_paused = true)]
async fn the_users_speech_stops_the_assistant_where_it_was_heard() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (link, mut server) = connected().await;
    let (queue, mic) = Mic::queue();
    let card = FileCard::builder()
        .mic(mic)
        .record(file.path())
        .build()
        .expect("a card");
    let (mut conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    handle.say("Tell me a story.").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server
            .speak("resp_1", "a", "Once upon a time there was", 4000)
            .await;
        let begun = server.heard.len() / 48;
        server.hear(begun + 1000).await;
        server
            .send(json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": begun + 500, "item_id": "u"}))
            .await;
        // Sound that was on its way.
        server.sound("resp_1", "a", 1000).await;
        server.sound("resp_1", "b", 1000).await;
        let truncate = server.expect("conversation.item.truncate").await;
        server.end_response("resp_1", "cancelled").await;
        server
            .send(json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": begun + 2000, "item_id": "u"}))
            .await;
        server.begin_response("resp_2").await;
        server.speak("resp_2", "c", "Yes?", 100).await;
        server.spoken("resp_2", "c", "Yes?").await;
        server.end_response("resp_2", "completed").await;
        assert!(server.next().await.is_none());
        truncate
    });
    let (started, heard) = {
        let started = until(&mut conversation, |event| match event {
            Event::AssistantSpeechStarted { ms, .. } => Some(*ms),
            _ => None,
        })
        .await;
        queue.push(&[0.5; 24_000]);
        let heard = until(&mut conversation, |event| match event {
            Event::Heard {
                item,
                ms,
                received_ms,
                text,
            } => Some((item.clone(), *ms, *received_ms, text.clone())),
            _ => None,
        })
        .await;
        (started, heard)
    };
    queue.end();
    handle.finish().expect("is taken");
    let moments = all(conversation).await;
    let truncate = server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);

    let (item, ms, received_ms, text) = heard;
    assert_eq!((item.as_str(), received_ms), ("a", 4000));
    assert_eq!(truncate["item_id"], "a");
    assert_eq!(truncate["content_index"], 0);
    assert_eq!(truncate["audio_end_ms"], ms);
    assert!((900..=1100).contains(&ms), "{ms} ms");
    assert_eq!(text, "Once");

    // The right channel holds exactly what the server was told, and then the next answer.
    let mut wav = hound_stereo(file.path());
    let right = wav.split_off(wav.len() / 2);
    let first = started as usize * 24;
    let end = first + ms as usize * 24;
    assert!(
        right[first..end].iter().all(|&x| x == 0.25),
        "all of it was heard"
    );
    let after: Vec<f32> = right[end..].iter().copied().filter(|&x| x != 0.0).collect();
    assert_eq!(after, [0.25; 2400], "only the next answer follows");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_played_is_not_truncated() {
    let (link, mut server) = connected().await;
    let (queue, mic) = Mic::queue();
    let card = FileCard::builder().mic(mic).build().expect("a card");
    let (conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    handle.say("Hello").expect("is taken");
    drop(handle);
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server.speak("resp_1", "a", "Hello.", 200).await;
        server.spoken("resp_1", "a", "Hello.").await;
        server.end_response("resp_1", "completed").await;
        server.hear_for(1000).await;
        server
            .send(json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 900, "item_id": "u"}))
            .await;
        server.hear_for(500).await;
        server
            .send(json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1600, "item_id": "u"}))
            .await;
        server.begin_response("resp_2").await;
        server.end_response("resp_2", "completed").await;
        drop(queue);
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_interrupted_before_it_is_there_is_cancelled_when_it_is() {
    let (mut conversation, handle, mut server) = started().await;
    handle.say("Hello").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        handle.interrupt().expect("is taken");
        // The interruption is on its way before the response is.
        tokio::task::yield_now().await;
        server.hear_for(100).await;
        server.begin_response("r1").await;
        let cancel = server.expect("response.cancel").await;
        assert_eq!(cancel["response_id"], "r1");
        server.end_response("r1", "cancelled").await;
        // The next one is wanted.
        handle.say("Are you there?").expect("is taken");
        handle.finish().expect("is taken");
        server.asked().await;
        server.answer("r2", "a", "Yes.", 100).await;
        assert!(server.next().await.is_none());
    });
    while conversation.next().await.is_some() {}
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn a_program_may_interrupt_without_a_turn_of_its_own() {
    let (mut conversation, handle, mut server) = started().await;
    handle.say("Hello").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server.speak("resp_1", "a", "Hello.", 2000).await;
        server.expect("response.cancel").await;
        server.expect("conversation.item.truncate").await;
        // It was over already.
        server.end_response("resp_1", "completed").await;
        server
            .send(json!({"type": "error", "error": {"type": "invalid_request_error",
                "code": "response_cancel_not_active", "message": "Cancellation failed", "param": null}}))
            .await;
        assert!(server.next().await.is_none());
    });
    until(&mut conversation, |event| {
        matches!(event, Event::AssistantSpeechStarted { .. }).then_some(())
    })
    .await;
    handle.interrupt().expect("is taken");
    handle.finish().expect("is taken");
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    assert!(
        !moments
            .iter()
            .any(|m| matches!(m.event, Event::Error { .. }))
    );
}

/// Both channels of a recording, the left before the right.
fn hound_stereo(path: &std::path::Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("a file");
    let samples: Vec<f32> = bytes[44..]
        .chunks_exact(2)
        .map(|pair| kaiwa_audio::pcm::from_i16(i16::from_le_bytes([pair[0], pair[1]])))
        .collect();
    let left = samples.iter().step_by(2);
    let right = samples.iter().skip(1).step_by(2);
    left.chain(right).copied().collect()
}
