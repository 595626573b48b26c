//! Against servers that do what a good one would not.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect},
    routing::{any, post},
};
use kaiwa_tools::{Allowed, Error, Limits, MAX_ANSWER, MAX_TOOLS, Servers};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use common::{Running, begun, events, listing, result};

async fn listing_of(running: &Running) -> Result<usize, Error> {
    let tools = running.servers().list_tools(&running.server()).await?;
    Ok(tools.len())
}

#[tokio::test]
async fn a_server_that_is_not_allowed_hears_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp?key=secret", listener.local_addr().unwrap());
    let server = kaiwa_tools::Server::new(url);
    let servers = Servers::new(Allowed::default());
    let shown = server.url.trim_end_matches("?key=secret").to_owned();
    let refused = Error::NotAllowed { url: shown };
    assert_eq!(servers.list_tools(&server).await, Err(refused.clone()));
    assert_eq!(servers.call(&server, "look", "{}").await, Err(refused));
    let knocked = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(knocked.is_err(), "nobody is to connect");
}

#[tokio::test]
async fn nobody_at_the_url_is_told_with_the_reason() {
    let running = Running::answering(|_, _| panic!("nothing is to be sent")).await;
    let (servers, server) = (running.servers(), running.server());
    let url = running.url();
    running.stop().await;
    let error = servers.list_tools(&server).await.unwrap_err().to_string();
    let begin = format!("The MCP server {url} cannot be reached: Connection refused");
    assert!(error.starts_with(&begin), "{error}");
    assert!(
        error.ends_with(". See whether it runs, and whether its URL is right."),
        "{error}"
    );
}

#[tokio::test]
async fn the_status_of_a_refusal_is_told() {
    for (status, advice) in [
        (
            401,
            "see whether `authorization` or `headers` of the tool are right",
        ),
        (404, "see whether its URL has the right path"),
        (500, "look into its log, or try again later"),
    ] {
        let running = Running::answering(move |_, _| {
            let error = json!({ "jsonrpc": "2.0", "id": "server-error", "error": {
                "code": -32600, "message": "no",
            }});
            (StatusCode::from_u16(status).unwrap(), Json(error)).into_response()
        })
        .await;
        assert_eq!(
            listing_of(&running).await.unwrap_err().to_string(),
            format!(
                "The MCP server {} answered with HTTP status {status}: {advice}.",
                running.url()
            )
        );
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let followed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&followed);
    let router = Router::new()
        .route("/mcp", any(|| async { Redirect::temporary("/elsewhere") }))
        .route(
            "/elsewhere",
            any(move || {
                count.fetch_add(1, Ordering::SeqCst);
                async { StatusCode::OK }
            }),
        );
    let running = Running::start(router).await;
    let url = running.url();
    assert_eq!(
        listing_of(&running).await,
        Err(Error::Http { url, status: 307 })
    );
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn headers_go_along_and_bad_ones_are_refused_before_anything_is_sent() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let running = Running::answering(move |headers, message| {
        let key = headers
            .get("authorization")
            .map_or("none", |key| key.to_str().unwrap());
        log.lock().unwrap().push(key.to_owned());
        begun(message).unwrap_or_else(|| result(message, listing([], None)))
    })
    .await;
    let with = |name: &str, value: &str| {
        running
            .server()
            .with_headers(vec![(name.to_owned(), value.to_owned())])
    };
    let servers = running.servers();
    let error = servers.list_tools(&with("Host", "evil")).await.unwrap_err();
    assert!(matches!(error, Error::Header { .. }), "{error:?}");
    assert!(seen.lock().unwrap().is_empty());
    servers
        .list_tools(&with("Authorization", "Bearer key"))
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.len() >= 3, "{seen:?}");
    assert!(seen.iter().all(|key| key == "Bearer key"), "{seen:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_runs_out_of_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let mut limits = Limits::default();
    limits.list = Duration::from_millis(20);
    let allowed = [url.parse().unwrap()].into_iter().collect();
    let servers = Servers::with_limits(allowed, limits);
    let server = kaiwa_tools::Server::new(&url);
    assert_eq!(
        servers.list_tools(&server).await,
        Err(Error::TimedOut {
            url: url.clone(),
            what: "list its tools",
            limit: limits.list,
        })
    );
    assert_eq!(
        servers.call(&server, "look", "{}").await,
        Err(Error::TimedOut {
            url,
            what: "let itself be connected to",
            limit: limits.list,
        })
    );
}

