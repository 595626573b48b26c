//! What is unknown survives, absent, null and a value stay three things, and a client gets along with less than that.

use kaiwa_protocol::{
    AudioFormat, ClientEvent, ContentPart, Dialect, Extra, Item, MaxOutputTokens, Maybe, RawJson,
    RealtimeSession, Role, ServerEvent, Session, ToolChoice, Tracing, TracingMode, TurnDetection,
    Voice,
};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn an_unknown_event_is_kept_as_it_came() {
    let frame = r#"{"event_id":"e1", "type":"session.close","why":{"z":1.0,"a":[ ]}}"#;
    let event = ClientEvent::parse(frame).unwrap();
    let ClientEvent::Unknown(unknown) = &event else {
        panic!("{event:?}")
    };
    assert_eq!(unknown.raw.get(), frame);
    assert_eq!(
        (event.kind(), event.event_id()),
        ("session.close", Some("e1"))
    );
    assert_eq!(event.to_json(), frame);
}

#[test]
fn an_unknown_event_takes_another_id() {
    let mut event = ServerEvent::parse(r#"{"type":"x","event_id":"old","rest":1}"#).unwrap();
    event.set_event_id("new");
    assert_eq!(event.event_id(), Some("new"));
    assert_eq!(event.to_json(), r#"{"type":"x","event_id":"new","rest":1}"#);
}

#[test]
fn a_known_event_takes_another_id() {
    let mut event = ServerEvent::parse(r#"{"type":"input_audio_buffer.cleared"}"#).unwrap();
    assert_eq!(event.event_id(), None);
    event.set_event_id("event_1");
    assert_eq!(
        event.to_json(),
        r#"{"type":"input_audio_buffer.cleared","event_id":"event_1"}"#
    );
}

#[test]
fn unknown_members_survive_at_every_level() {
    let frame = concat!(
        r#"{"type":"session.update","session":{"type":"realtime","audio":{"input":{"turn_detection":"#,
        r#"{"type":"server_vad","b":1e3,"a":null}},"hum":true},"voice":"alloy"},"note":{"x":[]}}"#
    );
    let event = ClientEvent::parse(frame).unwrap();
    assert_eq!(event.to_json(), frame);
    let ClientEvent::SessionUpdate(update) = event else {
        panic!("another event")
    };
    assert_eq!(update.extra.names().collect::<Vec<_>>(), ["note"]);
    let Session::Realtime(session) = update.session else {
        panic!("another session")
    };
    assert_eq!(
        session.extra.get("voice").map(RawJson::get),
        Some(r#""alloy""#)
    );
    let audio = session.audio.into_value().unwrap();
    assert_eq!(audio.extra.names().collect::<Vec<_>>(), ["hum"]);
    let detection = audio
        .input
        .into_value()
        .unwrap()
        .turn_detection
        .into_value()
        .unwrap();
    let TurnDetection::ServerVad(vad) = detection else {
        panic!("another detection")
    };
    assert_eq!(vad.extra.names().collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn unknown_kinds_of_objects_survive() {
    let session = json!({
        "type": "realtime",
        "tools": [{"type": "web_search", "depth": 2}],
        "tool_choice": {"type": "custom", "name": "x"},
        "tracing": "loud",
        "truncation": "sometimes",
        "max_output_tokens": "many",
        "output_modalities": ["smell"],
        "audio": {"input": {"format": "pcm16", "turn_detection": {"type": "psychic"}}},
    });
    let parsed: RealtimeSession = serde_json::from_str(&session.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&parsed).unwrap(), session);
    assert_eq!(
        parsed.max_output_tokens,
        Maybe::Value(MaxOutputTokens::Other("many".into()))
    );
    assert_eq!(
        parsed.tracing,
        Maybe::Value(Tracing::Mode(TracingMode::Other("loud".into())))
    );
    let audio = parsed
        .audio
        .into_value()
        .unwrap()
        .input
        .into_value()
        .unwrap();
    let Maybe::Value(AudioFormat::Unknown(format)) = audio.format else {
        panic!("{:?}", audio.format)
    };
    assert_eq!(format.kind, "pcm16");
}

#[test]
fn an_unknown_item_survives() {
    let frame = r#"{"type":"conversation.item.create","item":{"id":"i","type":"hologram","colour":"blue"}}"#;
    let event = ClientEvent::parse(frame).unwrap();
    let ClientEvent::ConversationItemCreate(create) = &event else {
        panic!("{event:?}")
    };
    assert_eq!(create.item.kind(), "hologram");
    assert_eq!(event.to_json(), frame);
}

#[test]
fn a_kind_may_stand_behind_other_members() {
    let item: Item = serde_json::from_str(
        r#"{"id":"i","content":[{"text":"hi","type":"input_text"}],"role":"user","type":"message"}"#,
    )
    .unwrap();
    assert_eq!(item.id(), Some("i"));
    let Item::Message(message) = item else {
        panic!("another item")
    };
    assert_eq!(
        (message.role, message.content),
        (Role::User, vec![ContentPart::input_text("hi")])
    );
}

#[test]
fn a_string_is_not_an_object_of_that_kind() {
    // "function" alone names no function, and an object of type "auto" is not the word.
    for (text, kind) in [
        (r#""function""#, "function"),
        (r#"{"type":"auto"}"#, "auto"),
    ] {
        let choice: ToolChoice = serde_json::from_str(text).unwrap();
        let ToolChoice::Unknown(unknown) = &choice else {
            panic!("{choice:?}")
        };
        assert_eq!(unknown.kind, kind);
        assert_eq!(serde_json::to_string(&choice).unwrap(), text);
    }
}

#[test]
fn absent_null_and_value_are_three_things() {
    let of = |text: &str| {
        serde_json::from_str::<RealtimeSession>(text)
            .unwrap()
            .prompt
    };
    assert_eq!(of(r#"{"type":"realtime"}"#), Maybe::Absent);
    assert_eq!(of(r#"{"type":"realtime","prompt":null}"#), Maybe::Null);
    assert!(of(r#"{"type":"realtime","prompt":{"id":"p"}}"#).is_value());
    for text in [
        r#"{"type":"realtime"}"#,
        r#"{"type":"realtime","prompt":null}"#,
    ] {
        let session: RealtimeSession = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&session).unwrap(), text);
    }
}

#[test]
fn an_update_takes_what_is_there() {
    let mut voice = Maybe::Value(Voice::from("alloy"));
    voice.update(Maybe::Absent);
    assert_eq!(voice, Maybe::Value(Voice::from("alloy")));
    voice.update(Voice::from("marin").into());
    assert_eq!(voice, Maybe::Value(Voice::from("marin")));
    voice.update(Maybe::Null);
    assert_eq!(voice, Maybe::Null);
}

#[test]
fn numbers_stay_as_they_were_written() {
    for text in [r#"{"speed":1}"#, r#"{"speed":1.0}"#, r#"{"speed":0.25}"#] {
        let output: kaiwa_protocol::AudioOutput = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&output).unwrap(), text);
    }
}

#[test]
fn whole_floats_pass_for_integers() {
    let frame = r#"{"type":"conversation.item.truncate","item_id":"i","content_index":0,"audio_end_ms":1500.0}"#;
    let ClientEvent::ConversationItemTruncate(truncate) = ClientEvent::parse(frame).unwrap() else {
        panic!("another event")
    };
    assert_eq!(truncate.audio_end_ms, 1500);
}

#[test]
fn values_parse_too() {
    let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]});
    assert_eq!(
        serde_json::from_value::<Item>(item).unwrap(),
        Item::user_text("hi")
    );
}

#[test]
fn a_later_member_of_the_same_name_wins() {
    let extra: Extra = serde_json::from_str(r#"{"a":1,"b":2,"a":3}"#).unwrap();
    assert_eq!(serde_json::to_string(&extra).unwrap(), r#"{"a":3,"b":2}"#);
}

#[test]
fn deep_nesting_is_kept_without_recursion() {
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    for frame in [
        format!(r#"{{"type":"input_audio_buffer.clear","x":{deep}}}"#),
        format!(r#"{{"x":{deep},"type":"unheard_of"}}"#),
        format!(
            r#"{{"type":"conversation.item.create","item":{{"x":{deep},"type":"unheard_of"}}}}"#
        ),
    ] {
        let event = ClientEvent::parse(&frame).unwrap();
        assert!(event.to_json().contains(&deep));
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in ".*") {
        let _ = ClientEvent::parse(&text);
        let _ = ServerEvent::parse(&text);
    }

    #[test]
    fn any_json_is_parsed_or_refused(value in any_json(), kind in 0..ServerEvent::KNOWN.len()) {
        let mut event = value;
        event["type"] = ServerEvent::KNOWN[kind].into();
        let _ = ServerEvent::parse(&event.to_string());
        event["type"] = ClientEvent::KNOWN[kind % ClientEvent::KNOWN.len()].into();
        let _ = ClientEvent::parse(&event.to_string());
    }

    #[test]
    fn what_is_written_is_read_again(value in any_json()) {
        let mut event = value;
        event["type"] = "conversation.item.create".into();
        event["item"]["type"] = "mcp_list_tools".into();
        event["item"]["server_label"] = "s".into();
        event["item"]["tools"] = json!([]);
        if let Ok(parsed) = ClientEvent::parse(&event.to_string()) {
            prop_assert_eq!(ClientEvent::parse(&parsed.to_json()), Ok(parsed));
        }
    }
}

/// An object of the names that events use, with anything behind them.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("item"),
        Just("session"),
        Just("response"),
        Just("audio"),
        Just("delta"),
        Just("id"),
        Just("tools"),
        Just("content"),
        Just("event_id"),
        Just("item_id"),
        Just("part"),
        Just("type"),
        Just("error"),
        Just("x"),
    ]
    .prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just("message".into()),
        Just("realtime".into()),
    ];
    let tree = leaf.prop_recursive(4, 32, 6, {
        let name = name.clone();
        move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.clone(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        }
    });
    prop::collection::btree_map(name, tree, 0..8)
        .prop_map(|members| {
            members
                .into_iter()
                .filter(|(name, _)| name != "item")
                .collect()
        })
        .prop_map(Value::Object)
}

#[test]
fn a_tolerant_reader_does_without_required_members() {
    for frame in [
        r#"{"type":"response.output_audio.delta","delta":"AQID"}"#,
        r#"{"type":"response.output_audio.delta","event_id":null,"response_id":null,"item_id":null,"output_index":null,"content_index":null,"delta":"AQID"}"#,
    ] {
        assert!(ServerEvent::parse(frame).is_err(), "{frame}");
        let event = Dialect::Ga.parse_server(frame).unwrap();
        let ServerEvent::ResponseOutputAudioDelta(delta) = event else {
            panic!("{frame}")
        };
        assert_eq!(delta.delta.0, [1, 2, 3]);
        assert_eq!((delta.item_id.as_str(), delta.content_index), ("", 0));
    }
    // Nested objects too, down to items and their content.
    let frame = r#"{"type":"response.output_item.done","response_id":"r","item":{"type":"message","role":null,"content":[{"text":"Hi."},{"type":"output_text","text":null}]}}"#;
    assert!(matches!(
        Dialect::Ga.parse_server(frame),
        Ok(ServerEvent::ResponseOutputItemDone(_))
    ));
    assert!(matches!(
        Dialect::Ga.parse_server(r#"{"type":"session.created"}"#),
        Ok(ServerEvent::SessionCreated(_))
    ));
}

#[test]
fn a_tolerant_reader_still_refuses_what_has_another_shape() {
    for frame in [
        r#"{"type":"response.output_audio.delta","delta":7}"#,
        r#"{"type":"response.output_audio.delta","delta":"A?=="}"#,
        r#"{"type":"response.output_audio.delta""#,
        r#"{"delta":"AQID"}"#,
    ] {
        assert!(Dialect::Ga.parse_server(frame).is_err(), "{frame}");
    }
    // And its tolerance ends with it.
    assert!(ServerEvent::parse(r#"{"type":"session.created"}"#).is_err());
}
