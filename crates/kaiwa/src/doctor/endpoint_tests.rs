use std::future::Future;

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use super::*;
use crate::doctor::finding::Verdict;

/// Nothing that answers takes so long.
const PATIENT: Limits = Limits {
    name: Duration::from_secs(60),
    connection: Duration::from_secs(60),
    handshake: Duration::from_secs(60),
    session: Duration::from_secs(60),
};

/// What is told of a server that does `serve` with each connection.
async fn told<F: Future<Output = ()> + Send>(
    limits: Limits,
    key: Option<&str>,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> Vec<Finding> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/v1", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        // Nothing is said on the first connection, which only shows that there is one.
        drop(listener.accept().await);
        while let Ok((socket, _)) = listener.accept().await {
            serve(socket).await;
        }
    });
    let mut endpoint = Endpoint::new(url);
    endpoint.key = key.map(str::to_owned);
    endpoint.key_env = Some("MY_KEY".to_owned());
    let findings = all_told(&endpoint, limits).await;
    server.abort();
    findings
}

async fn all_told(endpoint: &Endpoint, limits: Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tell = |finding| {
        findings.push(finding);
        Ok(())
    };
    reach(endpoint, limits, tell).await.expect("it is told");
    findings
}

/// The last of the findings, before which all was well.
#[track_caller]
fn last(findings: &[Finding]) -> &Finding {
    let (last, before) = findings.split_last().expect("findings");
    assert!(
        before.iter().all(|finding| finding.verdict == Verdict::Ok),
        "{findings:?}"
    );
    last
}

/// A server that refuses the upgrade.
async fn refusal(status: &'static str, body: &'static str) -> Vec<Finding> {
    told(PATIENT, Some("secret"), move |mut socket| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.expect("a request"));
        }
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        socket
            .write_all(answer.as_bytes())
            .await
            .expect("a client that reads");
    })
    .await
}

/// A server that upgrades, and then says so much.
async fn saying(frame: &'static str) -> Vec<Finding> {
    told(PATIENT, None, move |socket| async move {
        let mut socket = accept_async(socket).await.expect("a handshake");
        if !frame.is_empty() {
            let said = socket.send(Message::text(frame)).await;
            said.expect("a client that reads");
        } else {
            socket.close(None).await.expect("a client that reads");
        }
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await
}

#[tokio::test]
async fn refusals_are_told_apart() {
    for (status, about, words) in [
        ("401 Unauthorized", "key", "the key in MY_KEY (HTTP 401)"),
        ("403 Forbidden", "key", "the key in MY_KEY (HTTP 403)"),
        ("404 Not Found", "handshake", "no Realtime endpoint"),
        ("429 Too Many Requests", "handshake", "HTTP 429"),
        ("500 Internal Server Error", "handshake", "HTTP 500"),
        ("200 OK", "handshake", "not as a WebSocket"),
    ] {
        let findings = refusal(status, r#"{"error": {"message": "No."}}"#).await;
        let finding = last(&findings);
        assert_eq!(finding.verdict, Verdict::Problem, "{finding}");
        assert_eq!(finding.about, about, "{finding}");
        assert!(finding.message.contains(words), "{finding}");
        assert!(finding.advice.is_some(), "{finding}");
        assert!(!finding.to_string().contains("secret"), "{finding}");
    }
}

#[tokio::test]
async fn a_session_is_told_with_its_model_and_dialect() {
    let findings = saying(
        r#"{"type": "session.created", "event_id": "e", "session": {"type": "realtime", "id": "s", "model": "gpt-realtime"}}"#,
    )
    .await;
    let abouts: Vec<&str> = findings.iter().map(|finding| &*finding.about).collect();
    assert_eq!(
        abouts,
        ["name", "connection", "handshake", "session", "key"]
    );
    assert_eq!(last(&findings).message, "none is needed");
    assert!(
        findings[3]
            .message
            .starts_with("with gpt-realtime, in the "),
        "{}",
        findings[3]
    );
    let beta = saying(
        r#"{"type": "session.created", "event_id": "e", "session": {"id": "s", "object": "realtime.session", "model": "m", "modalities": ["text"], "input_audio_format": "pcm16"}}"#,
    )
    .await;
    last(&beta);
    assert_ne!(
        findings[3].message.replace("gpt-realtime", ""),
        beta[3].message.replace("with m", "with ")
    );
}

#[tokio::test]
async fn what_is_no_session_is_told_with_what_came_instead() {
    for (frame, about, words) in [
        (
            r#"{"type": "error", "event_id": "e", "error": {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Wrong key."}}"#,
            "key",
            "Wrong key.",
        ),
        (
            r#"{"type": "error", "event_id": "e", "error": {"type": "invalid_request_error", "code": "model_not_found", "message": "No such model."}}"#,
            "session",
            "No such model.",
        ),
        ("hello", "session", "no event"),
        ("", "session", "before there was a session"),
    ] {
        let findings = saying(frame).await;
        let finding = last(&findings);
        assert_eq!(
            (finding.verdict, &*finding.about),
            (Verdict::Problem, about),
            "{finding}"
        );
        assert!(finding.message.contains(words), "{finding}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_told_in_time() {
    let silent = |socket: TcpStream| async move {
        let mut socket = socket;
        // Until the client goes away.
        while socket.read_u8().await.is_ok() {}
    };
    let limits = Limits {
        handshake: Duration::from_millis(20),
        ..PATIENT
    };
    let findings = told(limits, None, silent).await;
    let finding = last(&findings);
    assert_eq!(
        (finding.verdict, &*finding.about),
        (Verdict::Problem, "handshake")
    );

    let upgrading = |socket: TcpStream| async move {
        let mut socket = accept_async(socket).await.expect("a handshake");
        while let Some(Ok(_)) = socket.next().await {}
    };
    let limits = Limits {
        session: Duration::from_millis(20),
        ..PATIENT
    };
    let findings = told(limits, None, upgrading).await;
    let finding = last(&findings);
    assert_eq!(
        (finding.verdict, &*finding.about),
        (Verdict::Problem, "session")
    );
}

#[tokio::test]
async fn an_address_is_judged_before_it_is_used() {
    let findings = all_told(&Endpoint::new("nonsense"), PATIENT).await;
    assert_eq!(last(&findings).about, "address");
    // The port of a server that has gone.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let findings = all_told(&Endpoint::new(url), PATIENT).await;
    let finding = last(&findings);
    assert_eq!(
        (finding.verdict, &*finding.about),
        (Verdict::Problem, "connection")
    );
}
