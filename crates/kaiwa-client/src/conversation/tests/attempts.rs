//! When another connection is tried, and when it is not.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::card::Pace;
use crate::endpoint::Endpoint;
use crate::link::LinkError;
use crate::testing::script;

#[tokio::test(start_paused = true)]
async fn it_gives_up_after_a_minute_of_attempts_further_and_further_apart() {
    let (conversation, _handle, _queue, mut server, switchboard) = connected_again().await;
    let attempts = Arc::clone(&switchboard.attempts);
    let server = script(async move {
        server.open().await;
        server.hear(500).await;
        drop(server);
        (Instant::now(), switchboard)
    });
    let moments = all(conversation).await;
    let (lost, _switchboard) = server.await.expect("the script");
    let away = lost.elapsed().as_millis();
    assert!((60_000..=61_100).contains(&away), "{away} ms");
    assert_eq!(
        reason(&moments).to_string(),
        "the connection was lost: the server went away without a word, and it could not be made \
         again within 60 s (cannot reach kaiwa.test:80: no route; check the address and the \
         network); check the network and start again"
    );
    assert!(matches!(reason(&moments), EndReason::ConnectionLost { .. }));
    let attempts = attempts.lock().expect("a lock");
    let mut before = lost;
    for (index, &at) in attempts.iter().enumerate() {
        let wait = (at - before).as_millis() as u64;
        let most = (250 << index).min(8000);
        assert!((most / 2..=most + 20).contains(&wait), "{index}: {wait} ms");
        before = at;
    }
    let told = connections(&moments);
    assert_eq!(told.len(), attempts.len() + 2, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_refused_meanwhile_ends_it_at_once() {
    let (conversation, _handle, _queue, mut server, switchboard) = connected_again().await;
    let server = script(async move {
        server.open().await;
        switchboard.refuse(LinkError::Unauthorized {
            status: 401,
            key_env: Some("OPENAI_API_KEY".to_owned()),
            had_key: true,
            message: "Revoked".to_owned(),
        });
        drop(server);
        switchboard
    });
    let moments = all(conversation).await;
    let switchboard = server.await.expect("the script");
    let EndReason::Rejected { message, code } = reason(&moments) else {
        panic!("{:?}", reason(&moments));
    };
    assert!(message.contains("set OPENAI_API_KEY"), "{message}");
    assert_eq!(code.as_deref(), Some("invalid_api_key"));
    assert_eq!(switchboard.attempts.lock().expect("a lock").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_refused_meanwhile_ends_it() {
    let (conversation, _handle, _queue, mut server, switchboard) = connected_again().await;
    let server = script(async move {
        server.open().await;
        let mut next = switchboard.answer().await;
        drop(server);
        let update = next.expect("session.update").await;
        next.refuse(&update, "invalid_value", "No such voice.")
            .await;
        assert!(next.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert!(matches!(reason(&moments), EndReason::Refused { .. }));
}

#[tokio::test(start_paused = true)]
async fn sessions_that_do_not_open_are_tried_again() {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    let server = script(async move {
        server.open().await;
        drop(server);
        // Overloaded, then silent, then gone during the opening.
        let mut busy = switchboard.answer().await;
        let update = busy.expect("session.update").await;
        let refusal = json!({"type": "error", "error": {"type": "server_error", "code": null,
            "message": "Overloaded.", "param": null, "event_id": update["event_id"]}});
        busy.send(refusal).await;
        let mut silent = switchboard.answer().await;
        silent.expect("session.update").await;
        pass(Duration::from_secs(21)).await;
        let gone = switchboard.answer().await;
        pass(Duration::from_secs(5)).await;
        script(gone.close(1013, "try later"));
        let mut next = switchboard.answer().await;
        next.open().await;
        handle.say("Hello").expect("is taken");
        next.asked().await;
        next.answer("r", "a", "Hi.", 100).await;
        handle.finish().expect("is taken");
        queue.end();
        assert!(next.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let told = connections(&moments);
    assert_eq!(&told[told.len() - 2..], ["connected", "0 ms lost"]);
    assert!(told.contains(&"attempt 4".to_owned()), "{told:?}");
}

#[tokio::test]
async fn a_server_that_comes_back_at_its_port_is_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let endpoint = Endpoint::new(format!("ws://{address}/v1"));
    let server = script(async move {
        let mut server = FakeServer::at(&listener).await;
        server.open().await;
        server.asked().await;
        server.answer("r", "a", "Hi.", 20).await;
        // Nobody listens for a while.
        drop((server, listener));
        let listener = TcpListener::bind(address).await.expect("the same port");
        let mut next = FakeServer::at(&listener).await;
        next.open().await;
        next.told(2).await
    });
    let link = Link::connect(&endpoint).await.expect("a link");
    let card = FileCard::builder().build().expect("a card");
    let config = ConversationConfig {
        reconnect: Some(Reconnect::to(endpoint)),
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    handle.say("Hello").expect("is taken");
    let reading = script(all(conversation));
    let told = server.await.expect("the script");
    reading.abort();
    assert_eq!(told, [turn("user", "Hello"), turn("assistant", "Hi.")]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drops_every_session_is_left_alone() {
    let (conversation, _handle, _queue, mut server, switchboard) = connected_again().await;
    let server = script(async move {
        let begun = Instant::now();
        for _ in 0..6 {
            server.open().await;
            server.hear(500).await;
            let next = switchboard.answer().await;
            script(std::mem::replace(&mut server, next).close(1011, "out of memory"));
        }
        (server.next().await, begun.elapsed())
    });
    let moments = all(conversation).await;
    let (more, elapsed) = server.await.expect("the script");
    assert_eq!(more, None);
    // The halves of 0.25, 0.5, 1, 2 and 4 s at least.
    assert!(elapsed > Duration::from_millis(3875), "{elapsed:?}");
    assert_eq!(
        reason(&moments),
        &EndReason::ConnectionLost {
            message: "the server closed the connection (code 1011: out of memory), as 5 times \
                      before within 10 s; wait a while and start again"
                .to_owned()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_never_ends_is_given_up_and_can_be_stopped() {
    for stops in [false, true] {
        let (link, mut server) = connected().await;
        let (_queue, mic) = Mic::queue();
        let card = FileCard::builder().mic(mic).build().expect("a card");
        let config = ConversationConfig {
            reconnect: Some(
                Reconnect::new(|| Box::pin(std::future::pending()))
                    .patience(Duration::from_secs(10)),
            ),
            ..ConversationConfig::default()
        };
        let (conversation, handle) = Conversation::start(link, card, config);
        let server = script(async move {
            server.open().await;
            server.hear(500).await;
            drop(server);
            let lost = Instant::now();
            pass(Duration::from_secs(2)).await;
            if stops {
                handle.stop();
            }
            (lost, handle)
        });
        let moments = all(conversation).await;
        let (lost, _handle) = server.await.expect("the script");
        let away = lost.elapsed().as_millis();
        if stops {
            assert_eq!(reason(&moments), &EndReason::Stopped);
            assert!(away <= 3100, "{away} ms");
        } else {
            assert!(matches!(reason(&moments), EndReason::ConnectionLost { .. }));
            assert!((10_000..=11_100).contains(&away), "{away} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_with_a_fast_recording_is_not_given_up() {
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(tone(10_000)))
        .pace(Pace::Fast)
        .build()
        .expect("a card");
    let (switchboard, reconnect) = Switchboard::new();
    let config = ConversationConfig {
        reconnect: Some(reconnect),
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.hear(2000).await;
        pass(Duration::from_secs(40)).await;
        server.hear(12_000).await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(connections(&moments), ["connected"]);
    drop(switchboard);
}
