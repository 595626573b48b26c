//! Ephemeral keys: what they are bound to, what they open, and for how long.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::time::Duration;

use kaiwa_server::{Keys, Server, ServerConfig};
use serde_json::{Value, json};
use tokio_tungstenite::{
    client_async,
    tungstenite::{self, client::IntoClientRequest, handshake::client::Request},
};

use common::{
    Client, Running,
    engines::Fakes,
    http::{Ask, Reply},
    within,
};

const KEY: &str = "sk-right";
const SECRETS: &str = "/v1/realtime/client_secrets";

fn keyed() -> ServerConfig {
    let mut config = ServerConfig::default();
    config.keys = Keys::only([KEY]);
    config
}

async fn running() -> Running {
    Running::start(Fakes::new().engines(), keyed()).await
}

impl Running {
    async fn issue(&self, path: &str, body: &Value) -> Reply {
        Ask::post(path).key(KEY).json(body).send(self.address).await
    }

    fn with_key(&self, key: &str) -> Request {
        let mut request = format!("ws://{}/v1/realtime", self.address)
            .into_client_request()
            .unwrap();
        let bearer = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        request
    }
}

fn status(error: &tungstenite::Error) -> u16 {
    match error {
        tungstenite::Error::Http(response) => response.status().as_u16(),
        other => panic!("expected an HTTP refusal, got {other}"),
    }
}

#[tokio::test]
async fn a_secret_opens_sessions_with_what_is_bound_to_it() {
    let running = running().await;
    let reply = running
        .issue(
            SECRETS,
            &json!({
                "expires_after": { "anchor": "created_at", "seconds": 60 },
                "session": {
                    "type": "realtime",
                    "model": "bound-model",
                    "instructions": "Speak like a pirate.",
                    "output_modalities": ["text"],
                },
            }),
        )
        .await;
    assert_eq!(reply.status, 200);
    let answer = reply.json();
    let secret = answer["value"].as_str().unwrap();
    assert!(secret.starts_with("ek_"), "{secret}");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let expires_at = answer["expires_at"].as_u64().unwrap();
    assert!((now..=now + 61).contains(&expires_at), "{expires_at}");
    let session = &answer["session"];
    assert_eq!(session["type"], "realtime");
    assert_eq!(session["object"], "realtime.session");
    assert!(session["id"].as_str().unwrap().starts_with("sess_"));
    assert_eq!(session["expires_at"], 0);
    assert_eq!(session["model"], "bound-model");
    assert_eq!(session["instructions"], "Speak like a pirate.");
    // The whole of it, not what was asked for alone.
    assert_eq!(
        session["audio"]["input"]["turn_detection"]["type"],
        "server_vad"
    );

    // Twice: a secret is good for several sessions.
    for _ in 0..2 {
        let (mut client, _) = running.try_open(running.with_key(secret)).await.unwrap();
        let created = client.next().await;
        assert_eq!(created["type"], "session.created");
        assert_eq!(created["session"]["model"], "bound-model");
        assert_eq!(created["session"]["instructions"], "Speak like a pirate.");
        assert_eq!(created["session"]["output_modalities"], json!(["text"]));
        assert!(created["session"]["expires_at"].as_u64().unwrap() > now);
        let done = client.answer("Ahoy").await;
        assert_eq!(done["response"]["status"], "completed");
    }
    // As browsers send it.
    let mut request = running.with_key(KEY);
    request.headers_mut().remove("authorization");
    let offered = format!("realtime, openai-insecure-api-key.{secret}");
    let offered = offered.parse().unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offered);
    let (mut client, response) = running.try_open(request).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "realtime");
    assert_eq!(client.next().await["session"]["model"], "bound-model");
}

