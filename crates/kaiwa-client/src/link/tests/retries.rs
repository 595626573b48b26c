//! Which refusals of a handshake are answered with another dialect.

use std::sync::{Arc, Mutex};

use kaiwa_protocol::RealtimeSession;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::*;
use crate::card::FileCard;
use crate::client::{Client, ClientError};
use crate::conversation::{Conversation, ConversationConfig, EndReason};

/// The words in which servers of the beta ask for its header.
const DEMAND: &str = "Missing required header: 'OpenAI-Beta: realtime=v1'.";

/// What a server says to a handshake.
#[derive(Clone, Copy)]
enum Answer {
    /// No, with a status and a body.
    Refuse(u16, &'static str),
    /// Yes.
    Upgrade,
    /// Yes, then an error event with this code and a close.
    UpgradeAndReject(&'static str),
}

/// A server on a port of its own that gives its answers one after another.
struct Server {
    endpoint: Endpoint,
    /// The heads of the handshakes so far, in lower case.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        script(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.expect("a client");
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(socket.read_u8().await.expect("a request"));
                }
                let request = String::from_utf8(request).expect("text");
                seen.lock().expect("a lock").push(request.to_lowercase());
                script(give(socket, request, answer));
            }
        });
        Self {
            endpoint: Endpoint {
                key: Some("sk-test".to_owned()),
                ..Endpoint::new(format!("ws://{address}/v1"))
            },
            requests,
        }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("a lock").clone()
    }
}

/// Answers a handshake and reads what the client says to that, to the end.
async fn give(mut socket: TcpStream, request: String, answer: Answer) {
    if let Answer::Refuse(status, body) = answer {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} No\r\ncontent-length: {length}\r\n\r\n");
        let whole = [head.as_bytes(), body.as_bytes()].concat();
        socket.write_all(&whole).await.expect("a reader");
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        return;
    }
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .expect("a key");
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    socket.write_all(head.as_bytes()).await.expect("a reader");
    let role = tokio_tungstenite::tungstenite::protocol::Role::Server;
    let mut socket = WebSocketStream::from_raw_socket(socket, role, None).await;
    if let Answer::UpgradeAndReject(code) = answer {
        let error = json!({"type": "error", "error": {"type": "invalid_request_error",
            "code": code, "message": DEMAND, "param": null}});
        let error = Message::Text(error.to_string().into());
        socket.send(error).await.expect("a reader");
        let frame = CloseFrame {
            code: 4000.into(),
            reason: "invalid_request_error".into(),
        };
        socket.close(Some(frame)).await.expect("a reader");
    }
    while let Some(Ok(_)) = futures_util::StreamExt::next(&mut socket).await {}
}

fn asks_for_beta(request: &str) -> bool {
    request.contains("\r\nopenai-beta: realtime=v1\r\n")
}

#[tokio::test]
async fn a_refusal_that_asks_for_the_beta_is_answered_with_it() {
    for (status, body) in [
        (
            400,
            r#"{"error":{"message":"Missing required header: 'OpenAI-Beta: realtime=v1'.","code":"missing_beta_header"}}"#,
        ),
        (403, "send openai-beta: realtime=v1"),
        (404, DEMAND),
        (426, DEMAND),
    ] {
        let server = Server::start(vec![Answer::Refuse(status, body), Answer::Upgrade]).await;
        let link = Link::connect(&server.endpoint).await;
        let link = link.unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(link.dialect(), Dialect::Beta, "{status}");
        let requests = server.requests();
        let asked: Vec<bool> = requests.iter().map(|head| asks_for_beta(head)).collect();
        assert_eq!(asked, [false, true], "{status}");
        for request in requests {
            assert!(request.contains("bearer sk-test"), "{request}");
        }
    }
}

#[tokio::test]
async fn a_refusal_for_another_reason_is_final() {
    for (status, body, kind) in [
        // A key that is wrong is not offered twice, whatever the server says besides.
        (401, DEMAND, LinkErrorKind::Key),
        (401, "", LinkErrorKind::Key),
        (403, "this key may not open sessions", LinkErrorKind::Key),
        (
            400,
            r#"{"error":{"message":"You must provide a model parameter"}}"#,
            LinkErrorKind::Refused,
        ),
        (404, "no such model", LinkErrorKind::Refused),
        (426, "", LinkErrorKind::Refused),
        (429, DEMAND, LinkErrorKind::Refused),
        (500, DEMAND, LinkErrorKind::Refused),
        (503, "", LinkErrorKind::Refused),
    ] {
        let server = Server::start(vec![Answer::Refuse(status, body), Answer::Upgrade]).await;
        let error = Link::connect(&server.endpoint).await;
        let error = error.expect_err("a refusal");
        assert_eq!(error.kind(), kind, "{status} {body}: {error}");
        assert_eq!(server.requests().len(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn a_profile_that_was_named_is_kept() {
    for profile in [Profile::Azure, Profile::Beta, Profile::OpenAi] {
        let mut server = Server::start(vec![Answer::Refuse(400, DEMAND), Answer::Upgrade]).await;
        server.endpoint.profile = profile;
        let error = Link::connect(&server.endpoint).await;
        assert!(matches!(error, Err(LinkError::Http { .. })), "{profile}");
        let requests = server.requests();
        assert_eq!(requests.len(), 1, "{profile}");
        assert_eq!(asks_for_beta(&requests[0]), profile == Profile::Beta);
    }
}

#[tokio::test]
async fn the_beta_is_tried_once() {
    let refusals = [(400, DEMAND), (403, DEMAND), (400, DEMAND)];
    let answers = refusals.map(|(status, body)| Answer::Refuse(status, body));
    let server = Server::start(answers.to_vec()).await;
    let error = Link::connect(&server.endpoint).await;
    let error = error.expect_err("two refusals");
    // The last answer is the one that counts.
    assert_eq!(error.kind(), LinkErrorKind::Key, "{error}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_rejection_after_the_upgrade_is_told_in_its_words_and_not_retried() {
    for code in ["missing_beta_header", "beta_api_shape_disabled"] {
        let answers = vec![Answer::UpgradeAndReject(code); 2];
        let server = Server::start(answers).await;
        let error = Client::open(&server.endpoint, RealtimeSession::default()).await;
        let error = error.expect_err("a rejection");
        assert!(matches!(error, ClientError::Rejected(_)), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!("the server refused the session: {DEMAND}")
        );
        assert_eq!(server.requests().len(), 1);

        let link = Link::connect(&server.endpoint).await.expect("a link");
        let card = FileCard::builder().build().expect("a card");
        let (conversation, _handle) =
            Conversation::start(link, card, ConversationConfig::default());
        assert_eq!(
            conversation.finished().await,
            EndReason::Rejected {
                message: DEMAND.to_owned(),
                code: Some(code.to_owned())
            }
        );
        assert_eq!(server.requests().len(), 2);
    }
}
