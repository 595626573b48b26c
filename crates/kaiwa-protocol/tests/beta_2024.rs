//! What a small client of October 2024 sends and reads, event by event: the shapes of its checklist.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use kaiwa_protocol::{
    AppendRef, AudioFormat, ClientEvent, Dialect, Error, ErrorDetail, Item, Maybe, Modality,
    ServerEvent, Session, Tagged, TurnDetection, beta,
};
use serde_json::{Value, json};

#[test]
fn the_handshake_asks_for_the_beta() {
    assert_eq!(Dialect::requested(["realtime=v1"], []), Dialect::Beta);
    assert_eq!(
        Dialect::requested(["assistants=v2, realtime=v1"], []),
        Dialect::Beta
    );
    let offered = [
        "realtime",
        "openai-insecure-api-key.k",
        " openai-beta.realtime-v1",
    ];
    assert_eq!(Dialect::requested([], offered), Dialect::Beta);
    assert_eq!(
        Dialect::requested(["assistants=v2"], ["realtime"]),
        Dialect::Ga
    );
    assert_eq!(Dialect::requested([], []), Dialect::default());
}

#[test]
fn the_session_is_flat_and_whole() {
    let ga = json!({"type": "session.created", "event_id": "event_1", "session": {
        "type": "realtime", "object": "realtime.session", "id": "sess_1",
        "model": "gpt-4o-realtime-preview-2024-10-01", "output_modalities": ["audio"],
        "instructions": "Be brief.", "tools": [], "tool_choice": "auto", "max_output_tokens": "inf",
        "tracing": null, "truncation": "auto", "prompt": null, "expires_at": 1_756_324_625, "include": null,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000}, "transcription": null, "noise_reduction": null,
                "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                    "silence_duration_ms": 200},
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
        },
    }});
    assert_eq!(
        written(&ga),
        json!({"type": "session.created", "event_id": "event_1", "session": {
            "id": "sess_1", "object": "realtime.session", "model": "gpt-4o-realtime-preview-2024-10-01",
            "expires_at": 1_756_324_625, "modalities": ["text", "audio"], "instructions": "Be brief.",
            "voice": "alloy", "speed": 1.0, "input_audio_format": "pcm16", "output_audio_format": "pcm16",
            "input_audio_transcription": null,
            "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                "silence_duration_ms": 200},
            "input_audio_noise_reduction": null, "tools": [], "tool_choice": "auto", "temperature": 0.8,
            "max_response_output_tokens": "inf", "tracing": null, "prompt": null, "include": null,
        }})
    );
}

#[test]
fn the_conversation_is_announced() {
    let event = Dialect::Beta.conversation_created("conv_1").unwrap();
    assert_eq!(
        serde_json::to_value(event).unwrap(),
        json!({"type": "conversation.created", "conversation": {"id": "conv_1", "object": "realtime.conversation"}})
    );
    assert_eq!(Dialect::Ga.conversation_created("conv_1"), None);
}

#[test]
fn a_session_is_changed_without_a_type() {
    let update = read(json!({"type": "session.update", "session": {
        "instructions": "Be brief.", "voice": "shimmer", "output_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1"},
        "turn_detection": {"threshold": 0.4, "silence_duration_ms": 400},
        "temperature": 0.6, "max_response_output_tokens": 4096,
    }}));
    assert_eq!(
        update,
        json!({"type": "session.update", "session": {
            "type": "realtime", "instructions": "Be brief.", "max_output_tokens": 4096,
            "audio": {
                "input": {
                    "transcription": {"model": "whisper-1"},
                    "turn_detection": {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 400},
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": "shimmer"},
            },
        }})
    );
    // What is not there stays as it is: nothing is invented, not even empty objects.
    assert_eq!(
        read(json!({"type": "session.update", "session": {"tools": []}})),
        json!({"type": "session.update", "session": {"type": "realtime", "tools": []}})
    );
    assert_eq!(
        read(json!({"type": "session.update", "session": {"turn_detection": null}})),
        json!({"type": "session.update", "session": {"type": "realtime",
            "audio": {"input": {"turn_detection": null}}}})
    );
}