#[tokio::test]
async fn a_secret_opens_nothing_but_sessions() {
    let running = running().await;
    let reply = running.issue(SECRETS, &json!({})).await;
    let answer = reply.json();
    assert_eq!(answer["session"]["type"], "realtime");
    let secret = answer["value"].as_str().unwrap();
    for ask in [
        Ask::post(SECRETS).json(&json!({})),
        Ask::post("/v1/realtime/sessions").json(&json!({})),
        Ask::post("/v1/chat/completions").json(&json!({})),
        Ask::post("/v1/audio/speech").json(&json!({})),
        Ask::post("/v1/audio/transcriptions"),
        Ask::get("/v1/models"),
    ] {
        let refusal = ask.key(secret).send(running.address).await.refusal();
        assert_eq!(refusal, (403, "insufficient_permissions".to_owned()));
    }
    for (key, code) in [
        (Some("ek_unknown"), "invalid_api_key"),
        (None, "missing_api_key"),
    ] {
        for path in [SECRETS, "/v1/realtime/sessions", "/v1/chat/completions"] {
            let ask = Ask::post(path).json(&json!({}));
            let ask = match key {
                Some(key) => ask.key(key),
                None => ask,
            };
            let refusal = ask.send(running.address).await.refusal();
            assert_eq!(refusal, (401, code.to_owned()), "{path}");
        }
    }
    let refused = running.try_open(running.with_key("ek_unknown")).await;
    assert_eq!(status(&refused.err().unwrap()), 401);
}

