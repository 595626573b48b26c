use std::{ops::ControlFlow, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    EngineErrorKind, Message, Role, ToolSpec,
    remote::testing::{MANY, Peer, Step, answer, end, limits, network, ok, open},
};

const EVENTS: &str = "text/event-stream; charset=utf-8";

fn model_with(peer: &Peer, limits: Limits) -> RemoteLanguageModel {
    let endpoint = peer.endpoint("big").with_key("sesame").expect("a key");
    RemoteLanguageModel::new(
        endpoint,
        LanguageModelOptions::default(),
        limits,
        &network(),
    )
    .expect("an engine")
}

fn model(peer: &Peer) -> RemoteLanguageModel {
    model_with(peer, limits())
}

fn prompt() -> Prompt {
    Prompt {
        messages: vec![Message::text(Role::User, "Hello")],
        ..Prompt::default()
    }
}

/// Text and calls as one line, and how it ended.
fn generate(
    model: &RemoteLanguageModel,
    prompt: &Prompt,
) -> (String, Result<LmUsage, EngineError>) {
    let mut said = String::new();
    let result = model.generate(prompt, &Cancel::new(), &mut |delta| {
        match delta {
            LmDelta::Text(text) => said.push_str(text),
            LmDelta::ToolCallStart { id, name } => said.push_str(&format!("<{id} {name}>")),
            LmDelta::ToolCallArguments(text) => said.push_str(text),
        }
        ControlFlow::Continue(())
    });
    (said, result)
}

fn event(value: &Value) -> Vec<u8> {
    format!("data: {value}\n\n").into_bytes()
}

fn text(text: &str) -> Vec<u8> {
    event(&json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }))
}

fn finish(reason: &str) -> Vec<u8> {
    event(&json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] }))
}

fn done() -> Vec<u8> {
    b"data: [DONE]\n\n".to_vec()
}

/// A stream of events that ends as it should.
fn stream(events: &[Vec<u8>]) -> Vec<Step> {
    let pieces: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
    open(EVENTS, &pieces, end())
}

/// An answer of one word.
fn hi() -> Vec<Step> {
    let events = [text("Hi."), finish("stop"), done()].concat();
    stream(&[events])
}

#[test]
fn an_answer_comes_in_pieces_with_its_usage() {
    let usage = json!({
        "choices": [],
        "usage": {
            "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
            "prompt_tokens_details": { "cached_tokens": 8 },
        },
    });
    let role = json!({ "choices": [{ "delta": { "role": "assistant", "content": "" } }] });
    let peer = Peer::start(vec![stream(&[
        b": processing\n\n".to_vec(),
        event(&role),
        text("Good "),
        text("day é."),
        finish("stop"),
        event(&usage),
        done(),
    ])]);
    let (said, result) = generate(&model(&peer), &prompt());
    assert_eq!(said, "Good day é.");
    assert_eq!(
        result.expect("an answer"),
        LmUsage {
            input_tokens: 12,
            cached_tokens: 8,
            output_tokens: 3,
            finish: Finish::Stop,
        }
    );
    let request = peer.request();
    let head = request.head.to_lowercase();
    assert!(head.starts_with("post /v1/chat/completions "), "{head}");
    assert!(head.contains("authorization: bearer sesame\r\n"), "{head}");
    assert!(head.contains("accept: text/event-stream\r\n"), "{head}");
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(body["model"], "big");
    assert_eq!(body["stream"], true);
}

#[test]
fn usage_that_is_not_told_is_estimated() {
    let peer = Peer::start(vec![stream(&[text("Eight by"), finish("length")])]);
    let (said, result) = generate(&model(&peer), &prompt());
    let usage = result.expect("an answer");
    assert_eq!(said, "Eight by");
    assert_eq!((usage.output_tokens, usage.finish), (2, Finish::Length));
    let sent = peer.request().body.len();
    assert_eq!(usage.input_tokens as usize, sent.div_ceil(4));
}