#[test]
fn modalities_are_one_or_both() {
    for (beta, ga) in [
        (json!(["text", "audio"]), json!(["audio"])),
        (json!(["audio", "text"]), json!(["audio"])),
        (json!(["audio"]), json!(["audio"])),
        (json!(["text"]), json!(["text"])),
        // Whoever checks sessions refuses these.
        (json!([]), json!([])),
        (json!(["audio", "video"]), json!(["audio", "video"])),
    ] {
        let update = read(json!({"type": "session.update", "session": {"modalities": beta}}));
        assert_eq!(update["session"]["output_modalities"], ga, "{beta}");
    }
}

#[test]
fn what_the_beta_does_not_know_is_kept_to_be_refused() {
    let frame = json!({"type": "session.update", "session": {"type": "realtime", "audio": {}}});
    let event = Dialect::Beta.parse_client(&frame.to_string()).unwrap();
    let ClientEvent::SessionUpdate(update) = event else {
        panic!("{frame}")
    };
    let Session::Realtime(session) = update.session else {
        panic!("{frame}")
    };
    assert_eq!(session.extra.names().collect::<Vec<_>>(), ["audio", "type"]);

    let frame = json!({"type": "session.update", "session": {"input_audio_format": "mp3"}});
    let event = Dialect::Beta.parse_client(&frame.to_string()).unwrap();
    let ClientEvent::SessionUpdate(update) = event else {
        panic!("{frame}")
    };
    let Session::Realtime(session) = update.session else {
        panic!("{frame}")
    };
    let input = session
        .audio
        .into_value()
        .unwrap()
        .input
        .into_value()
        .unwrap();
    let format = input.format.into_value().unwrap();
    assert!(matches!(&format, AudioFormat::Unknown(unknown) if unknown.kind == "mp3"));
}

#[test]
fn faults_are_named_in_the_words_of_the_client() {
    for (frame, code, param) in [
        (
            json!({"type": "session.update", "event_id": "e", "session": {"turn_detection": {"threshold": "high"}}}),
            "invalid_value",
            "session.turn_detection.threshold",
        ),
        (
            json!({"type": "session.update", "event_id": "e", "session": {"voice": 3}}),
            "invalid_value",
            "session.voice",
        ),
        (
            json!({"type": "session.update", "event_id": "e"}),
            "missing_required_parameter",
            "session",
        ),
        (
            json!({"type": "response.create", "event_id": "e", "response": {"modalities": "text"}}),
            "invalid_value",
            "response.modalities",
        ),
    ] {
        let error = Dialect::Beta
            .parse_client(&frame.to_string())
            .expect_err("a fault");
        assert_eq!(
            (error.code(), error.param()),
            (code, Some(param)),
            "{frame}"
        );
        assert_eq!(error.event_id(), Some("e"), "{frame}");
    }
    // And so are those that are found later.
    let detail = ErrorDetail::invalid_request(
        "invalid_value",
        "Invalid value for 'session.audio.output.voice': no.",
    )
    .with_param("session.audio.output.voice");
    let event = Error {
        error: detail,
        ..Error::default()
    };
    let frame = written(&serde_json::to_value(event).unwrap());
    assert_eq!(frame["error"]["param"], "session.voice");
    assert_eq!(
        frame["error"]["message"],
        "Invalid value for 'session.voice': no."
    );
}

#[test]
fn sound_takes_the_short_way() {
    let frame = r#"{"type":"input_audio_buffer.append","audio":"AQID"}"#;
    let ClientEvent::InputAudioBufferAppend(event) = Dialect::Beta.parse_client(frame).unwrap()
    else {
        panic!("an append");
    };
    assert_eq!(event.audio.0, [1, 2, 3]);
    assert_eq!(AppendRef::parse(frame).unwrap().base64, "AQID");

    let delta = json!({"type": "response.output_audio.delta", "event_id": "event_1", "response_id": "resp_1",
        "item_id": "item_1", "output_index": 0, "content_index": 0, "delta": "AQID"});
    let mut expected = delta.clone();
    expected["type"] = "response.audio.delta".into();
    assert_eq!(written(&delta), expected);
}

