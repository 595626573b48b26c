//! A faulty frame is refused in the protocol's terms, with the place of the fault and the client's event id.

use kaiwa_protocol::{ClientEvent, ErrorDetail, ParseErrorKind, ServerEvent};

struct Case {
    frame: &'static str,
    code: &'static str,
    param: Option<&'static str>,
    message: &'static str,
    event_id: Option<&'static str>,
}

#[test]
fn faults_are_named() {
    let cases = [
        Case {
            frame: r#"{"event_id":"e1","item_id":"i"}"#,
            code: "invalid_event",
            param: None,
            message: "The 'type' field is missing.",
            event_id: Some("e1"),
        },
        Case {
            frame: r#"{"event_id":"e1","type":"response.cancel""#,
            code: "invalid_json",
            param: None,
            message: "The event is not valid JSON: EOF while parsing an object at line 1 column 41.",
            event_id: Some("e1"),
        },
        Case {
            frame: "hello",
            code: "invalid_json",
            param: None,
            message: "The event is not valid JSON: expected value at line 1 column 1.",
            event_id: None,
        },
        Case {
            frame: "",
            code: "invalid_json",
            param: None,
            message: "The event is not valid JSON: EOF while parsing a value at line 1 column 0.",
            event_id: None,
        },
        Case {
            frame: r#"{"type":"response.cancel"} {}"#,
            code: "invalid_json",
            param: None,
            message: "The event is not valid JSON: trailing characters at line 1 column 28.",
            event_id: None,
        },
        Case {
            frame: "[1]",
            code: "invalid_event",
            param: None,
            message: "Invalid event: invalid type: sequence, expected an object.",
            event_id: None,
        },
        Case {
            frame: r#"{"type":7,"event_id":"e1"}"#,
            code: "invalid_value",
            param: Some("type"),
            message: "Invalid value for 'type': invalid type: integer `7`, expected a string.",
            event_id: Some("e1"),
        },
        Case {
            frame: r#"{"type":"conversation.item.delete","event_id":"e1"}"#,
            code: "missing_required_parameter",
            param: Some("item_id"),
            message: "Missing required parameter: 'item_id'.",
            event_id: Some("e1"),
        },
        Case {
            frame: r#"{"type":"session.update","event_id":"e1","session":{"instructions":"x"}}"#,
            code: "missing_required_parameter",
            param: Some("session.type"),
            message: "Missing required parameter: 'session.type'.",
            event_id: Some("e1"),
        },
        Case {
            frame: r#"{"type":"session.update","session":{"type":"realtime","tools":[{"type":"function"},{"type":"mcp"}]}}"#,
            code: "missing_required_parameter",
            param: Some("session.tools[1].server_label"),
            message: "Missing required parameter: 'session.tools[1].server_label'.",
            event_id: None,
        },
        Case {
            frame: r#"{"type":"session.update","session":{"type":"realtime","audio":{"output":{"speed":"fast"}}}}"#,
            code: "invalid_value",
            param: Some("session.audio.output.speed"),
            message: "Invalid value for 'session.audio.output.speed': invalid type: string \"fast\", expected a JSON number.",
            event_id: None,
        },
        Case {
            frame: r#"{"type":"session.update","session":{"type":"realtime","audio":{"output":{"voice":3}}}}"#,
            code: "invalid_value",
            param: Some("session.audio.output.voice"),
            message: "Invalid value for 'session.audio.output.voice': expected a name or an object with an id, got 3.",
            event_id: None,
        },
        Case {
            frame: r#"{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"text":"hi"}]}}"#,
            code: "missing_required_parameter",
            param: Some("item.content[0].type"),
            message: "Missing required parameter: 'item.content[0].type'.",
            event_id: None,
        },
        // What opens somebody's server is not repeated.
        Case {
            frame: r#"{"type":"session.update","session":{"type":"realtime","tools":[{"type":"mcp","server_label":"a","headers":"Bearer 123"}]}}"#,
            code: "invalid_value",
            param: Some("session.tools[0].headers"),
            message: "Invalid value for 'session.tools[0].headers': expected an object.",
            event_id: None,
        },
        Case {
            frame: r#"{"type":"response.create","response":{"metadata":{"topic":1}}}"#,
            code: "invalid_value",
            param: Some("response.metadata.topic"),
            message: "Invalid value for 'response.metadata.topic': invalid type: integer `1`, expected a string.",
            event_id: None,
        },
        Case {
            frame: r#"{"type":"conversation.item.truncate","item_id":"i","content_index":0,"audio_end_ms":-1}"#,
            code: "invalid_value",
            param: Some("audio_end_ms"),
            message: "Invalid value for 'audio_end_ms': invalid value: integer `-1`, expected an integer of 0 or more.",
            event_id: None,
        },
        Case {
            frame: r#"{"type":"input_audio_buffer.append","audio":"A?=="}"#,
            code: "invalid_value",
            param: Some("audio"),
            message: "Invalid value for 'audio': not base64: character '?' at 1.",
            event_id: None,
        },
        // The fault that is met first is not the one to report when the frame is not JSON at all.
        Case {
            frame: r#"{"type":"conversation.item.delete","item_id":5,"#,
            code: "invalid_json",
            param: None,
            message: "The event is not valid JSON: EOF while parsing an object at line 1 column 47.",
            event_id: None,
        },
    ];
    for Case {
        frame,
        code,
        param,
        message,
        event_id,
    } in cases
    {
        let error = ClientEvent::parse(frame).expect_err(frame);
        assert_eq!(
            (error.code(), error.param(), error.message()),
            (code, param, message),
            "{frame}"
        );
        assert_eq!(error.event_id(), event_id, "{frame}");
    }
}

#[test]
fn the_answer_names_event_and_member() {
    let error = ClientEvent::parse(r#"{"type":"conversation.item.delete","event_id":"e1"}"#)
        .expect_err("no item");
    assert_eq!(error.kind(), ParseErrorKind::MissingParameter);
    assert_eq!(
        serde_json::to_value(ErrorDetail::from(&error)).unwrap(),
        serde_json::json!({
            "type": "invalid_request_error",
            "code": "missing_required_parameter",
            "message": "Missing required parameter: 'item_id'.",
            "param": "item_id",
            "event_id": "e1",
        })
    );
}

#[test]
fn what_is_not_known_is_null_in_the_answer() {
    let error = ClientEvent::parse("{}").expect_err("no type");
    assert_eq!(
        serde_json::to_string(&ErrorDetail::from(&error)).unwrap(),
        concat!(
            r#"{"type":"invalid_request_error","code":"invalid_event","message":"The 'type' field is missing.","#,
            r#""param":null,"event_id":null}"#
        )
    );
}

#[test]
fn a_fault_leaves_no_trail_for_the_next_one() {
    let _ =
        serde_json::from_str::<kaiwa_protocol::RealtimeSession>(r#"{"type":"realtime","tools":7}"#);
    let error = ServerEvent::parse(r#"{"type":"response.done"}"#).expect_err("no response");
    assert_eq!(error.param(), Some("response"));
}