#[test]
fn calls_of_functions_are_put_together() {
    let call = |delta: Value| event(&json!({ "choices": [{ "delta": { "tool_calls": delta } }] }));
    let long = "chatcmpl-tool-0123456789abcdef0123456789";
    let events = [
        text("Let me look. "),
        call(json!([{ "index": 0, "id": "c1", "type": "function",
                      "function": { "name": "look", "arguments": "" } }])),
        call(json!([{ "index": 1, "id": long, "function": { "name": "tell", "arguments": "{" } }])),
        call(json!([{ "index": 0, "function": { "arguments": "{\"at\":" } }])),
        call(json!([{ "index": 1, "id": null, "function": { "name": null, "arguments": "}" } }])),
        call(json!([{ "index": 0, "function": { "name": "look", "arguments": "1}" } }])),
        finish("tool_calls"),
        done(),
    ];
    let peer = Peer::start(vec![stream(&events), stream(&events)]);
    let model = model(&peer);
    let mut prompt = Prompt {
        tools: vec![ToolSpec {
            name: "look".into(),
            description: String::new(),
            parameters: json!({}),
        }],
        ..prompt()
    };
    let (said, result) = generate(&model, &prompt);
    assert_eq!(said, "Let me look. <c1 look>{\"at\":1}<call00000 tell>{}");
    assert_eq!(result.expect("an answer").finish, Finish::Stop);

    // The same ids a second time would stand for two calls of the conversation.
    prompt.messages.push(Message {
        tool_calls: vec![ToolCall {
            id: "c1".into(),
            name: "look".into(),
            arguments: "{}".into(),
        }],
        ..Message::text(Role::Assistant, "")
    });
    let (said, _) = generate(&model, &prompt);
    assert_eq!(
        said,
        "Let me look. <call00001 look>{\"at\":1}<call00002 tell>{}"
    );
}

#[test]
fn a_server_that_numbers_no_calls_sends_them_whole() {
    let call = |name: &str| json!({ "function": { "name": name, "arguments": "{}" } });
    let calls = json!({ "choices": [{ "delta": { "tool_calls": [call("a"), call("b")] } }] });
    let peer = Peer::start(vec![stream(&[event(&calls), finish("tool_calls")])]);
    let (said, _) = generate(&model(&peer), &prompt());
    assert_eq!(said, "<call00000 a>{}<call00001 b>{}");
}

#[test]
fn connections_are_used_again() {
    let peer = Peer::start((0..MANY).map(|_| hi()).collect());
    let model = model(&peer);
    peer.reuses_a_connection(|| {
        generate(&model, &prompt()).1.expect("an answer");
    });
}

#[test]
fn a_prompt_that_may_write_nothing_costs_nothing() {
    let peer = Peer::start(vec![]);
    let prompt = Prompt {
        max_tokens: Some(0),
        ..prompt()
    };
    let (said, result) = generate(&model(&peer), &prompt);
    assert_eq!(said, "");
    assert_eq!(result.expect("nothing").finish, Finish::Length);
    assert_eq!(peer.connections(), 0);
}

#[test]
fn a_busy_server_is_asked_again() {
    let busy = |status| answer(status, "Retry-After: 0\r\n", "{}");
    let peer = Peer::start(vec![busy(503), answer(429, "", ""), hi()]);
    let (said, result) = generate(&model(&peer), &prompt());
    assert_eq!(said, "Hi.");
    result.expect("an answer");
    assert_eq!(peer.more_requests(), 3);

    let peer = Peer::start(vec![busy(500), busy(500), busy(500), hi()]);
    let (_, result) = generate(&model(&peer), &prompt());
    let error = result.expect_err("three attempts");
    assert!(error.message().contains("HTTP 500"), "{error}");
    assert_eq!(peer.more_requests(), 3);
}

#[test]
fn a_server_that_wants_a_long_pause_is_not_waited_for() {
    let peer = Peer::start(vec![answer(429, "Retry-After: 600\r\n", "{}"), hi()]);
    let (_, result) = generate(&model(&peer), &prompt());
    assert!(result.expect_err("a long pause").message().contains("429"));
    assert_eq!(peer.more_requests(), 1);
}

