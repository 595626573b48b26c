//! Events built in Rust, as a server builds them: in the published order of members, and valid.

mod common;

use kaiwa_protocol::*;
use serde_json::{Value, json};

use common::protocol_file;

#[test]
fn a_session_is_written_in_the_order_of_the_service() {
    insta::assert_snapshot!(session_created().to_json(), @r#"{"type":"session.created","event_id":"event_1","session":{"type":"realtime","object":"realtime.session","id":"sess_1","model":"gpt-realtime","output_modalities":["audio"],"instructions":"Be brief.","tools":[],"tool_choice":"auto","max_output_tokens":"inf","tracing":null,"truncation":"auto","prompt":null,"expires_at":1756324625,"audio":{"input":{"format":{"type":"audio/pcm","rate":24000},"transcription":null,"noise_reduction":null,"turn_detection":{"type":"server_vad","threshold":0.5,"prefix_padding_ms":300,"silence_duration_ms":200,"idle_timeout_ms":null,"create_response":true,"interrupt_response":true}},"output":{"format":{"type":"audio/pcm","rate":24000},"voice":"marin","speed":1.0}},"include":null}}"#);
}

#[test]
fn a_response_is_written_in_the_order_of_the_service() {
    insta::assert_snapshot!(response_done().to_json(), @r#"{"type":"response.done","event_id":"event_5","response":{"object":"realtime.response","id":"resp_1","status":"cancelled","status_details":{"type":"cancelled","reason":"turn_detected"},"output":[{"type":"message","id":"item_2","status":"incomplete","role":"assistant","content":[{"type":"output_audio","transcript":"Hello."}]}],"conversation_id":null,"usage":{"total_tokens":9},"metadata":null}}"#);
}

#[test]
fn what_the_constructors_make_obeys_the_schemas() {
    let Some(schemas) = protocol_file("realtime-schemas-sdk-3.54.0.json") else {
        return;
    };
    let validator = jsonschema::validator_for(&schemas["ga_server_event"]).unwrap();
    assert!(!validator.is_valid(&json!({"type": "error", "event_id": "event_1"})));
    for event in [
        session_created(),
        item_added(),
        part_added(),
        item_done(),
        response_done(),
        refusal(),
    ] {
        let frame: Value = serde_json::from_str(&event.to_json()).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&frame)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{frame}");
        assert_eq!(ServerEvent::parse(&event.to_json()), Ok(event));
    }
}

fn session_created() -> ServerEvent {
    let session = RealtimeSession {
        object: SESSION_OBJECT.into(),
        id: "sess_1".into(),
        model: "gpt-realtime".into(),
        output_modalities: vec![Modality::Audio].into(),
        instructions: "Be brief.".into(),
        tools: Vec::new().into(),
        tool_choice: ToolChoice::Auto.into(),
        max_output_tokens: MaxOutputTokens::Inf.into(),
        tracing: Maybe::Null,
        truncation: Truncation::Auto.into(),
        prompt: Maybe::Null,
        expires_at: 1_756_324_625.into(),
        audio: SessionAudio {
            input: AudioInput {
                format: AudioFormat::pcm().into(),
                transcription: Maybe::Null,
                noise_reduction: Maybe::Null,
                turn_detection: TurnDetection::ServerVad(ServerVad {
                    threshold: Number::from(0.5).into(),
                    prefix_padding_ms: 300.into(),
                    silence_duration_ms: 200.into(),
                    idle_timeout_ms: Maybe::Null,
                    create_response: true.into(),
                    interrupt_response: true.into(),
                    ..ServerVad::default()
                })
                .into(),
                ..AudioInput::default()
            }
            .into(),
            output: AudioOutput {
                format: AudioFormat::pcm().into(),
                voice: Voice::from("marin").into(),
                speed: Number::from(1.0).into(),
                ..AudioOutput::default()
            }
            .into(),
            ..SessionAudio::default()
        }
        .into(),
        include: Maybe::Null,
        ..RealtimeSession::default()
    };
    SessionCreated {
        event_id: "event_1".into(),
        session: session.into(),
        ..SessionCreated::default()
    }
    .into()
}

fn item_added() -> ServerEvent {
    let mut item = Item::from(Message::new(
        Role::User,
        vec![ContentPart::input_audio(None)],
    ));
    item.set_id("item_1");
    item.set_object();
    item.set_status(ItemStatus::Completed);
    ConversationItemAdded {
        event_id: "event_2".into(),
        previous_item_id: Maybe::Null,
        item,
        ..ConversationItemAdded::default()
    }
    .into()
}

fn part_added() -> ServerEvent {
    ResponseContentPartAdded {
        event_id: "event_3".into(),
        response_id: "resp_1".into(),
        item_id: "item_2".into(),
        part: ContentPart::audio_part(""),
        ..ResponseContentPartAdded::default()
    }
    .into()
}

fn item_done() -> ServerEvent {
    ResponseOutputItemDone {
        event_id: "event_4".into(),
        response_id: "resp_1".into(),
        item: spoken(),
        ..ResponseOutputItemDone::default()
    }
    .into()
}

fn response_done() -> ServerEvent {
    let response = Response {
        object: RESPONSE_OBJECT.into(),
        id: "resp_1".into(),
        status: ResponseStatus::Cancelled.into(),
        status_details: StatusDetails {
            kind: ResponseStatus::Cancelled.into(),
            reason: StatusReason::TurnDetected.into(),
            ..StatusDetails::default()
        }
        .into(),
        output: vec![spoken()].into(),
        conversation_id: Maybe::Null,
        usage: Usage {
            total_tokens: 9.into(),
            ..Usage::default()
        }
        .into(),
        metadata: Maybe::Null,
        ..Response::default()
    };
    ResponseDone {
        event_id: "event_5".into(),
        response: response.into(),
        ..ResponseDone::default()
    }
    .into()
}

fn refusal() -> ServerEvent {
    let error = ClientEvent::parse(r#"{"type":"conversation.item.delete","event_id":"e1"}"#)
        .expect_err("no item_id");
    Error {
        event_id: "event_6".into(),
        error: ErrorDetail::from(&error),
        ..Error::default()
    }
    .into()
}

fn spoken() -> Item {
    let mut item = Item::from(Message::new(
        Role::Assistant,
        vec![ContentPart::output_audio("Hello.")],
    ));
    item.set_id("item_2");
    item.set_status(ItemStatus::Incomplete);
    item
}
