//! From events to the frames of either dialect.

use std::borrow::Cow;

use serde::Serialize;

use crate::beta::{
    Dialect, FlatResponse, FlatResponseParams, FlatSession, FlatTranscriptionSession,
    ResponseCreate, ResponseCreated, ResponseDone, SessionCreated, SessionUpdate, SessionUpdated,
    TranscriptionSessionCreated, TranscriptionSessionUpdate, TranscriptionSessionUpdated, error,
    item,
};
use crate::codec::{json, write_delta};
use crate::response::Response;
use crate::session::Session;
use crate::wire::{Maybe, Tagged};
use crate::{ClientEvent, ConversationItemCreate, ConversationItemCreated, ServerEvent};

impl Dialect {
    /// Writes a server's event as a frame into `frame`, replacing what it holds and reusing its memory. `false`, with
    /// nothing written, when the dialect has no such event: it is not to be sent.
    ///
    /// Sound is encoded straight into the frame.
    pub fn write_server(self, event: &ServerEvent, frame: &mut Vec<u8>) -> bool {
        match (self, event) {
            (Self::Ga, event) => event.write(frame),
            (Self::Beta, ServerEvent::ResponseOutputAudioDelta(event)) => {
                write_delta(frame, "response.audio.delta", event);
            }
            (Self::Beta, event) => {
                frame.clear();
                server_to_beta(event, frame);
            }
        }
        !frame.is_empty()
    }

    /// Writes a client's event as a frame into `frame`, replacing what it holds and reusing its memory. `false`, with
    /// nothing written, when the dialect has no such event.
    ///
    /// Sound is encoded straight into the frame; [`write_append`](crate::write_append) serves both dialects.
    pub fn write_client(self, event: &ClientEvent, frame: &mut Vec<u8>) -> bool {
        match (self, event) {
            (Self::Ga, event) | (Self::Beta, event @ ClientEvent::InputAudioBufferAppend(_)) => {
                event.write(frame);
            }
            (Self::Beta, event) => {
                frame.clear();
                client_to_beta(event, frame);
            }
        }
        !frame.is_empty()
    }
}

fn client_to_beta(event: &ClientEvent, frame: &mut Vec<u8>) {
    match event {
        ClientEvent::SessionUpdate(event) => match &event.session {
            Session::Realtime(session) => json(
                frame,
                &SessionUpdate {
                    event_id: event.event_id.clone(),
                    session: FlatSession::from(&**session),
                    extra: event.extra.clone(),
                },
            ),
            Session::Transcription(session) => json(
                frame,
                &TranscriptionSessionUpdate {
                    event_id: event.event_id.clone(),
                    session: FlatTranscriptionSession::from(&**session),
                    extra: event.extra.clone(),
                },
            ),
            Session::Unknown(_) => {}
        },
        ClientEvent::ConversationItemCreate(event) => json(
            frame,
            &ConversationItemCreate {
                item: item::to_beta(&event.item),
                ..event.clone()
            },
        ),
        ClientEvent::ResponseCreate(event) => json(
            frame,
            &ResponseCreate {
                event_id: event.event_id.clone(),
                response: event
                    .response
                    .as_ref()
                    .map(|params| Box::new(FlatResponseParams::from(&**params))),
                extra: event.extra.clone(),
            },
        ),
        other => other.write(frame),
    }
}