#[test]
fn refusals_are_not_asked_about_twice() {
    let body = |words: &str| json!({ "error": { "message": words } }).to_string();
    for (status, words, kind, part) in [
        (
            400,
            "no such tool",
            EngineErrorKind::InvalidInput,
            "no such tool",
        ),
        (
            400,
            "This model's maximum context length is 5",
            EngineErrorKind::PromptTooLong,
            "so long a conversation",
        ),
        (
            401,
            "wrong key sesame",
            EngineErrorKind::Unauthorized,
            "refuses the key",
        ),
        (404, "no model big", EngineErrorKind::Model, "no model"),
    ] {
        let peer = Peer::start(vec![answer(status, "", body(words)), hi()]);
        let (said, result) = generate(&model(&peer), &prompt());
        let error = result.expect_err(words);
        assert_eq!((said.as_str(), error.kind()), ("", kind));
        assert!(error.message().contains(part), "{error}");
        assert!(!error.message().contains("sesame"), "{error}");
        assert_eq!(peer.more_requests(), 1);
    }
}

#[test]
fn calls_that_all_have_the_number_0_are_told_apart_by_their_ids() {
    let call = |id: &str, name: &str| json!({ "index": 0, "id": id, "function": { "name": name, "arguments": "{" } });
    let more = json!({ "index": 0, "function": { "arguments": "}" } });
    let pieces =
        |delta: Value| event(&json!({ "choices": [{ "delta": { "tool_calls": delta } }] }));
    let events = [
        pieces(json!([call("x", "a"), more])),
        pieces(json!([call("y", "b")])),
        pieces(json!([more])),
        finish("tool_calls"),
    ];
    let peer = Peer::start(vec![stream(&events)]);
    let (said, _) = generate(&model(&peer), &prompt());
    assert_eq!(said, "<x a>{}<y b>{}");
}

