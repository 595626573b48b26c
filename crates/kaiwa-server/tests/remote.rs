//! Engines on a second kaiwa: each role, all of them, and one that fails.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use kaiwa_engine::{
    LanguageModel,
    remote::{
        Endpoint, Fallback, LanguageModelOptions, Limits, Network, RemoteLanguageModel,
        RemoteSynthesizer, RemoteTranscriber, SynthesizerOptions,
    },
    scripted::{Script, ScriptedEngines},
};
use kaiwa_server::{Engines, Profile, ServerConfig};
use serde_json::{Value, json};

use common::{Running, decoded, http::Ask, silence, text_of, tone};

/// What both kaiwas play, so that it does not matter who does.
const SCRIPT: &str = "
[[transcript]]
text = \"What is the weather like?\"

[[reply]]
user = \"weather\"
text = \"It is sunny in Paris. And warm.\"

[[reply]]
user = \"break\"
text = \"This is as far as I get.\"
fail-after = 3
fail-message = \"the model melted\"

[[reply]]
user = \"call\"
text = \"\"
tool-calls = [{ name = \"look\", arguments = { at = 1 } }]

[[reply]]
tool = \"look\"
text = \"I have looked.\"

[[speech]]
text = \"warm\"
fail-after = 1
fail-message = \"the voice melted\"
";

fn scripted(script: &str) -> Engines {
    let engines = ScriptedEngines::new(Script::parse(script).unwrap());
    let ears = engines.clone();
    Engines {
        voice_activity: Arc::new(move || Ok(Box::new(ears.voice_activity()))),
        end_of_turn: None,
        transcriber: Arc::new(engines.transcriber()),
        language_model: Arc::new(engines.language_model()),
        synthesizer: Arc::new(engines.synthesizer()),
    }
}

fn config() -> ServerConfig {
    let mut config = ServerConfig::default();
    // A script's replies come in order.
    config.session.ahead_ms = None;
    config
}

/// Who plays which role.
#[derive(Clone, Copy, Debug, Default)]
struct There {
    llm: bool,
    stt: bool,
    tts: bool,
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::new(&format!("http://{address}/v1"), "scripted").unwrap()
}

fn limits() -> Limits {
    Limits {
        pause: Duration::from_millis(1),
        ..Limits::default()
    }
}

fn remote_llm(address: SocketAddr) -> Arc<dyn LanguageModel> {
    let network = Network::start().unwrap();
    let options = LanguageModelOptions::default();
    Arc::new(RemoteLanguageModel::new(endpoint(address), options, limits(), &network).unwrap())
}

fn engines(script: &str, peer: SocketAddr, there: There) -> Engines {
    let mut engines = scripted(script);
    let network = Network::start().unwrap();
    if there.llm {
        engines.language_model = remote_llm(peer);
    }
    if there.stt {
        let remote = RemoteTranscriber::new(endpoint(peer), limits(), &network);
        engines.transcriber = Arc::new(remote.unwrap());
    }
    if there.tts {
        let options = SynthesizerOptions::default();
        let remote = RemoteSynthesizer::new(endpoint(peer), options, limits(), &network);
        engines.synthesizer = Arc::new(remote.unwrap());
    }
    engines
}

/// A kaiwa with these roles on another one; both are to be kept.
async fn pair(script: &str, there: There) -> (Running, Running) {
    let peer = Running::start(scripted(script), config()).await;
    let front = Running::start(engines(script, peer.address, there), config()).await;
    (front, peer)
}

/// What a spoken turn brought: transcript, answer, bytes of its audio.
async fn spoken_turn(front: &Running) -> (String, String, usize, Value) {
    let mut client = front.open().await;
    client
        .update(json!({ "audio": { "input": { "transcription": { "model": "any" } } } }))
        .await;
    client.append(&silence(300)).await;
    client.append(&tone(1000)).await;
    client.append(&silence(1000)).await;
    let mut events = client.until("response.done").await;
    let transcript = "conversation.item.input_audio_transcription.completed";
    if !events.iter().any(|event| event["type"] == transcript) {
        events.extend(client.until(transcript).await);
    }
    let said = events.iter().find(|event| event["type"] == transcript);
    let audio = events
        .iter()
        .filter(|event| event["type"] == "response.output_audio.delta")
        .map(|event| decoded(event["delta"].as_str().unwrap()).len())
        .sum();
    let done = events.iter().find(|event| event["type"] == "response.done");
    (
        said.unwrap()["transcript"].as_str().unwrap().to_owned(),
        text_of(&events, "response.output_audio_transcript.delta"),
        audio,
        done.unwrap()["response"].clone(),
    )
}

#[tokio::test]
async fn it_does_not_matter_where_an_engine_is() {
    let script = SCRIPT.replace("warm\"\nfail-after = 1", "nothing\"\nfail-after = 1");
    let mut lengths = Vec::new();
    for there in [
        There::default(),
        There {
            llm: true,
            ..There::default()
        },
        There {
            stt: true,
            ..There::default()
        },
        There {
            tts: true,
            ..There::default()
        },
        There {
            llm: true,
            stt: true,
            tts: true,
        },
    ] {
        let (front, _peer) = pair(&script, there).await;
        let (heard, answer, audio, done) = spoken_turn(&front).await;
        assert_eq!(heard, "What is the weather like?", "{there:?}");
        assert_eq!(answer, "It is sunny in Paris. And warm.", "{there:?}");
        assert_eq!(done["status"], "completed", "{there:?}");
        lengths.push(audio);
    }
    assert!(lengths[0] > 0);
    assert_eq!(lengths, [lengths[0]; 5]);
}

#[tokio::test]
async fn a_language_model_that_fails_in_a_sentence_fails_that_response_alone() {
    let there = There {
        llm: true,
        ..There::default()
    };
    let (front, _peer) = pair(SCRIPT, there).await;
    let mut client = front.open().await;
    client
        .update(json!({ "output_modalities": ["text"] }))
        .await;
    client.ask("Please break").await;
    let events = client.until("response.done").await;
    assert_eq!(text_of(&events, "response.output_text.delta"), "This is as");
    let done = &events.last().unwrap()["response"];
    assert_eq!(done["status"], "failed");
    let message = done["status_details"]["error"].to_string();
    assert!(!message.is_empty(), "{done}");

    let done = client.answer("How is the weather?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn a_voice_that_fails_in_a_sentence_fails_that_response_alone() {
    let there = There {
        tts: true,
        ..There::default()
    };
    let (front, _peer) = pair(SCRIPT, there).await;
    let mut client = front.open().await;
    client.ask("How is the weather?").await;
    let events = client.until("response.done").await;
    let spoken = text_of(&events, "response.output_audio_transcript.delta");
    assert!(spoken.starts_with("It is sunny in Paris."), "{spoken}");
    assert_eq!(events.last().unwrap()["response"]["status"], "failed");

    client
        .update(json!({ "output_modalities": ["text"] }))
        .await;
    let done = client.answer("How is the weather?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn functions_are_called_through_a_remote_language_model() {
    let there = There {
        llm: true,
        ..There::default()
    };
    let (front, _peer) = pair(SCRIPT, there).await;
    let mut client = front.open().await;
    let tool = json!({ "type": "function", "name": "look", "parameters": { "type": "object" } });
    client
        .update(json!({ "output_modalities": ["text"], "tools": [tool] }))
        .await;
    let done = client.answer("call").await;
    let call = &done["response"]["output"][0];
    assert_eq!(
        (&call["type"], &call["name"]),
        (&json!("function_call"), &json!("look"))
    );
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({ "at": 1 }));
    client
        .send(json!({
            "type": "conversation.item.create",
            "item": {
                "type": "function_call_output",
                "call_id": call["call_id"],
                "output": "a cat",
            },
        }))
        .await;
    client.send(json!({ "type": "response.create" })).await;
    let events = client.until("response.done").await;
    assert_eq!(
        text_of(&events, "response.output_text.delta"),
        "I have looked."
    );
}

#[tokio::test]
async fn the_fallback_answers_when_nobody_is_there() {
    let mut engines = scripted(SCRIPT);
    // Nothing listens on port 1.
    let nobody = remote_llm(SocketAddr::from(([127, 0, 0, 1], 1)));
    engines.language_model = Arc::new(Fallback::new(nobody, engines.language_model));
    let front = Running::start(engines, config()).await;
    let mut client = front.open().await;
    client
        .update(json!({ "output_modalities": ["text"] }))
        .await;
    let done = client.answer("How is the weather?").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn a_failure_names_its_kind_over_http() {
    let mut engines = scripted(SCRIPT);
    engines.language_model = remote_llm(SocketAddr::from(([127, 0, 0, 1], 1)));
    let front = Running::start(engines, config()).await;
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hello" }] });
    let reply = Ask::post("/v1/chat/completions")
        .json(&body)
        .send(front.address)
        .await;
    let (status, code) = (reply.status, reply.json()["error"]["code"].clone());
    assert_eq!((status, code), (502, json!("engine_unreachable")));
}

#[tokio::test]
async fn a_profile_goes_by_its_name() {
    let mut config = config();
    config.model = "main".to_owned();
    config.profiles.push(Profile {
        name: "poet".to_owned(),
        engines: scripted("[[reply]]\ntext = \"Roses are red.\"\n"),
        voices: Vec::new(),
        ahead_ms: None,
    });
    let front = Running::start(scripted(SCRIPT), config).await;
    let list = Ask::get("/v1/models").send(front.address).await.json();
    assert_eq!(
        (&list["data"][0]["id"], &list["data"][1]["id"]),
        (&json!("main"), &json!("poet"))
    );

    for (model, expected) in [
        ("poet", "Roses are red."),
        ("other", "It is sunny in Paris. And warm."),
    ] {
        let body =
            json!({ "model": model, "messages": [{ "role": "user", "content": "weather" }] });
        let reply = Ask::post("/v1/chat/completions")
            .json(&body)
            .send(front.address)
            .await;
        assert_eq!(reply.json()["choices"][0]["message"]["content"], expected);

        let mut request = front.request();
        *request.uri_mut() = format!("ws://{}/v1/realtime?model={model}", front.address)
            .parse()
            .unwrap();
        let (client, _) = front.try_open(request).await.unwrap();
        let mut client = client.created().await;
        client
            .update(json!({ "output_modalities": ["text"] }))
            .await;
        client.ask("weather").await;
        let events = client.until("response.done").await;
        assert_eq!(text_of(&events, "response.output_text.delta"), expected);
    }
}