#[tokio::test(start_paused = true)]
async fn a_session_outlives_its_secret() {
    // In the process, so that the clock may stand still.
    let server = Server::new(Fakes::new().engines(), keyed());
    let body = json!({ "expires_after": { "seconds": 10 } });
    let ask = Ask::post(SECRETS).key(KEY).json(&body);
    let reply = ask.send_over(server.connect_in_process()).await;
    let answer = reply.json();
    let secret = answer["value"].as_str().unwrap().to_owned();
    let open = async || {
        let mut request = "ws://in-process/v1/realtime".into_client_request().unwrap();
        let bearer = format!("Bearer {secret}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        client_async(request, server.connect_in_process()).await
    };
    tokio::time::advance(Duration::from_millis(9_900)).await;
    let (socket, _) = open().await.unwrap();
    let mut client = Client { socket }.created().await;
    tokio::time::advance(Duration::from_millis(200)).await;
    let refused = open().await.err().unwrap();
    assert_eq!(status(&refused), 401);
    client
        .send(json!({ "type": "input_audio_buffer.clear" }))
        .await;
    assert_eq!(client.next().await["type"], "input_audio_buffer.cleared");
}

#[tokio::test]
async fn a_bad_request_for_a_secret_is_refused_by_path() {
    let running = running().await;
    for (body, code, param) in [
        (
            json!({ "expires_after": { "anchor": "now" } }),
            "invalid_value",
            json!("expires_after.anchor"),
        ),
        (
            json!({ "expires_after": { "seconds": 9 } }),
            "invalid_value",
            json!("expires_after.seconds"),
        ),
        (
            json!({ "expires_after": { "seconds": 7201 } }),
            "invalid_value",
            json!("expires_after.seconds"),
        ),
        (
            json!({ "session": {} }),
            "missing_required_parameter",
            json!("session.type"),
        ),
        (
            json!({ "session": { "type": "realtime", "colour": "red" } }),
            "unknown_parameter",
            json!("session.colour"),
        ),
        (
            json!({ "session": { "type": "realtime", "audio": { "output": { "speed": 9 } } } }),
            "invalid_value",
            json!("session.audio.output.speed"),
        ),
        (
            json!({ "session": { "type": "realtime", "tools": 3 } }),
            "invalid_value",
            json!("session.tools"),
        ),
        (json!({ "expires_after": 3 }), "invalid_value", Value::Null),
    ] {
        let reply = running.issue(SECRETS, &body).await;
        assert_eq!(reply.refusal(), (400, code.to_owned()), "{body}");
        assert_eq!(reply.json()["error"]["param"], param, "{body}");
    }
    let ask = Ask::post(SECRETS).key(KEY).text("{ no json");
    let reply = ask.send(running.address).await;
    assert_eq!(reply.refusal(), (400, "invalid_json".to_owned()));
    let long = "x".repeat(300 << 10);
    let body = json!({ "session": { "type": "realtime", "instructions": long } });
    let reply = running.issue(SECRETS, &body).await;
    assert_eq!(reply.refusal(), (413, "request_too_large".to_owned()));
}

#[tokio::test]
async fn secrets_are_bound_to_transcription_sessions_too() {
    let running = running().await;
    let body = json!({
        "session": {
            "type": "transcription",
            "audio": { "input": { "transcription": { "model": "whisper-1" } } },
        },
    });
    let answer = running.issue(SECRETS, &body).await.json();
    assert_eq!(
        answer["session"]["object"],
        "realtime.transcription_session"
    );
    let secret = answer["value"].as_str().unwrap();
    let (mut client, _) = running.try_open(running.with_key(secret)).await.unwrap();
    let created = client.next().await;
    assert_eq!(created["type"], "session.created");
    assert_eq!(created["session"]["type"], "transcription");
    assert_eq!(
        created["session"]["audio"]["input"]["transcription"]["model"],
        "whisper-1"
    );
}

#[tokio::test]
async fn the_beta_has_flat_sessions_and_secrets_of_its_own() {
    let running = running().await;
    let body = json!({
        "model": "gpt-4o-realtime-preview",
        "modalities": ["text"],
        "instructions": "Be kind.",
        "turn_detection": null,
        "client_secret": { "expires_after": { "anchor": "created_at", "seconds": 100 } },
    });
    let reply = running.issue("/v1/realtime/sessions", &body).await;
    assert_eq!(reply.status, 200, "{:?}", reply.json());
    let session = reply.json();
    assert_eq!(session["object"], "realtime.session");
    assert_eq!(session["model"], "gpt-4o-realtime-preview");
    assert_eq!(session["modalities"], json!(["text"]));
    assert_eq!(session["input_audio_format"], "pcm16");
    assert_eq!(session["turn_detection"], Value::Null);
    assert!(session["id"].as_str().unwrap().starts_with("sess_"));
    let secret = &session["client_secret"];
    assert!(secret["expires_at"].is_u64());
    let secret = secret["value"].as_str().unwrap();

    // No header says so, but the session is one of the beta.
    let (mut client, _) = running.try_open(running.with_key(secret)).await.unwrap();
    let created = client.next().await;
    assert_eq!(created["session"]["instructions"], "Be kind.");
    assert_eq!(created["session"]["modalities"], json!(["text"]));
    assert_eq!(client.next().await["type"], "conversation.created");

    let body = json!({ "input_audio_transcription": { "model": "whisper-1" } });
    let reply = running
        .issue("/v1/realtime/transcription_sessions", &body)
        .await;
    assert_eq!(reply.status, 200, "{:?}", reply.json());
    let session = reply.json();
    assert_eq!(session["object"], "realtime.transcription_session");
    assert_eq!(session["input_audio_transcription"]["model"], "whisper-1");
    let secret = session["client_secret"]["value"].as_str().unwrap();
    let (mut client, _) = running.try_open(running.with_key(secret)).await.unwrap();
    let created = client.next().await;
    assert_eq!(created["type"], "transcription_session.created");

    for (body, param) in [
        (
            json!({ "input_audio_transcription": 3 }),
            "input_audio_transcription",
        ),
        (json!({ "speed": 9 }), "speed"),
        (json!({ "colour": "red" }), "colour"),
        (
            json!({ "client_secret": { "expires_after": { "seconds": 1 } } }),
            "client_secret.expires_after.seconds",
        ),
    ] {
        let reply = running.issue("/v1/realtime/sessions", &body).await;
        assert_eq!(reply.status, 400, "{body}");
        let error = &reply.json()["error"];
        assert_eq!(error["param"], param, "{body}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("'{param}'")), "{message}");
    }
    let reply = within(running.issue("/v1/realtime/sessions", &json!({}))).await;
    assert_eq!(reply.status, 200);
}