#[test]
fn redirects_do_not_carry_the_key_away() {
    let elsewhere = Peer::start(vec![hi()]);
    let location = format!("Location: {}\r\n", elsewhere.endpoint("big").route("/x"));
    let peer = Peer::start(vec![answer(307, &location, "")]);
    let model = model(&peer);
    assert!(!format!("{model:?}").contains("sesame"), "{model:?}");
    let (_, result) = generate(&model, &prompt());
    let error = result.expect_err("a redirect");
    assert!(error.message().contains("sends us elsewhere"), "{error}");
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn what_is_no_answer_is_one_sentence() {
    let error = json!({ "error": { "message": "sesame is out of memory" } });
    let nameless = json!({ "choices": [{ "delta": { "tool_calls": [{ "index": 0 }] } }] });
    for (play, part) in [
        (
            ok("text/html", "<p>Sign in"),
            "text/html instead of an event stream",
        ),
        (
            ok("application/json", error.to_string()),
            "[key] is out of memory",
        ),
        (ok("application/json", "{}"), "application/json instead"),
        (stream(&[event(&error)]), "[key] is out of memory"),
        (
            stream(&[b"data: <p>\n\n".to_vec()]),
            "no piece of an answer",
        ),
        (stream(&[b"data: 5\n\n".to_vec()]), "no piece of an answer"),
        (
            stream(&[event(&nameless), finish("stop"), done()]),
            "without end or name",
        ),
        (stream(&[finish("content_filter")]), "for what it is about"),
        (stream(&[]), "before the end of its answer"),
        (stream(&[done()]), "without a word"),
    ] {
        let peer = Peer::start(vec![play]);
        let (said, result) = generate(&model(&peer), &prompt());
        let error = result.expect_err(part);
        assert_eq!(said, "");
        assert!(error.message().contains(part), "{error}");
        assert!(
            error
                .message()
                .starts_with("the language model at 127.0.0.1:"),
            "{error}"
        );
        assert!(!error.message().contains("sesame"), "{error}");
    }
}

#[test]
fn content_in_parts_and_a_usage_of_another_shape_are_understood() {
    let parts = json!([
        { "type": "thinking", "thinking": "hm" }, { "type": "text", "text": "Good " },
        { "type": "reference", "ids": [1] }, { "type": "text", "text": "day." },
    ]);
    let odd = json!({ "choices": [], "usage": { "prompt_tokens": 1.5 } });
    let peer = Peer::start(vec![stream(&[
        event(&json!({ "choices": [{ "delta": { "content": parts } }] })),
        finish("stop"),
        event(&odd),
        done(),
    ])]);
    let (said, result) = generate(&model(&peer), &prompt());
    assert_eq!(said, "Good day.");
    // Estimated.
    assert_eq!(result.expect("an answer").output_tokens, 3);
}

#[test]
fn a_call_that_the_limit_cut_is_no_call() {
    let call = |index: u32, name: &str, arguments: &str| {
        let function = json!({ "name": name, "arguments": arguments });
        let call = json!([{ "index": index, "function": function }]);
        event(&json!({ "choices": [{ "delta": { "tool_calls": call } }] }))
    };
    let whole = call(0, "look", "{}");
    for cut in [call(1, "tell", "{\"to\": \"Jo"), call(1, "", "")] {
        let peer = Peer::start(vec![stream(&[
            whole.clone(),
            cut,
            finish("length"),
            done(),
        ])]);
        let (said, result) = generate(&model(&peer), &prompt());
        assert_eq!(said, "<call00000 look>{}");
        assert_eq!(result.expect("an answer").finish, Finish::Length);
    }
}

#[test]
fn a_nameless_call_is_none_without_the_end_of_the_stream_either() {
    let nameless = json!({ "choices": [{ "delta": { "tool_calls": [{ "index": 0 }] } }] });
    let pieces = [event(&nameless), finish("tool_calls")].concat();
    let peer = Peer::start(vec![open(EVENTS, &[&pieces], Step::Close)]);
    let (said, result) = generate(&model(&peer), &prompt());
    let error = result.expect_err("no name");
    assert_eq!(said, "");
    assert!(error.message().contains("without end or name"), "{error}");
}

#[test]
fn comments_alone_are_silence() {
    let limits = Limits {
        silence: Duration::from_millis(50),
        ..limits()
    };
    // Too short to reach the bound of an answer's size in this time.
    let comment = b"2\r\n:\n\r\n".to_vec();
    let peer = Peer::start(vec![open(EVENTS, &[], Step::Repeat(comment))]);
    let (_, result) = generate(&model_with(&peer, limits), &prompt());
    assert_eq!(
        result.expect_err("silence").kind(),
        EngineErrorKind::Timeout
    );
    peer.hung_up();
}

#[test]
fn deep_json_and_endless_lines_end_in_an_error() {
    let deep = format!("data: {}\n\n", "[".repeat(100_000)).into_bytes();
    let endless = [b"data: ".to_vec(), vec![b'x'; 2 << 20]].concat();
    for (piece, part) in [(deep, "no piece"), (endless, "a line that does not end")] {
        let peer = Peer::start(vec![open(EVENTS, &[&piece], Step::Hang)]);
        let (_, result) = generate(&model(&peer), &prompt());
        let error = result.expect_err(part);
        assert!(error.message().contains(part), "{error}");
        peer.hung_up();
    }
}

#[test]
fn an_answer_without_end_is_cut() {
    let comment = [vec![b':'; 64 << 10], b"\n".to_vec()].concat();
    let comments = vec![comment.as_slice(); MAX_ANSWER / comment.len() + 2];
    let peer = Peer::start(vec![open(EVENTS, &comments, Step::Hang)]);
    let (_, result) = generate(&model(&peer), &prompt());
    let error = result.expect_err("too much");
    assert!(
        error.message().contains("more than an answer may hold"),
        "{error}"
    );
    peer.hung_up();
}

#[test]
fn a_stream_that_breaks_off_keeps_what_was_said_and_is_not_asked_again() {
    for last in [Step::Close, end()] {
        let peer = Peer::start(vec![open(EVENTS, &[&text("As much as")], last), hi()]);
        let (said, result) = generate(&model(&peer), &prompt());
        assert_eq!(said, "As much as");
        let error = result.expect_err("half an answer");
        assert!(error.message().contains("broke off"), "{error}");
        assert_eq!(peer.more_requests(), 1);
    }
}

#[test]
fn an_answer_is_whole_with_its_reason_to_end() {
    let events = [text("Hi."), finish("stop")];
    let pieces: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
    let peer = Peer::start(vec![open(EVENTS, &pieces, Step::Close)]);
    let (said, result) = generate(&model(&peer), &prompt());
    assert_eq!(
        (said.as_str(), result.expect("whole").finish),
        ("Hi.", Finish::Stop)
    );
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let limits = Limits {
        silence: Duration::from_millis(50),
        ..limits()
    };
    let peer = Peer::start(vec![vec![Step::Hang]]);
    let (_, result) = generate(&model_with(&peer, limits), &prompt());
    let error = result.expect_err("silence");
    assert_eq!(error.kind(), EngineErrorKind::Timeout);
    assert!(
        error.message().contains("has said nothing for 0.05 s"),
        "{error}"
    );
    peer.hung_up();
    assert_eq!(peer.more_requests(), 1);
}

#[test]
fn nobody_there_is_one_sentence() {
    // Nothing listens on port 1.
    let endpoint = Endpoint::new("http://127.0.0.1:1/v1", "big").expect("an address");
    let options = LanguageModelOptions::default();
    let model = RemoteLanguageModel::new(endpoint, options, limits(), &network());
    let (_, result) = generate(&model.expect("an engine"), &prompt());
    let error = result.expect_err("nobody");
    assert_eq!(error.kind(), EngineErrorKind::Unreachable);
    assert!(
        error
            .message()
            .starts_with("the language model at 127.0.0.1:1 cannot be reached: "),
        "{error}"
    );
}

#[test]
fn cancelling_hangs_up_before_the_first_word_and_after_it() {
    for play in [vec![Step::Hang], open(EVENTS, &[&text("Well")], Step::Hang)] {
        let peer = Peer::start(vec![play]);
        let model = model(&peer);
        let cancel = Cancel::new();
        std::thread::scope(|scope| {
            let working = scope
                .spawn(|| model.generate(&prompt(), &cancel, &mut |_| ControlFlow::Continue(())));
            peer.request();
            cancel.cancel();
            peer.hung_up();
            let usage = working.join().expect("no panic").expect("no error");
            assert_eq!(usage.finish, Finish::Cancelled);
        });
    }
}

#[test]
fn a_sink_that_wants_no_more_hangs_up() {
    let peer = Peer::start(vec![open(
        EVENTS,
        &[&text("Well"), &text("...")],
        Step::Hang,
    )]);
    let usage = model(&peer)
        .generate(&prompt(), &Cancel::new(), &mut |_| ControlFlow::Break(()))
        .expect("no error");
    assert_eq!(usage.finish, Finish::Cancelled);
    peer.hung_up();
}

#[test]
fn a_sink_may_wait_for_its_listener() {
    let peer = Peer::start(vec![hi()]);
    let (listener, mut heard) = tokio::sync::mpsc::channel(1);
    model(&peer)
        .generate(&prompt(), &Cancel::new(), &mut |_| {
            listener.blocking_send(()).expect("a listener");
            ControlFlow::Continue(())
        })
        .expect("an answer");
    assert_eq!(heard.try_recv(), Ok(()));
}

#[test]
fn a_check_says_whether_the_model_is_known() {
    let list = |ids: &[&str]| {
        let data: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        ok("application/json", json!({ "data": data }).to_string())
    };
    let peer = Peer::start(vec![
        list(&["small", "big"]),
        list(&["big:latest"]),
        list(&["small"]),
        list(&[]),
        answer(404, "", ""),
        ok("text/html", "<p>"),
        answer(401, "", ""),
    ]);
    let model = model(&peer);
    let checks: Vec<_> = (0..7).map(|_| model.check()).collect();
    assert_eq!(checks[0], Ok(Known::Listed));
    assert_eq!(checks[1], Ok(Known::Listed));
    let Ok(Known::Unlisted(sentence)) = &checks[2] else {
        panic!("{:?}", checks[2]);
    };
    assert!(
        sentence.ends_with("does not list the model \"big\"; it lists small"),
        "{sentence}"
    );
    for check in &checks[3..6] {
        assert_eq!(check, &Ok(Known::Unsaid));
    }
    let error = checks[6].as_ref().expect_err("a wrong key");
    assert_eq!(error.kind(), EngineErrorKind::Unauthorized);
    assert!(peer.request().head.starts_with("GET /v1/models "));
}
