//! Sessions that end by the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::*;
use crate::testing::script;

/// So many seconds from now, in seconds since 1970.
fn in_seconds(seconds: u64) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a date");
    now.as_secs() + seconds
}

#[tokio::test(start_paused = true)]
async fn before_its_end_a_session_is_replaced_in_a_pause() {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    handle.say("Hello").expect("is taken");
    let begun = Instant::now();
    let server = script(async move {
        server.open_until(in_seconds(600)).await;
        server.asked().await;
        server.answer("r1", "a", "Hi.", 100).await;
        // Somebody speaks when the time has come.
        server.hear_for(295_000).await;
        server.hears_speech("u", 295_000).await;
        server.hear_for(20_000).await;
        let mut next = switchboard.answer().await;
        assert!(switchboard.attempts.lock().expect("a lock").is_empty());
        server.ends_turn("u", 314_000).await;
        server
            .send(
                json!({"type": "conversation.item.input_audio_transcription.completed",
                "item_id": "u", "content_index": 0, "transcript": "So, what next?",
                "usage": {"type": "duration", "seconds": 1}}),
            )
            .await;
        server.answer("r2", "b", "Nothing.", 1000).await;
        assert!(server.next().await.is_none(), "it is closed");
        let moved = begun.elapsed();
        next.open().await;
        let told = next.told(4).await;
        handle.finish().expect("is taken");
        queue.end();
        assert!(next.next().await.is_none());
        (told, moved)
    });
    let moments = all(conversation).await;
    let (told, moved) = server.await.expect("the script");
    let expected = [
        turn("user", "Hello"),
        turn("assistant", "Hi."),
        turn("user", "So, what next?"),
        turn("assistant", "Nothing."),
    ];
    assert_eq!(told, expected);
    assert!((316..318).contains(&moved.as_secs()), "{moved:?}");
    let expected = ["connected", "attempt 1", "connected", "0 ms lost"];
    assert_eq!(connections(&moments), expected);
}

#[tokio::test(start_paused = true)]
async fn while_another_session_cannot_be_had_the_first_one_goes_on() {
    let (mut conversation, handle, _queue, mut server, switchboard) = connected_again().await;
    let attempts = Arc::clone(&switchboard.attempts);
    let server = script(async move {
        server.open_until(in_seconds(600)).await;
        server.hear_for(400_000).await;
        handle.say("Hello").expect("is taken");
        server.asked().await;
        server.answer("r1", "a", "Hi.", 100).await;
        server.hear_for(1000).await;
        switchboard
    });
    let reading = script(async move {
        let mut moments = Vec::new();
        while let Some(moment) = conversation.next().await {
            assert!(!matches!(moment.event, Event::Ended { .. }));
            moments.push(moment);
        }
        moments
    });
    let _switchboard = server.await.expect("the script");
    reading.abort();
    let attempts = attempts.lock().expect("a lock").len();
    assert!(
        (3..=5).contains(&attempts),
        "every 30 s from 300 s on: {attempts}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_expired_is_replaced() {
    // Some servers say so before they close, and some only close.
    for says in [true, false] {
        let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
        handle.say("Hello").expect("is taken");
        let server = script(async move {
            server.open().await;
            server.asked().await;
            server.answer("r1", "a", "Hi.", 100).await;
            server.hear_for(1000).await;
            let mut next = switchboard.answer().await;
            let message = "Your session hit the maximum duration of 60 minutes.";
            if says {
                server
                    .send(
                        json!({"type": "error", "error": {"type": "invalid_request_error",
                        "code": "session_expired", "message": message}}),
                    )
                    .await;
            }
            script(server.close(1001, message));
            next.open().await;
            let told = next.told(2).await;
            handle.finish().expect("is taken");
            queue.end();
            assert!(next.next().await.is_none());
            told
        });
        let moments = all(conversation).await;
        let told = server.await.expect("the script");
        assert_eq!(told, [turn("user", "Hello"), turn("assistant", "Hi.")]);
        let expected = ["connected", "attempt 1", "connected", "0 ms lost"];
        assert_eq!(connections(&moments), expected);
        let errors = events(&moments)
            .into_iter()
            .filter(|event| matches!(event, Event::Error { .. }));
        assert_eq!(errors.count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn absurd_times_are_not_believed() {
    for expires_at in [0, 1, in_seconds(10), u64::MAX] {
        let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
        let server = script(async move {
            server.open_until(expires_at).await;
            server.hear_for(20_000).await;
            handle.finish().expect("is taken");
            queue.end();
            assert!(server.next().await.is_none());
            switchboard
        });
        let moments = all(conversation).await;
        let switchboard = server.await.expect("the script");
        assert!(switchboard.attempts.lock().expect("a lock").is_empty());
        assert_eq!(connections(&moments), ["connected"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_ends_by_hand_is_not_torn_by_another_session() {
    let (link, mut server) = connected().await;
    let (queue, mic) = Mic::queue();
    let card = FileCard::builder().mic(mic).build().expect("a card");
    let (switchboard, reconnect) = Switchboard::new();
    let config = ConversationConfig {
        reconnect: Some(reconnect),
        turn: Turn::None,
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    let server = script(async move {
        server.open_until(in_seconds(600)).await;
        server.hear_for(320_000).await;
        assert!(switchboard.attempts.lock().expect("a lock").is_empty());
        handle.stop();
        queue.end();
    });
    all(conversation).await;
    server.await.expect("the script");
}
