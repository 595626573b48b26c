mod retries;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::testing::{connected, script};

/// Answers one handshake with `answer`, and gives what was asked.
async fn refused(endpoint: &Endpoint, answer: &'static str) -> (LinkError, String) {
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let server = script(async move {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(far.read_u8().await.expect("a request"));
        }
        far.write_all(answer.as_bytes()).await.expect("a reader");
        String::from_utf8(request).expect("text")
    });
    let error = Link::over(near, endpoint).await.expect_err("a refusal");
    (error, server.await.expect("the script"))
}

#[tokio::test]
async fn refusals_are_told_with_what_to_do() {
    let endpoint = Endpoint {
        key: Some("sk-wrong".to_owned()),
        key_env: Some("OPENAI_API_KEY".to_owned()),
        model: Some("m".to_owned()),
        ..Endpoint::new("ws://kaiwa.test/v1")
    };
    for (answer, kind, message) in [
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 41\r\n\r\n{\"error\":{\"message\":\"Incorrect API key.\"}}",
            LinkErrorKind::Key,
            "the server refused the key in OPENAI_API_KEY (HTTP 401): Incorrect API key; set OPENAI_API_KEY to a valid key of this server",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            LinkErrorKind::Refused,
            "there is no Realtime endpoint at ws://kaiwa.test/v1/realtime?model=m (HTTP 404); check the path and the model's name",
        ),
        (
            "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 9\r\n\r\nslow down",
            LinkErrorKind::Refused,
            "the server takes no more sessions for this key (HTTP 429): slow down; wait, or check the plan and its limits",
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            LinkErrorKind::Refused,
            "the server refused the connection with HTTP 503",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n<html>hi</html>",
            LinkErrorKind::Unreachable,
            "ws://kaiwa.test/v1/realtime?model=m answered, but not as a WebSocket (HTTP 200); check the address, the port and ws:// or wss://",
        ),
    ] {
        let (error, request) = refused(&endpoint, answer).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.to_string(), message);
        assert!(
            request.contains("GET /v1/realtime?model=m HTTP/1.1"),
            "{request}"
        );
        assert!(
            request
                .to_lowercase()
                .contains("authorization: bearer sk-wrong"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn something_that_speaks_another_protocol_is_named() {
    let endpoint = Endpoint::new("ws://kaiwa.test/v1");
    let (error, _) = refused(&endpoint, "220 mail.example ESMTP\r\n\r\n").await;
    assert_eq!(error.kind(), LinkErrorKind::Unreachable);
    assert!(error.to_string().contains("not as a WebSocket"), "{error}");
}

#[tokio::test]
async fn azure_gets_its_own_header_and_headers_are_checked() {
    let mut endpoint = Endpoint {
        key: Some("secret".to_owned()),
        headers: vec![("X-Extra".to_owned(), "1".to_owned())],
        ..Endpoint::new("https://me.openai.azure.com/openai/v1")
    };
    let (_, request) = refused(&endpoint, "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n").await;
    let request = request.to_lowercase();
    assert!(request.contains("api-key: secret"), "{request}");
    assert!(request.contains("x-extra: 1"), "{request}");
    assert!(!request.contains("authorization"), "{request}");
    endpoint.headers = vec![("bad name".to_owned(), "1".to_owned())];
    let (io, _far) = tokio::io::duplex(64);
    let error = Link::over(io, &endpoint).await.expect_err("a bad header");
    assert!(matches!(error, LinkError::InvalidHeader { .. }), "{error}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let endpoint = Endpoint::new(format!("ws://{address}"));
    let error = Link::connect(&endpoint).await.expect_err("nobody");
    assert_eq!(error.kind(), LinkErrorKind::Unreachable);
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("cannot reach {address}: ")),
        "{message}"
    );
    assert!(
        message.ends_with("whether the server is running"),
        "{message}"
    );
}

#[tokio::test]
async fn a_server_without_tls_behind_wss_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = script(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .expect("a reader");
        // Read to the end, so that the answer is not lost to a reset.
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    });
    let endpoint = Endpoint::new(format!("wss://localhost:{}", address.port()));
    let error = Link::connect(&endpoint).await.expect_err("no TLS");
    server.await.expect("the script");
    assert!(matches!(error, LinkError::Tls { .. }), "{error}");
    assert!(error.to_string().contains("ws://"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_the_handshake_is_given_up() {
    let (near, _far) = tokio::io::duplex(1 << 16);
    let endpoint = Endpoint::new("ws://kaiwa.test/v1");
    let error = Link::over(near, &endpoint).await.expect_err("silence");
    assert_eq!(
        error.to_string(),
        "kaiwa.test did not answer within 20 s; check the address and the network"
    );
}

#[tokio::test(start_paused = true)]
async fn sending_never_waits_for_a_server_that_sends() {
    let (mut link, mut server) = connected().await;
    // Both sides have far more to say than the pipe holds, and each says all of it
    // before the other reads it.
    for _ in 0..500 {
        link.queue_audio(&[0; 960]).expect("is taken");
    }
    let server = script(async move {
        for _ in 0..500 {
            server
                .send(json!({"type": "rate_limits.updated", "rate_limits": []}))
                .await;
        }
        server.hear(500 * 20).await;
    });
    for _ in 0..500 {
        let incoming = link.recv().await.expect("an event");
        assert!(matches!(incoming, Incoming::Event(_)), "{incoming:?}");
    }
    link.flush().await.expect("is sent");
    server.await.expect("the script");
}

#[tokio::test(start_paused = true)]
async fn frames_of_sound_share_their_memory() {
    let (mut link, _server) = connected().await;
    link.queue_audio(&[0; 960]).expect("is taken");
    let memory = link.frame.as_ptr();
    for _ in 0..3 {
        link.queue_audio(&[1; 960]).expect("is taken");
        assert_eq!(link.frame.as_ptr(), memory);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_reading_is_noticed() {
    let (mut link, _server) = connected().await;
    let second = vec![0; 48_000];
    let outcome = (0..1000).try_for_each(|_| link.queue_audio(&second));
    let error = outcome.expect_err("the queue is bounded");
    assert!(matches!(error, LinkError::Backlog(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_and_the_close_is_told() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let endpoint = Endpoint::new("ws://kaiwa.test/v1");
    let (link, socket) = tokio::join!(
        Link::over(near, &endpoint),
        tokio_tungstenite::accept_async(far)
    );
    let (mut link, mut socket) = (link.expect("a link"), socket.expect("a handshake"));
    let server = script(async move {
        use futures_util::StreamExt;
        let ping = Message::Ping(Bytes::from_static(b"there?"));
        socket.send(ping).await.expect("a reader");
        let pong = socket.next().await.expect("a frame").expect("a pong");
        assert_eq!(pong, Message::Pong(Bytes::from_static(b"there?")));
        let frame = CloseFrame {
            code: 4000.into(),
            reason: "enough".into(),
        };
        socket.close(Some(frame)).await.expect("a reader");
        while socket.next().await.is_some() {}
    });
    let incoming = link.recv().await.expect("a close");
    let Incoming::Closed(closed) = incoming else {
        panic!("{incoming:?}");
    };
    assert_eq!(
        (closed.code, closed.reason.as_str()),
        (Some(4000), "enough")
    );
    assert!(matches!(link.recv().await, Ok(Incoming::Closed(_))));
    link.close(Duration::from_secs(1)).await;
    server.await.expect("the script");
}