#[test]
fn names_are_those_of_2024() {
    let place = json!({"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 1});
    for (ga, beta, member) in [
        (
            "response.output_text.delta",
            "response.text.delta",
            Some("delta"),
        ),
        (
            "response.output_text.done",
            "response.text.done",
            Some("text"),
        ),
        (
            "response.output_audio_transcript.delta",
            "response.audio_transcript.delta",
            Some("delta"),
        ),
        (
            "response.output_audio_transcript.done",
            "response.audio_transcript.done",
            Some("transcript"),
        ),
        ("response.output_audio.done", "response.audio.done", None),
    ] {
        let mut event = place.clone();
        event["type"] = ga.into();
        if let Some(member) = member {
            event[member] = "words \"quoted\"".into();
        }
        let mut expected = event.clone();
        expected["type"] = beta.into();
        // Padding does not exist in the beta.
        if ga.ends_with(".delta") {
            event["obfuscation"] = "xyz".into();
        }
        assert_eq!(written(&event), expected);
        let back = Dialect::Beta.parse_server(&expected.to_string()).unwrap();
        assert_eq!(back.kind(), ga);
    }
}

#[test]
fn an_item_is_announced_once_and_in_beta_words() {
    let item = json!({"id": "item_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hi."}, {"type": "output_audio", "transcript": "Hi."}]});
    let mut expected = item.clone();
    expected["object"] = "realtime.item".into();
    expected["content"] =
        json!([{"type": "text", "text": "Hi."}, {"type": "audio", "transcript": "Hi."}]);
    let added = json!({"type": "conversation.item.added", "event_id": "e", "previous_item_id": null, "item": item});
    assert_eq!(
        written(&added),
        json!({"type": "conversation.item.created", "event_id": "e", "previous_item_id": null, "item": expected})
    );
    let mut done = added;
    done["type"] = "conversation.item.done".into();
    let event = ServerEvent::parse(&done.to_string()).unwrap();
    assert!(!Dialect::Beta.write_server(&event, &mut Vec::new()));
    assert!(Dialect::Ga.write_server(&event, &mut Vec::new()));
    // History of a client comes with the same words.
    let create = json!({"type": "conversation.item.create", "item": expected});
    let event = Dialect::Beta.parse_client(&create.to_string()).unwrap();
    let ClientEvent::ConversationItemCreate(create) = &event else {
        panic!("{event:?}")
    };
    let Item::Message(message) = &create.item else {
        panic!("{event:?}")
    };
    let kinds: Vec<_> = message.content.iter().map(|part| part.kind()).collect();
    assert_eq!(kinds, ["output_text", "output_audio"]);
}

#[test]
fn words_of_users_are_not_touched() {
    let create = json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user",
        "content": [{"type": "text", "text": "not what users write"}]}});
    assert_eq!(read(create.clone()), create);
}

#[test]
fn a_response_is_flat() {
    let ga = json!({"type": "response.done", "event_id": "e", "response": {
        "object": "realtime.response", "id": "resp_1", "status": "cancelled",
        "status_details": {"type": "cancelled", "reason": "turn_detected"}, "output": [],
        "conversation_id": "conv_1", "output_modalities": ["audio"], "max_output_tokens": "inf",
        "audio": {"output": {"format": {"type": "audio/pcma"}, "voice": "alloy"}},
        "usage": null, "metadata": {"topic": "x"}}});
    let beta = json!({"type": "response.done", "event_id": "e", "response": {
        "id": "resp_1", "object": "realtime.response", "status": "cancelled",
        "status_details": {"type": "cancelled", "reason": "turn_detected"}, "output": [],
        "conversation_id": "conv_1", "modalities": ["text", "audio"], "voice": "alloy",
        "output_audio_format": "g711_alaw", "temperature": 0.8, "max_output_tokens": "inf",
        "usage": null, "metadata": {"topic": "x"}}});
    assert_eq!(written(&ga), beta);
    let event = ServerEvent::parse(&ga.to_string()).unwrap();
    assert_eq!(Dialect::Beta.parse_server(&beta.to_string()), Ok(event));
}

