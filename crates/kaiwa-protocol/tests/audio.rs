//! Sound: bytes in the types, base64 in frames, and the short way gives what the long way gives.

use std::borrow::Cow;

use kaiwa_protocol::{
    AppendRef, Audio, AudioDeltaRef, AudioPlace, ClientEvent, InputAudioBufferAppend,
    ResponseOutputAudioDelta, ServerEvent, write_append, write_audio_delta,
};
use proptest::prelude::*;

#[test]
fn an_append_is_borrowed_from_its_frame() {
    let frame = r#"{"type":"input_audio_buffer.append","audio":"AQID/w=="}"#;
    let append = AppendRef::parse(frame).unwrap();
    assert!(matches!(append.base64, Cow::Borrowed(_)));
    let mut bytes = vec![9];
    assert_eq!(append.decode_into(&mut bytes).unwrap(), 4);
    assert_eq!(bytes, [9, 1, 2, 3, 255]);
}

#[test]
fn an_append_is_recognised_however_it_is_written() {
    for frame in [
        r#"{"audio":"AQID","type":"input_audio_buffer.append"}"#,
        r#" { "event_id" : "e" , "type":"input_audio_buffer.append", "audio":"AQID", "more":{"audio":"x"} } "#,
        r#"{"type":"input_audio_buffer\u002eappend","audio":"\u0041QID"}"#,
        r#"{"type":"input_audio_buffer.append","event_id":null,"audio":"AQID"}"#,
    ] {
        let mut bytes = Vec::new();
        AppendRef::parse(frame)
            .expect(frame)
            .decode_into(&mut bytes)
            .unwrap();
        assert_eq!(bytes, [1, 2, 3], "{frame}");
        let ClientEvent::InputAudioBufferAppend(event) = ClientEvent::parse(frame).unwrap() else {
            panic!("{frame}")
        };
        assert_eq!(event.audio.0, bytes, "{frame}");
    }
}

#[test]
fn other_and_faulty_frames_are_left_to_the_parser() {
    for frame in [
        r#"{"type":"input_audio_buffer.commit"}"#,
        r#"{"type":"input_audio_buffer.append"}"#,
        r#"{"type":"input_audio_buffer.append","audio":7}"#,
        r#"{"type":"input_audio_buffer.append","audio":"AQID""#,
        r#"{"audio":"AQID"}"#,
        "",
    ] {
        assert_eq!(AppendRef::parse(frame), None, "{frame}");
    }
}

#[test]
fn bad_base64_is_refused_and_leaves_the_bytes_alone() {
    let frame = r#"{"type":"input_audio_buffer.append","event_id":"e1","audio":"AQIDA*ID"}"#;
    let mut bytes = vec![9];
    let error = AppendRef::parse(frame)
        .unwrap()
        .decode_into(&mut bytes)
        .expect_err("a star");
    assert_eq!(bytes, [9]);
    let again = AppendRef::parse(frame).unwrap().decode_over(&mut bytes);
    assert_eq!(again, Err(error.clone()));
    assert!(bytes.is_empty());
    assert_eq!(Err(error), ClientEvent::parse(frame));
}

#[test]
fn padding_is_not_insisted_on() {
    for text in ["AQ==", "AQ", "AR"] {
        let frame = format!(r#"{{"type":"input_audio_buffer.append","audio":"{text}"}}"#);
        let mut bytes = Vec::new();
        AppendRef::parse(&frame)
            .unwrap()
            .decode_into(&mut bytes)
            .unwrap();
        assert_eq!(bytes, [1], "{text}");
    }
}

#[test]
fn debug_text_does_not_hold_the_sound() {
    let event = InputAudioBufferAppend {
        audio: vec![0; 4800].into(),
        ..InputAudioBufferAppend::default()
    };
    assert!(format!("{event:?}").contains("Audio(4800 bytes)"));
}

proptest! {
    #[test]
    fn client_sound_comes_back(audio: Vec<u8>, event_id: Option<String>) {
        let event = ClientEvent::from(InputAudioBufferAppend {
            event_id: event_id.clone(),
            audio: Audio(audio.clone()),
            ..InputAudioBufferAppend::default()
        });
        let frame = event.to_json();
        prop_assert_eq!(&frame, &serde_json::to_string(&event).unwrap());
        prop_assert_eq!(ClientEvent::parse(&frame), Ok(event));

        let append = AppendRef::parse(&frame).unwrap();
        prop_assert_eq!(append.event_id.as_deref(), event_id.as_deref());
        let mut bytes = Vec::new();
        prop_assert_eq!(append.decode_into(&mut bytes), Ok(audio.len()));
        prop_assert_eq!(&bytes, &audio);
        // Over less and over more than there is now.
        for held in [0, 3, audio.len() + 40] {
            let mut bytes = vec![9; held];
            prop_assert_eq!(append.decode_over(&mut bytes), Ok(()));
            prop_assert_eq!(&bytes, &audio);
        }

        let mut short = b"left over".to_vec();
        write_append(&mut short, event_id.as_deref(), &audio);
        prop_assert_eq!(short, frame.into_bytes());
    }

    #[test]
    fn server_sound_comes_back(
        audio: Vec<u8>,
        event_id: String,
        response_id: String,
        item_id: String,
        output_index: u32,
        content_index: u32,
    ) {
        let mut delta = ResponseOutputAudioDelta {
            event_id: event_id.clone(),
            response_id: response_id.clone(),
            item_id: item_id.clone(),
            output_index,
            content_index,
            delta: Audio(audio.clone()),
            ..ResponseOutputAudioDelta::default()
        };
        // Over a frame that is longer.
        let mut short = vec![b'x'; 1000 + 2 * audio.len()];
        let place = AudioPlace {
            event_id: &event_id,
            response_id: &response_id,
            item_id: &item_id,
            output_index,
            content_index,
        };
        write_audio_delta(&mut short, &place, &audio);
        prop_assert_eq!(&short, &serde_json::to_vec(&delta).unwrap());

        let borrowed = AudioDeltaRef::parse(std::str::from_utf8(&short).unwrap()).unwrap();
        prop_assert_eq!(borrowed.event_id.as_ref(), event_id);
        prop_assert_eq!(borrowed.response_id.as_ref(), response_id);
        prop_assert_eq!(borrowed.item_id.as_ref(), item_id);
        prop_assert_eq!((borrowed.output_index, borrowed.content_index), (output_index, content_index));
        let mut bytes = Vec::new();
        prop_assert_eq!(borrowed.decode_into(&mut bytes), Ok(audio.len()));
        prop_assert_eq!(bytes, audio);

        delta.extra.insert("obfuscation", serde_json::Value::from("xyz"));
        let event = ServerEvent::from(delta);
        let mut frame = b"left over".to_vec();
        event.write(&mut frame);
        prop_assert_eq!(&frame, &serde_json::to_vec(&event).unwrap());
        prop_assert_eq!(ServerEvent::parse(std::str::from_utf8(&frame).unwrap()), Ok(event));
    }
}
