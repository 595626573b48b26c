//! Chat completions over HTTP.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::sync::{Arc, atomic::Ordering};

use kaiwa_server::{Server, ServerConfig};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use common::{
    Running,
    engines::Fakes,
    http::{Ask, Reply},
    within,
};

const CHAT: &str = "/v1/chat/completions";

async fn running(fakes: &Arc<Fakes>) -> Running {
    Running::start(fakes.engines(), ServerConfig::default()).await
}

fn request(said: &str, more: Value) -> Value {
    let mut request = json!({
        "model": "gpt-4o-mini",
        "messages": [{ "role": "user", "content": said }],
    });
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

async fn ask(running: &Running, said: &str, more: Value) -> Reply {
    let ask = Ask::post(CHAT).json(&request(said, more));
    ask.send(running.address).await
}

/// Waits until no request is worked on.
async fn idle(server: &Server) {
    within(async {
        while server.requests() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_comes_whole() {
    let running = running(&Fakes::new()).await;
    let reply = ask(&running, "Good day", json!({})).await;
    assert_eq!(reply.status, 200);
    let answer = reply.json();
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "gpt-4o-mini");
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["content"], "You said: Good day.");
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(
        answer["usage"],
        json!({
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": { "cached_tokens": 4 },
        })
    );
    let reply = ask(&running, "be cut", json!({})).await;
    assert_eq!(reply.json()["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn an_answer_comes_in_chunks_while_it_is_written() {
    let running = running(&Fakes::new()).await;
    let usage = json!({ "include_usage": true });
    let more = json!({ "stream": true, "stream_options": usage });
    let reply = ask(&running, "Good day", more).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.events().last().unwrap(), "[DONE]");
    let chunks = reply.json_events();
    assert!(chunks.iter().all(|chunk| {
        chunk["object"] == "chat.completion.chunk" && chunk["id"] == chunks[0]["id"]
    }));
    let (costs, chunks) = chunks.split_last().unwrap();
    assert_eq!(costs["choices"], json!([]));
    assert_eq!(costs["usage"]["total_tokens"], 15);
    assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "You said: Good day.");
    let reasons: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["choices"][0]["finish_reason"].clone())
        .collect();
    let (last, before) = reasons.split_last().unwrap();
    assert_eq!(last, "stop");
    assert!(before.iter().all(Value::is_null), "{before:?}");

    let reply = ask(&running, "Good day", json!({ "stream": true })).await;
    let chunks = reply.json_events();
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[tokio::test]
async fn functions_are_called_and_their_results_answered() {
    let running = running(&Fakes::new()).await;
    let tools = json!([{ "type": "function", "function": {
        "name": "look", "description": "Looks.", "parameters": { "type": "object" },
    } }]);
    let reply = ask(&running, "call", json!({ "tools": tools })).await;
    let answer = reply.json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let call = |id: &str| {
        json!({
            "id": id,
            "type": "function",
            "function": { "name": "look", "arguments": "{\"at\":1}" },
        })
    };
    let calls = json!([call("call_1"), call("call_2")]);
    assert_eq!(choice["message"]["tool_calls"], calls);

    let one = json!({ "tools": tools, "parallel_tool_calls": false });
    let reply = ask(&running, "call", one).await;
    let calls = &reply.json()["choices"][0]["message"]["tool_calls"];
    assert_eq!(*calls, json!([call("call_1")]));

    let reply = ask(&running, "call", json!({ "tools": tools, "stream": true })).await;
    let mut arguments = [String::new(), String::new()];
    for chunk in reply.json_events() {
        let delta = &chunk["choices"][0]["delta"];
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            arguments[index] += call["function"]["arguments"].as_str().unwrap();
        }
    }
    assert_eq!(arguments, ["{\"at\":1}", "{\"at\":1}"]);

    let messages = json!([
        { "role": "user", "content": "call" },
        { "role": "assistant", "content": null, "tool_calls": [call("call_1")] },
        { "role": "tool", "tool_call_id": "call_1", "content": "a cat" },
    ]);
    let reply = ask(
        &running,
        "",
        json!({ "messages": messages, "tools": tools }),
    )
    .await;
    let answer = reply.json();
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "You said: call."
    );
}

