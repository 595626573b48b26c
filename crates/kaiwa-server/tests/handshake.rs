//! Who gets in, and what a refusal looks like.

mod common;

use kaiwa_server::{Keys, ServerConfig};
use serde_json::Value;
use tokio_tungstenite::tungstenite::{self, http::HeaderValue};

use common::{Running, engines::Fakes, http::Ask};

fn config(change: impl FnOnce(&mut ServerConfig)) -> ServerConfig {
    let mut config = ServerConfig::default();
    change(&mut config);
    config
}

/// The status and the JSON body of a refused handshake.
fn refusal<T>(result: Result<T, tungstenite::Error>) -> (u16, Value) {
    match result {
        Err(tungstenite::Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            (
                response.status().as_u16(),
                serde_json::from_slice(body).expect("a JSON body"),
            )
        }
        Err(other) => panic!("expected an HTTP refusal, got {other}"),
        Ok(_) => panic!("expected an HTTP refusal, got a session"),
    }
}

#[tokio::test]
async fn session_created_comes_first_and_names_the_model_of_the_url() {
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    let (mut client, response) = running.try_open(running.request()).await.unwrap();
    assert!(!response.headers().contains_key("sec-websocket-protocol"));
    let created = client.next().await;
    assert_eq!(created["type"], "session.created");
    assert_eq!(created["session"]["model"], "test-model");
}

#[tokio::test]
async fn of_the_subprotocols_only_realtime_is_selected() {
    let running = Running::start(
        Fakes::new().engines(),
        config(|config| config.keys = Keys::only(["sk-browser"])),
    )
    .await;
    let mut request = running.request();
    request.headers_mut().insert(
        "sec-websocket-protocol",
        HeaderValue::from_static("openai-insecure-api-key.sk-browser, realtime"),
    );
    let (client, response) = running.try_open(request).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "realtime");
    client.created().await;
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_refused() {
    let running = Running::start(
        Fakes::new().engines(),
        config(|config| config.keys = Keys::only(["sk-right"])),
    )
    .await;
    let (status, body) = refusal(running.try_open(running.request()).await);
    assert_eq!(
        (status, &body["error"]["code"]),
        (401, &"missing_api_key".into())
    );
    let mut request = running.request();
    let headers = request.headers_mut();
    headers.insert("authorization", HeaderValue::from_static("Bearer sk-wrong"));
    let (status, body) = refusal(running.try_open(request).await);
    assert_eq!(
        (status, &body["error"]["code"]),
        (401, &"invalid_api_key".into())
    );
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert!(body["error"]["message"].is_string());
    assert!(body["error"]["param"].is_null());

    let mut request = running.request();
    let headers = request.headers_mut();
    headers.insert("authorization", HeaderValue::from_static("Bearer sk-right"));
    running.try_open(request).await.unwrap().0.created().await;
}

#[tokio::test]
async fn a_website_of_another_host_needs_a_key() {
    const FOREIGN: &str = "https://example.com";
    const LOCAL: &str = "http://localhost:3000";

    let request = |running: &Running, origin: &'static str| {
        let mut request = running.request();
        let headers = request.headers_mut();
        headers.insert("origin", HeaderValue::from_static(origin));
        request
    };
    let open = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    let (status, body) = refusal(open.try_open(request(&open, FOREIGN)).await);
    assert_eq!(
        (status, &body["error"]["code"]),
        (403, &"origin_not_allowed".into())
    );
    let local = open.try_open(request(&open, LOCAL)).await;
    local.unwrap().0.created().await;
    open.open().await;
    for path in ["/v1/chat/completions", "/v1/realtime/client_secrets"] {
        let ask = Ask::post(path).header("Origin", FOREIGN).text("{}");
        let refused = ask.send(open.address).await.refusal();
        assert_eq!(refused, (403, "origin_not_allowed".into()), "{path}");
    }
    let ask = Ask::post("/v1/realtime/client_secrets").header("Origin", LOCAL);
    assert_eq!(ask.text("{}").send(open.address).await.status, 200);

    let keyed = Running::start(
        Fakes::new().engines(),
        config(|config| config.keys = Keys::only(["sk-right"])),
    )
    .await;
    let mut request = request(&keyed, FOREIGN);
    let headers = request.headers_mut();
    headers.insert("authorization", HeaderValue::from_static("Bearer sk-right"));
    keyed.try_open(request).await.unwrap().0.created().await;
}

#[tokio::test]
async fn an_unknown_route_is_answered_in_json() {
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    for (path, status, code) in [
        ("/v1/nothing", 404, "unknown_url"),
        ("/", 404, "unknown_url"),
        ("/v1/realtime?call_id=rtc_none", 404, "call_id_not_found"),
        ("/v1/realtime?model=a&model=b", 400, "invalid_query"),
    ] {
        let mut request = running.request();
        let address = running.address;
        *request.uri_mut() = format!("ws://{address}{path}").parse().unwrap();
        let (got, body) = refusal(running.try_open(request).await);
        assert_eq!(
            (got, &body["error"]["code"]),
            (status, &code.into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn plain_http_gets_health_and_is_told_to_upgrade() {
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    let session = running.open().await;
    let (status, health) = common::get(running.address, "/health").await;
    assert_eq!(status, 200);
    assert_eq!(health["status"], "ok");
    assert_eq!(health["sessions"], 1);
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    let (status, body) = common::get(running.address, "/v1/realtime?model=x").await;
    assert_eq!(status, 400);
    assert_eq!(body["error"]["code"], "websocket_upgrade_required");
    drop(session);
}

#[tokio::test]
async fn one_session_too_many_is_refused_until_another_has_ended() {
    let running = Running::start(
        Fakes::new().engines(),
        config(|config| config.max_sessions = 1),
    )
    .await;
    let first = running.open().await;
    let (status, body) = refusal(running.try_open(running.request()).await);
    assert_eq!(status, 503);
    assert_eq!(body["error"]["type"], "server_error");
    assert_eq!(body["error"]["code"], "session_limit_reached");
    drop(first);
    running.idle().await;
    running.open().await;
}
