//! From the frames of either dialect to events.

use crate::beta::{
    Dialect, FlatResponse, ResponseCreate, ResponseCreated, ResponseDone, SessionCreated,
    SessionUpdate, SessionUpdated, TranscriptionSessionCreated, TranscriptionSessionUpdate,
    TranscriptionSessionUpdated, error, item,
};
use crate::codec::{ParseError, parse};
use crate::wire::{Tagged, tolerantly};
use crate::{ClientEvent, ServerEvent};

impl Dialect {
    /// Reads a client's frame, as a server does. Faults are named by the paths of the dialect.
    ///
    /// Sound takes the shorter way of [`AppendRef`](crate::AppendRef), which is the same in both dialects.
    ///
    /// # Errors
    ///
    /// As [`ClientEvent::parse`].
    pub fn parse_client(self, frame: &str) -> Result<ClientEvent, ParseError> {
        match self {
            Self::Ga => ClientEvent::parse(frame),
            Self::Beta => parse(frame, client_of_beta),
        }
    }

    /// Reads a server's frame, as a client does that wants to get along with servers it never met: required members
    /// that are missing or null have their type's default (empty, zero, false).
    ///
    /// # Errors
    ///
    /// When the frame is not JSON, has no `type`, or a member has the wrong shape.
    pub fn parse_server(self, frame: &str) -> Result<ServerEvent, ParseError> {
        let from_kind = match self {
            Self::Ga => ServerEvent::from_kind,
            Self::Beta => server_of_beta,
        };
        // Well-formed frames, which is nearly all, are read once and exactly.
        parse(frame, from_kind).or_else(|_| tolerantly(|| parse(frame, from_kind)))
    }
}

/// Reads an event of type `kind`; `None` when the type is unknown.
fn client_of_beta(kind: &str, frame: &str) -> Option<serde_json::Result<ClientEvent>> {
    if kind == SessionUpdate::KIND {
        return Some(serde_json::from_str::<SessionUpdate>(frame).map(|event| {
            ClientEvent::SessionUpdate(crate::SessionUpdate {
                event_id: event.event_id,
                session: event.session.into(),
                extra: event.extra,
            })
        }));
    }
    if kind == TranscriptionSessionUpdate::KIND {
        return Some(
            serde_json::from_str::<TranscriptionSessionUpdate>(frame).map(|event| {
                ClientEvent::SessionUpdate(crate::SessionUpdate {
                    event_id: event.event_id,
                    session: event.session.into(),
                    extra: event.extra,
                })
            }),
        );
    }
    if kind == ResponseCreate::KIND {
        return Some(serde_json::from_str::<ResponseCreate>(frame).map(|event| {
            ClientEvent::ResponseCreate(crate::ResponseCreate {
                event_id: event.event_id,
                response: event.response.map(|flat| Box::new((*flat).into())),
                extra: event.extra,
            })
        }));
    }
    let event = ClientEvent::from_kind(kind, frame)?;
    Some(event.map(|mut event| {
        if let ClientEvent::ConversationItemCreate(create) = &mut event {
            item::to_ga(&mut create.item);
        }
        event
    }))
}

/// Reads an event of type `kind`; `None` when the type is unknown.
fn server_of_beta(kind: &str, frame: &str) -> Option<serde_json::Result<ServerEvent>> {
    /// Reads the event whose session or response is flat.
    macro_rules! reshaped {
        ($beta:ty => $ga:ident { $member:ident: $convert:expr }) => {
            if kind == <$beta as Tagged>::KIND {
                return Some(serde_json::from_str::<$beta>(frame).map(|event| {
                    ServerEvent::$ga(crate::$ga {
                        event_id: event.event_id,
                        $member: $convert(event.$member),
                        extra: event.extra,
                    })
                }));
            }
        };
    }
    let response = |flat: Box<FlatResponse>| Box::new((*flat).into());
    reshaped!(SessionCreated => SessionCreated { session: Into::into });
    reshaped!(SessionUpdated => SessionUpdated { session: Into::into });
    reshaped!(TranscriptionSessionCreated => SessionCreated { session: Into::into });
    reshaped!(TranscriptionSessionUpdated => SessionUpdated { session: Into::into });
    reshaped!(ResponseCreated => ResponseCreated { response: response });
    reshaped!(ResponseDone => ResponseDone { response: response });
    let event = ServerEvent::from_kind(ga_name(kind), frame)?;
    Some(event.map(|mut event| {
        match &mut event {
            ServerEvent::Error(event) => {
                event.error = error::to_ga(std::mem::take(&mut event.error))
            }
            ServerEvent::ConversationItemAdded(event) => item::to_ga(&mut event.item),
            ServerEvent::ConversationItemRetrieved(event) => item::to_ga(&mut event.item),
            ServerEvent::ResponseOutputItemAdded(event) => item::to_ga(&mut event.item),
            ServerEvent::ResponseOutputItemDone(event) => item::to_ga(&mut event.item),
            _ => {}
        }
        event
    }))
}

/// GA's name of an event of a beta server.
fn ga_name(kind: &str) -> &str {
    match kind {
        "conversation.item.created" => crate::ConversationItemAdded::KIND,
        "response.text.delta" => crate::ResponseOutputTextDelta::KIND,
        "response.text.done" => crate::ResponseOutputTextDone::KIND,
        "response.audio.delta" => crate::ResponseOutputAudioDelta::KIND,
        "response.audio.done" => crate::ResponseOutputAudioDone::KIND,
        "response.audio_transcript.delta" => crate::ResponseOutputAudioTranscriptDelta::KIND,
        "response.audio_transcript.done" => crate::ResponseOutputAudioTranscriptDone::KIND,
        kind => kind,
    }
}