#[tokio::test]
async fn a_session_that_the_server_has_forgotten_is_begun_again_once() {
    let begun_sessions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun_sessions);
    let forgets_all = Arc::new(AtomicUsize::new(0));
    let forgets = Arc::clone(&forgets_all);
    let running = Running::answering(move |headers, message| {
        let current = || count.load(Ordering::SeqCst).to_string();
        if message["method"] == "initialize" {
            count.fetch_add(1, Ordering::SeqCst);
            let session = [("mcp-session-id", current())];
            return (session, begun(message).unwrap()).into_response();
        }
        let id = headers
            .get("mcp-session-id")
            .map(|id| id.to_str().unwrap().to_owned());
        let is_request = message.get("id").is_some();
        if id != Some(current()) || (is_request && forgets.load(Ordering::SeqCst) == 1) {
            return StatusCode::NOT_FOUND.into_response();
        }
        begun(message).unwrap_or_else(|| result(message, listing(["look".to_owned()], None)))
    })
    .await;
    let servers = running.servers();
    let server = running.server();
    servers.list_tools(&server).await.unwrap();
    // What a restart does: the session of before is nobody's.
    begun_sessions.store(10, Ordering::SeqCst);
    assert_eq!(
        servers.list_tools(&server).await.map(|tools| tools.len()),
        Ok(1)
    );
    assert_eq!(begun_sessions.load(Ordering::SeqCst), 11);

    forgets_all.store(1, Ordering::SeqCst);
    let url = running.url();
    assert_eq!(
        servers.list_tools(&server).await,
        Err(Error::Http { url, status: 404 })
    );
    assert_eq!(begun_sessions.load(Ordering::SeqCst), 12);
}

#[tokio::test]
async fn a_session_ends_when_the_last_of_its_holders_is_gone() {
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let answering = post(|Json(message): Json<Value>| async move {
        let answer = begun(&message).unwrap_or_else(|| result(&message, listing([], None)));
        ([("mcp-session-id", "7")], answer)
    });
    let ending = answering.delete(move |headers: HeaderMap| {
        ended.send(headers["mcp-session-id"].clone()).unwrap();
        async { StatusCode::OK }
    });
    let running = Running::start(Router::new().route("/mcp", ending)).await;
    let servers = running.servers();
    let holder = servers.clone();
    servers.list_tools(&running.server()).await.unwrap();
    drop(servers);
    holder.list_tools(&running.server()).await.unwrap();
    assert!(ends.try_recv().is_err(), "somebody holds it");
    drop(holder);
    let end = tokio::time::timeout(Duration::from_secs(30), ends.recv()).await;
    assert_eq!(end.expect("the session ends").unwrap(), "7");
}

#[tokio::test]
async fn a_server_with_too_many_tools_is_refused() {
    let pages_of = |size: usize, schema: &'static str| {
        Running::answering(move |_, message| {
            begun(message).unwrap_or_else(|| {
                let page: usize = message["params"]["cursor"]
                    .as_str()
                    .map_or(0, |cursor| cursor.parse().unwrap());
                let names = (0..size).map(|n| format!("tool_{page}_{n}"));
                let mut listing = listing(names, Some(&(page + 1).to_string()));
                for tool in listing["tools"].as_array_mut().unwrap() {
                    tool["description"] = schema.repeat(1000).into();
                }
                result(message, listing)
            })
        })
    };
    for (running, limit) in [
        (pages_of(MAX_TOOLS / 4, "").await, "128 tools"),
        (pages_of(0, "").await, "128 pages of tools"),
        (
            pages_of(20, "0123456789").await,
            "512 KiB to say about its tools",
        ),
    ] {
        let url = running.url();
        assert_eq!(
            listing_of(&running).await,
            Err(Error::TooLarge { url, limit })
        );
    }
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_not_read() {
    let huge = |message: &Value| {
        let text = "A".repeat(MAX_ANSWER);
        json!({ "jsonrpc": "2.0", "id": message["id"], "result": {
            "content": [{ "type": "text", "text": text }],
        }})
    };
    let plain = Running::answering(move |_, message| {
        begun(message).unwrap_or_else(|| Json(huge(message)).into_response())
    })
    .await;
    let streamed = Running::answering(move |_, message| {
        begun(message).unwrap_or_else(|| events(format!("data: {}\n\n", huge(message))))
    })
    .await;
    for running in [plain, streamed] {
        let (servers, server) = (running.servers(), running.server());
        let called = servers.call(&server, "shout", "{}").await;
        let url = running.url();
        let limit = "4 MiB in one answer";
        assert_eq!(called, Err(Error::TooLarge { url, limit }));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_message_is_an_error_of_the_protocol() {
    let cases = [
        (
            "text/html",
            "<p>Welcome!</p>",
            "its content type is text/html",
        ),
        (
            "application/json",
            "{\"jsonrpc\":",
            "EOF while parsing a value",
        ),
        (
            "application/json",
            "{\"hello\":1}",
            "unrecognized JSON-RPC message",
        ),
    ];
    for (kind, body, reason) in cases {
        let running =
            Running::answering(move |_, _| ([("content-type", kind)], body).into_response()).await;
        match listing_of(&running).await {
            Err(Error::Protocol {
                code: -32700,
                message,
            }) => assert!(message.contains(reason), "{message}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_the_answer_is_told_at_once() {
    let running = Running::answering(|_, message| {
        begun(message).unwrap_or_else(|| events("event: message\ndata:\n\n".into()))
    })
    .await;
    let (servers, server) = (running.servers(), running.server());
    assert_eq!(
        servers.call(&server, "look", "{}").await,
        Err(Error::Unreachable {
            url: running.url(),
            reason: "it closed the connection before it had answered".into(),
        })
    );
}

#[tokio::test]
async fn bad_arguments_are_refused_before_anything_is_sent() {
    let running = Running::answering(|_, _| panic!("nothing is to be sent")).await;
    let error = running
        .servers()
        .call(&running.server(), "look", "[\"Paris\"]")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "The arguments of the tool look are not a JSON object: they are an array."
    );
}