#[test]
fn a_response_is_asked_for_with_either_name_of_the_limit() {
    for name in ["max_output_tokens", "max_response_output_tokens"] {
        let mut create = json!({"type": "response.create", "response": {
            "modalities": ["text"], "voice": "echo", "temperature": 0.9, "conversation": "none",
            "input": [{"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi."}]},
                {"type": "item_reference", "id": "item_1"}]}});
        create["response"][name] = 100.into();
        assert_eq!(
            read(create),
            json!({"type": "response.create", "response": {
                "conversation": "none", "output_modalities": ["text"], "max_output_tokens": 100,
                "audio": {"output": {"voice": "echo"}},
                "input": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]},
                    {"type": "item_reference", "id": "item_1"}]}})
        );
    }
    // Without anything, as clients do it although 2024 called the member required.
    let bare = json!({"type": "response.create"});
    assert_eq!(read(bare.clone()), bare);
}

#[test]
fn a_transcription_without_its_cost_is_read() {
    let frame = json!({"type": "conversation.item.input_audio_transcription.completed", "event_id": "e",
        "item_id": "item_1", "content_index": 0, "transcript": "Hello.\n"});
    let event = Dialect::Beta.parse_server(&frame.to_string()).unwrap();
    let ServerEvent::ConversationItemInputAudioTranscriptionCompleted(event) = event else {
        panic!("{event:?}");
    };
    assert_eq!(event.transcript, "Hello.\n");
}

#[test]
fn unknown_and_ga_only_events_are_no_stumbling_block() {
    let frame = json!({"type": "response.hologram.delta", "event_id": "e"}).to_string();
    let event = Dialect::Beta.parse_server(&frame).unwrap();
    assert!(matches!(event, ServerEvent::Unknown(_)));
    let mut out = Vec::new();
    assert!(Dialect::Beta.write_server(&event, &mut out));
    assert_eq!(out, frame.as_bytes());
    // A beta client that says what only GA has is told so by the core, which sees an unknown type.
    let event = Dialect::Beta
        .parse_client(r#"{"type":"session.close"}"#)
        .unwrap();
    assert!(matches!(event, ClientEvent::Unknown(_)));
}

#[test]
fn sessions_over_http_are_flat_too() {
    let flat: beta::FlatSession = serde_json::from_value(json!({
        "model": "gpt-4o-realtime-preview", "modalities": ["audio", "text"], "turn_detection": {"type": "semantic_vad"},
    }))
    .unwrap();
    let Session::Realtime(session) = Session::from(flat) else {
        panic!("a conversation")
    };
    assert_eq!(
        session.output_modalities,
        Maybe::Value(vec![Modality::Audio])
    );
    let input = session
        .audio
        .value()
        .and_then(|audio| audio.input.value())
        .unwrap();
    assert!(matches!(
        input.turn_detection,
        Maybe::Value(TurnDetection::SemanticVad(_))
    ));

    let mut answer = beta::FlatSession::shown(&session);
    answer.client_secret = Maybe::Value(beta::ClientSecret {
        value: "ek_1".to_owned(),
        expires_at: Maybe::Value(7),
        ..beta::ClientSecret::default()
    });
    let answer = serde_json::to_value(answer).unwrap();
    assert_eq!(
        answer["client_secret"],
        json!({"value": "ek_1", "expires_at": 7})
    );
    assert_eq!(answer["temperature"], 0.8);
    assert_eq!(beta::SessionUpdate::KIND, "session.update");
}

/// A beta client's event in GA's words.
fn read(beta: Value) -> Value {
    let event = Dialect::Beta.parse_client(&beta.to_string()).unwrap();
    serde_json::from_str(&event.to_json()).unwrap()
}

/// A GA server's event in the beta's words.
fn written(ga: &Value) -> Value {
    let event = ServerEvent::parse(&ga.to_string()).unwrap();
    let mut frame = Vec::new();
    assert!(Dialect::Beta.write_server(&event, &mut frame), "{ga}");
    serde_json::from_slice(&frame).unwrap()
}