fn server_to_beta(event: &ServerEvent, frame: &mut Vec<u8>) {
    /// The event without its padding.
    macro_rules! unpadded {
        ($event:expr) => {
            if $event.obfuscation.is_absent() {
                Cow::Borrowed($event)
            } else {
                let mut event = $event.clone();
                event.obfuscation = Maybe::Absent;
                Cow::Owned(event)
            }
        };
    }
    /// The event with its item in the beta's words.
    macro_rules! with_item {
        ($event:expr) => {{
            let mut event = $event.clone();
            event.item = item::from_server(&event.item);
            event
        }};
    }
    match event {
        ServerEvent::SessionCreated(event) => match &event.session {
            Session::Realtime(session) => json(
                frame,
                &SessionCreated {
                    event_id: event.event_id.clone(),
                    session: FlatSession::shown(session),
                    extra: event.extra.clone(),
                },
            ),
            Session::Transcription(session) => json(
                frame,
                &TranscriptionSessionCreated {
                    event_id: event.event_id.clone(),
                    session: FlatTranscriptionSession::shown(session),
                    extra: event.extra.clone(),
                },
            ),
            Session::Unknown(_) => json(frame, event),
        },
        ServerEvent::SessionUpdated(event) => match &event.session {
            Session::Realtime(session) => json(
                frame,
                &SessionUpdated {
                    event_id: event.event_id.clone(),
                    session: FlatSession::shown(session),
                    extra: event.extra.clone(),
                },
            ),
            Session::Transcription(session) => json(
                frame,
                &TranscriptionSessionUpdated {
                    event_id: event.event_id.clone(),
                    session: FlatTranscriptionSession::shown(session),
                    extra: event.extra.clone(),
                },
            ),
            Session::Unknown(_) => json(frame, event),
        },
        ServerEvent::Error(event) => {
            let mut event = event.clone();
            event.error = error::to_beta(&event.error);
            json(frame, &event);
        }
        ServerEvent::ConversationItemAdded(event) => json(
            frame,
            &ConversationItemCreated {
                event_id: event.event_id.clone(),
                previous_item_id: event.previous_item_id.clone(),
                item: item::from_server(&event.item),
                extra: event.extra.clone(),
            },
        ),
        ServerEvent::ConversationItemDone(_)
        | ServerEvent::InputAudioBufferDtmfEventReceived(_) => {}
        ServerEvent::ConversationItemCreated(event) => json(frame, &with_item!(event)),
        ServerEvent::ConversationItemRetrieved(event) => json(frame, &with_item!(event)),
        ServerEvent::ResponseOutputItemAdded(event) => json(frame, &with_item!(event)),
        ServerEvent::ResponseOutputItemDone(event) => json(frame, &with_item!(event)),
        ServerEvent::ConversationItemInputAudioTranscriptionDelta(event) => {
            json(frame, &*unpadded!(event));
        }
        ServerEvent::ResponseCreated(event) => json(
            frame,
            &ResponseCreated {
                event_id: event.event_id.clone(),
                response: Box::new(shown(&event.response)),
                extra: event.extra.clone(),
            },
        ),
        ServerEvent::ResponseDone(event) => json(
            frame,
            &ResponseDone {
                event_id: event.event_id.clone(),
                response: Box::new(shown(&event.response)),
                extra: event.extra.clone(),
            },
        ),
        ServerEvent::ResponseOutputTextDelta(event) => {
            renamed(frame, &*unpadded!(event), "response.text.delta");
        }
        ServerEvent::ResponseOutputTextDone(event) => renamed(frame, event, "response.text.done"),
        ServerEvent::ResponseOutputAudioTranscriptDelta(event) => {
            renamed(frame, &*unpadded!(event), "response.audio_transcript.delta");
        }
        ServerEvent::ResponseOutputAudioTranscriptDone(event) => {
            renamed(frame, event, "response.audio_transcript.done");
        }
        ServerEvent::ResponseOutputAudioDone(event) => {
            renamed(frame, event, "response.audio.done");
        }
        ServerEvent::ResponseFunctionCallArgumentsDelta(event) => {
            json(frame, &*unpadded!(event));
        }
        other => other.write(frame),
    }
}

/// The response as a server shows it: what GA does not know has its default.
fn shown(response: &Response) -> FlatResponse {
    FlatResponse {
        temperature: FlatSession::shown(&crate::RealtimeSession::default()).temperature,
        ..FlatResponse::from(response)
    }
}

/// Writes an event under another name.
fn renamed<T: Serialize + Tagged>(frame: &mut Vec<u8>, event: &T, kind: &str) {
    json(frame, event);
    // An event begins with its type.
    let start = br#"{"type":""#.len();
    debug_assert_eq!(
        frame.get(start..start + T::KIND.len()),
        Some(T::KIND.as_bytes())
    );
    frame.splice(start..start + T::KIND.len(), kind.bytes());
}
