//! A relay: what passes it, and who.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use kaiwa_server::{Direction, Server, ServerConfig};
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

use common::{
    engines::Fakes,
    http::Ask,
    pass,
    relay::{KEY, REAL, World, request, usd},
    within,
};

/// What no two programs would write alike.
const FRAMES: [&str; 12] = [
    r#"{"type":"session.update","session":{"type":"realtime"}}"#,
    " { \"type\" :\t\"x\" ,\r\n \"a\":[1 , 2.50, 1e+2 ] } ",
    r#"{"type":"x","type":"y","a":1,"a":2}"#,
    r#"{"t\u0079pe":"x","text":"\u00e9é\/\ud83d\ude00"}"#,
    r#"{"type":"not.yet.known","new":{"nested":[null,true,{"type":"response.done"}]}}"#,
    r#"{"audio":"AAAA","type":"input_audio_buffer.append","event_id":"e"}"#,
    r#"{"type":"response.output_audio.delta","delta":"AAAA","response_id":"r"}"#,
    r#"{"type":"error","error":{"event_id":null}}"#,
    r#"{"type":5}"#,
    "[]",
    "no JSON at all é",
    "",
];

#[tokio::test(start_paused = true)]
async fn everything_passes_as_it_came_both_ways() {
    let mut world = World::new(|_| {});
    let (mut client, mut far) = world.open().await;
    let large = format!(r#"{{"audio":"{}","type":"x"}}"#, "A".repeat(1 << 20));
    let texts = FRAMES.into_iter().chain([large.as_str()]);
    let messages = texts
        .map(Message::text)
        .chain([Message::binary(vec![0, 255, 1]), Message::binary(vec![])]);
    for message in messages {
        let (sent, up) = tokio::join!(
            within(client.socket.send(message.clone())),
            within(far.socket.next())
        );
        sent.unwrap();
        assert_eq!(up.unwrap().unwrap(), message);
        let (sent, down) = tokio::join!(
            within(far.socket.send(message.clone())),
            within(client.socket.next())
        );
        sent.unwrap();
        assert_eq!(down.unwrap().unwrap(), message);
    }
}

#[tokio::test(start_paused = true)]
async fn the_upstream_gets_the_relays_key_and_never_the_clients() {
    let mut world = World::new(|_| {});
    let mut browser = request(KEY);
    browser.headers_mut().remove("authorization");
    let offered = format!("realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1");
    let headers = browser.headers_mut();
    headers.insert("sec-websocket-protocol", offered.parse().unwrap());
    headers.insert("cookie", "session=secret".parse().unwrap());
    let uri = format!("ws://relay/v1/realtime?a=b%20c&model=test-model&api-key={KEY}&model=other");
    *browser.uri_mut() = uri.parse().unwrap();
    let (_client, far, response) = world.open_with(browser).await;
    assert_eq!(response.headers()["sec-websocket-protocol"], "realtime");
    assert_eq!(far.uri, "/v1/realtime?a=b%20c&model=test-model");
    assert_eq!(
        far.headers["authorization"],
        format!("Bearer {REAL}").as_str()
    );
    assert_eq!(far.headers["openai-beta"], "realtime=v1");
    assert!(!far.headers.contains_key("sec-websocket-protocol"));
    assert!(!format!("{:?} {}", far.headers, far.uri).contains(KEY));
    assert!(!far.headers.contains_key("cookie"));
    let real = |value: &tokio_tungstenite::tungstenite::http::HeaderValue| {
        value.to_str().is_ok_and(|value| value.contains(REAL))
    };
    assert!(!response.headers().values().any(real));
}

#[tokio::test(start_paused = true)]
async fn a_key_goes_where_azure_looks_for_it() {
    let mut world = World::new(|config| {
        config.upstream.profile = kaiwa_client::Profile::Azure;
        config.upstream.url = "ws://upstream.test?api-version=2025".to_owned();
    });
    let (_client, far) = world.open().await;
    assert_eq!(
        far.uri,
        "/openai/realtime?api-version=2025&deployment=test-model"
    );
    assert_eq!(far.headers["api-key"], REAL);
    assert!(!far.headers.contains_key("authorization"));
}

#[tokio::test(start_paused = true)]
async fn who_has_no_key_is_not_let_in() {
    let world = World::new(|_| {});
    for key in ["", "sk-other", REAL] {
        let (status, _, answer) = world.refused(key, "?model=test-model").await;
        assert_eq!(status, 401, "{key}");
        assert!(!answer.contains(REAL), "{answer}");
    }
    // Somebody else's call, with the same upstream key.
    let (status, code, _) = world.refused(KEY, "?call_id=rtc_1").await;
    assert_eq!((status, code.as_str()), (404, "call_id_not_found"));
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_says_at_the_door_is_told_without_its_key() {
    let leak = format!(r#"{{"error":{{"message":"No {REAL} for x."}}}}"#);
    for (head, body, status, code) in [
        (
            "401 Unauthorized",
            leak.as_str(),
            502,
            "upstream_unauthorized",
        ),
        ("403 Forbidden", "", 502, "upstream_unauthorized"),
        (
            "429 Too Many Requests\r\nRetry-After: 7",
            "",
            429,
            "upstream_rate_limited",
        ),
        ("400 Bad Request", leak.as_str(), 502, "upstream_refused"),
        (
            "404 Not Found",
            r#"{"error":{"message":"No model x."}}"#,
            502,
            "upstream_refused",
        ),
        ("500 Oops", "<html>", 502, "upstream_refused"),
        ("", "", 502, "upstream_unreachable"),
    ] {
        let mut world = World::new(|_| {});
        let calls = &mut world.calls;
        let relay = world.relay.clone();
        let asking = World {
            relay,
            calls: tokio::sync::mpsc::unbounded_channel().1,
        };
        let (refused, ()) = tokio::join!(asking.refused(KEY, "?model=test-model"), async {
            let mut pipe = within(calls.recv()).await.unwrap();
            if head.is_empty() {
                return;
            }
            let length = body.len();
            let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{body}");
            pipe.write_all(answer.as_bytes()).await.unwrap();
        });
        let (found, found_code, answer) = refused;
        assert_eq!((found, found_code.as_str()), (status, code), "{head}");
        assert!(!answer.contains(REAL), "{answer}");
        assert_eq!(answer.contains("retry-after: 7"), status == 429, "{answer}");
        assert_eq!(answer.contains("No model x"), head.starts_with("404"));
        assert_eq!(world.relay.sessions(), 0, "the place is free again");
    }
}

#[tokio::test(start_paused = true)]
async fn who_ends_a_session_ends_both_halves_in_the_same_words() {
    let frame = |code: u16, reason: &str| CloseFrame {
        code: code.into(),
        reason: reason.into(),
    };
    let mut world = World::new(|_| {});
    let (mut client, mut far) = world.open().await;
    far.socket.close(Some(frame(4001, "enough"))).await.unwrap();
    assert_eq!(client.closed().await, Some(frame(4001, "enough")));

    let (mut client, mut far) = world.open().await;
    client.socket.close(Some(frame(4002, "bye"))).await.unwrap();
    assert_eq!(far.closed().await, Some(frame(4002, "bye")));

    let (mut client, mut far) = world.open().await;
    client.socket.close(None).await.unwrap();
    assert_eq!(far.closed().await, None, "a close without a code");

    let (client, mut far) = world.open().await;
    drop(client);
    assert_eq!(far.closed().await.unwrap().code, 1000_u16.into());

    let (mut client, far) = world.open().await;
    drop(far);
    assert_eq!(client.closed().await.unwrap().code, 1011_u16.into());

    let (mut client, mut far) = world.open().await;
    let stopping = tokio::spawn({
        let relay = world.relay.clone();
        async move { relay.stop().await }
    });
    assert_eq!(client.closed().await.unwrap().code, 1001_u16.into());
    assert_eq!(far.closed().await.unwrap().code, 1000_u16.into());
    drop((client, far));
    within(stopping).await.unwrap();
    assert_eq!(world.relay.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_big_ends_both_halves() {
    let small = |config: &mut kaiwa_server::RelayConfig| config.max_message_bytes = 1000;
    let big = Message::text("A".repeat(1001));
    let mut world = World::new(small);
    let (mut client, mut far) = world.open().await;
    within(client.socket.send(big.clone())).await.unwrap();
    let (of_client, of_far) = tokio::join!(client.closed(), far.closed());
    assert_eq!(of_client.unwrap().code, 1009_u16.into());
    assert_eq!(of_far.unwrap().code, 1009_u16.into());

    let (mut client, mut far) = world.open().await;
    within(far.socket.send(big)).await.unwrap();
    let (of_client, of_far) = tokio::join!(client.closed(), far.closed());
    assert_eq!(of_client.unwrap().code, 1009_u16.into());
    assert_eq!(of_far.unwrap().code, 1009_u16.into());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_says_nothing_and_answers_no_ping_is_given_up() {
    let mut world = World::new(|_| {});
    let (mut client, far) = world.open().await;
    let begun = Instant::now();
    let closed = timeout(Duration::from_secs(300), async {
        while let Some(Ok(message)) = client.socket.next().await {
            if let Message::Close(frame) = message {
                return frame;
            }
        }
        None
    });
    assert_eq!(closed.await.unwrap().unwrap().code, 1011_u16.into());
    // 15 s of silence, then 30 s for the answer to a ping.
    assert_eq!(begun.elapsed().as_secs(), 45);
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn a_silent_session_goes_on_as_long_as_pings_are_answered() {
    let mut world = World::new(|_| {});
    let (mut client, mut far) = world.open().await;
    let listening = timeout(Duration::from_secs(300), async {
        tokio::join!(client.socket.next(), far.socket.next())
    });
    // Pings are all that comes, and each is answered by whoever looks for what comes next.
    assert!(matches!(
        listening.await.unwrap(),
        (Some(Ok(Message::Ping(_))), Some(Ok(Message::Ping(_))))
    ));
    let going_on = timeout(Duration::from_secs(300), async {
        let of_client =
            async { while let Some(Ok(Message::Ping(_))) = client.socket.next().await {} };
        let of_far = async { while let Some(Ok(Message::Ping(_))) = far.socket.next().await {} };
        tokio::join!(of_client, of_far)
    });
    assert!(going_on.await.is_err(), "it ended");
    assert_eq!(world.relay.sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_read_holds_the_other_back() {
    const MESSAGES: usize = 60;
    let mut world = World::new(|_| {});
    let (mut client, mut far) = world.open().await;
    let text = "A".repeat(100 << 10);
    let sent = Mutex::new(0);
    {
        let sending = async {
            for _ in 0..MESSAGES {
                client
                    .socket
                    .send(Message::text(text.as_str()))
                    .await
                    .unwrap();
                *sent.lock().unwrap() += 1;
            }
            client.socket.flush().await.unwrap();
        };
        tokio::pin!(sending);
        tokio::select! {
            () = &mut sending => panic!("nobody has read, and all was taken"),
            () = pass(Duration::from_secs(1)) => {}
        }
        let held_back_at = *sent.lock().unwrap();
        assert!(held_back_at < MESSAGES / 2, "{held_back_at}");
        let reading = async {
            for _ in 0..MESSAGES {
                let message = within(far.socket.next()).await.unwrap().unwrap();
                assert_eq!(message.to_text().unwrap().len(), text.len());
            }
        };
        tokio::join!(sending, reading);
    }
    assert_eq!(*sent.lock().unwrap(), MESSAGES);
}

#[tokio::test(start_paused = true)]
async fn an_ephemeral_key_opens_what_is_bound_to_it_until_it_expires() {
    let mut world = World::with_key(|key| key.models = vec!["test-model".to_owned()]);
    let ask = |body| {
        let pipe = world.relay.connect_in_process();
        Ask::post("/v1/realtime/client_secrets")
            .key(KEY)
            .json(&body)
            .send_over(pipe)
    };
    let refused = ask(json!({ "session": { "type": "realtime", "model": "other" } })).await;
    assert_eq!(refused.refusal(), (403, "model_not_allowed".to_owned()));
    let issued = ask(json!({
        "expires_after": { "anchor": "created_at", "seconds": 10 },
        "session": { "type": "realtime", "model": "test-model", "instructions": "Sing." },
    }))
    .await;
    assert_eq!(issued.status, 200);
    let issued = issued.json();
    assert_eq!(issued["session"]["instructions"], "Sing.");
    assert_eq!(issued["session"]["model"], "test-model");
    let secret = issued["value"].as_str().unwrap().to_owned();

    let mut with_secret = request(&secret);
    *with_secret.uri_mut() = "ws://relay/v1/realtime?model=other".parse().unwrap();
    let (client, mut far, _) = world.open_with(with_secret).await;
    assert_eq!(far.uri, "/v1/realtime?model=test-model");
    assert_eq!(
        far.headers["authorization"],
        format!("Bearer {REAL}").as_str()
    );
    let first = far.next().await;
    assert_eq!(first["type"], "session.update");
    assert_eq!(
        first["session"],
        json!({ "type": "realtime", "instructions": "Sing." })
    );
    drop((client, far));
    world.idle().await;

    let pipe = world.relay.connect_in_process();
    let ephemeral = Ask::post("/v1/realtime/client_secrets")
        .key(&secret)
        .json(&json!({}))
        .send_over(pipe)
        .await;
    assert_eq!(
        ephemeral.refusal(),
        (403, "insufficient_permissions".to_owned())
    );
    pass(Duration::from_secs(10)).await;
    let (status, code, _) = world.refused(&secret, "").await;
    assert_eq!((status, code.as_str()), (401, "invalid_api_key"));
}

#[tokio::test(start_paused = true)]
async fn whoever_records_hears_what_passed_and_what_the_relay_said() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let mut world = World::new(|config| {
        config.keys[0].requests_per_minute = Some(0);
        config.on_event = Some(Arc::new(move |_| {
            let ears = Arc::clone(&ears);
            Box::new(move |direction, frame: &str| {
                ears.lock().unwrap().push((direction, frame.to_owned()));
            })
        }));
    });
    let (mut client, mut far) = world.open().await;
    client.send(json!({ "type": "response.create" })).await;
    let refusal = client.next().await;
    client.send(json!({ "type": "x" })).await;
    far.next().await;
    far.send(json!({ "type": "y" })).await;
    client.next().await;
    drop((client, far));
    world.idle().await;
    let heard = heard.lock().unwrap();
    let expected = [
        (Direction::FromClient, json!({ "type": "response.create" })),
        (Direction::ToClient, refusal),
        (Direction::FromClient, json!({ "type": "x" })),
        (Direction::ToClient, json!({ "type": "y" })),
    ];
    let expected = expected.map(|(direction, event)| (direction, event.to_string()));
    assert_eq!(*heard, expected);
}

#[tokio::test(start_paused = true)]
async fn counts_are_there_for_everybody_and_other_routes_are_not() {
    let mut world = World::new(|_| {});
    let (mut client, mut far) = world.open().await;
    client.send(json!({ "type": "x" })).await;
    far.next().await;
    far.send(json!({ "type": "error", "error": {} })).await;
    far.begin("r").await;
    far.end("r", 3).await;
    client.wait_for("response.done").await;
    // It is counted after it was passed on; the next event is passed after that.
    client.send(json!({ "type": "y" })).await;
    far.next().await;
    let get = |path| Ask::get(path).send_over(world.relay.connect_in_process());
    let text = String::from_utf8(get("/metrics").await.body).unwrap();
    for line in [
        "kaiwa_relay_sessions 1",
        "kaiwa_relay_sessions_opened_total 1",
        "kaiwa_relay_events_total{direction=\"to_client\"} 3",
        "kaiwa_relay_errors_total 1",
        "kaiwa_relay_spent_usd{key=\"app\"} 0.03",
        "kaiwa_relay_unpriced{key=\"app\"} 0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} in\n{text}");
    }
    assert_eq!(get("/health").await.json()["sessions"], 1);
    let (status, code) = get("/v1/models").await.refusal();
    assert_eq!((status, code.as_str()), (404, "unknown_url"));
}

#[tokio::test]
async fn a_conversation_with_a_server_runs_through_a_relay() {
    let server = Server::new(Fakes::new().engines(), ServerConfig::default());
    let upstream = server.clone();
    let world = World::new(|config| {
        config.in_process = Some(Arc::new(move || upstream.connect_in_process()));
    });
    let pipe = world.relay.connect_in_process();
    let opened = tokio_tungstenite::client_async(request(KEY), pipe);
    let (socket, _) = within(opened).await.unwrap();
    let mut client = common::Client { socket }.created().await;
    let done = client.answer("Are you there?").await;
    assert_eq!(done["response"]["status"], "completed", "{done}");
    drop(client);
    world.idle().await;
    assert!(world.spent() > usd("0"));
}