#[tokio::test]
async fn failures_have_a_status_and_later_ones_an_event() {
    let running = running(&Fakes::new()).await;
    for said in ["fail", "panic"] {
        for stream in [false, true] {
            let reply = ask(&running, said, json!({ "stream": stream })).await;
            assert_eq!(reply.refusal(), (500, "server_error".to_owned()), "{said}");
        }
    }
    let reply = ask(&running, "hello", json!({ "messages": [] })).await;
    assert_eq!(reply.refusal(), (400, "invalid_value".to_owned()));
    let reply = Ask::post(CHAT).text("{").send(running.address).await;
    assert_eq!(reply.refusal(), (400, "invalid_json".to_owned()));
    let reply = Ask::get(CHAT).send(running.address).await;
    assert_eq!(reply.refusal(), (405, "method_not_supported".to_owned()));
    idle(&running.server).await;
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_model() {
    let fakes = Fakes::new();
    let running = running(&fakes).await;
    for (round, said, stream) in [
        (1, "talk forever", true),
        (2, "wait", true),
        (3, "wait", false),
    ] {
        let body = request(said, json!({ "stream": stream }));
        let mut connection = Ask::post(CHAT).json(&body).begin(running.address).await;
        if said == "talk forever" {
            let mut piece = [0; 512];
            assert!(within(connection.read(&mut piece)).await.unwrap() > 0);
        } else {
            within(async {
                while running.server.requests() == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        drop(connection);
        idle(&running.server).await;
        // A model that was not asked yet has nothing to stop.
        let stopped = fakes.stopped.load(Ordering::SeqCst);
        assert!(stopped <= round && (stopped > 0 || round > 1));
    }
}

#[tokio::test]
async fn requests_are_load_and_their_number_is_bounded() {
    let fakes = Fakes::new();
    let mut config = ServerConfig::default();
    config.max_requests = 1;
    let running = Running::start(fakes.engines(), config).await;
    let body = request("talk forever", json!({ "stream": true }));
    let mut first = Ask::post(CHAT).json(&body).begin(running.address).await;
    let mut piece = [0; 64];
    within(first.read_exact(&mut piece)).await.unwrap();
    let reply = ask(&running, "hello", json!({})).await;
    assert_eq!(reply.refusal(), (503, "request_limit_reached".to_owned()));
    assert!(reply.head.contains("retry-after"), "{}", reply.head);
    // Sessions have places of their own.
    let done = running.open().await.answer("hello").await;
    assert_eq!(done["response"]["status"], "completed");
    drop(first);
    idle(&running.server).await;
    assert_eq!(ask(&running, "hello", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_request_takes_no_longer_than_it_may() {
    let fakes = Fakes::new();
    let mut config = ServerConfig::default();
    config.request_timeout = std::time::Duration::from_millis(100);
    let running = Running::start(fakes.engines(), config).await;
    let reply = ask(&running, "wait", json!({})).await;
    assert_eq!(reply.refusal(), (504, "timeout".to_owned()));
    idle(&running.server).await;
    assert_eq!(fakes.stopped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn shutting_down_ends_requests() {
    let fakes = Fakes::new();
    let mut running = running(&fakes).await;
    let body = request("talk forever", json!({ "stream": true }));
    let mut connection = Ask::post(CHAT).json(&body).begin(running.address).await;
    let mut piece = [0; 64];
    within(connection.read_exact(&mut piece)).await.unwrap();
    running.shut_down();
    let mut rest = String::new();
    within(connection.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.contains("server_stopping"), "{rest}");
    running.ended().await;
}

#[tokio::test]
async fn one_conversation_keeps_its_place_in_the_models_memory() {
    let fakes = Fakes::new();
    let running = running(&fakes).await;
    let turns = json!([
        { "role": "user", "content": "one" },
        { "role": "assistant", "content": "You said: one." },
        { "role": "user", "content": "two" },
    ]);
    for _ in 0..2 {
        ask(&running, "one", json!({})).await;
        ask(&running, "", json!({ "messages": turns })).await;
    }
    ask(&running, "other", json!({})).await;
    idle(&running.server).await;
    let conversations = fakes.conversations.lock().unwrap();
    assert!(
        conversations[..4]
            .iter()
            .all(|key| *key == conversations[0])
    );
    assert_ne!(conversations[4], conversations[0]);
    assert!(fakes.forgotten.lock().unwrap().is_empty());
}
