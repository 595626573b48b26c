//! What client and server events have in common: unknown events, and the macros that declare the known ones.

use serde::{Serialize, Serializer};

use crate::wire::{Extra, RawJson};

/// An event of a type unknown to this crate, kept as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnknownEvent {
    /// The value of `type`.
    pub kind: String,
    /// The value of `event_id`, if there is one.
    pub event_id: Option<String>,
    /// The whole event, which is written back as it is.
    pub raw: RawJson,
}

impl UnknownEvent {
    /// Changes the event's id, also in `raw`.
    pub fn set_event_id(&mut self, event_id: impl Into<String>) {
        let event_id = event_id.into();
        // Both conversions succeed: `raw` is an object, and members have a text.
        if let Ok(mut members) = self.raw.parse::<Extra>() {
            members.insert("event_id", serde_json::Value::from(event_id.as_str()));
            if let Ok(raw) = serde_json::to_string(&members).and_then(RawJson::from_text) {
                self.raw = raw;
            }
        }
        self.event_id = Some(event_id);
    }
}

impl Serialize for UnknownEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

/// The `event_id` of an event: optional for clients, always there from servers.
pub(crate) trait EventId {
    fn text(&self) -> Option<&str>;
    fn assign(&mut self, event_id: String);
}

impl EventId for Option<String> {
    fn text(&self) -> Option<&str> {
        self.as_deref()
    }

    fn assign(&mut self, event_id: String) {
        *self = Some(event_id);
    }
}

impl EventId for String {
    fn text(&self) -> Option<&str> {
        (!self.is_empty()).then_some(self)
    }

    fn assign(&mut self, event_id: String) {
        *self = event_id;
    }
}

/// Declares an event of clients: an `object!` with an optional `event_id`.
macro_rules! client_event {
    ($(#[$meta:meta])* pub struct $name:ident = $kind:literal { $($fields:tt)* }) => {
        $crate::wire::object! {
            $(#[$meta])*
            pub struct $name = $kind {
                /// An id by which errors refer to the event, at most 512 characters.
                pub event_id: Option<String>,
                $($fields)*
            }
        }
    };
}

/// Declares an event of servers: an `object!` with an `event_id`.
macro_rules! server_event {
    ($(#[$meta:meta])* pub struct $name:ident = $kind:literal { $($fields:tt)* }) => {
        $crate::wire::object! {
            $(#[$meta])*
            pub struct $name = $kind {
                /// The event's id, `event_` and more. Every server should give one; it is left out when empty.
                pub event_id: String = String::new(),
                $($fields)*
            }
        }
    };
}

/// Declares the choice between the events of one side. Variants are called as their structs.
macro_rules! events {
    ($(#[$meta:meta])* pub enum $name:ident { $($event:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $(
                #[doc = concat!("See [`", stringify!($event), "`].")]
                $event($event),
            )*
            /// Of a type unknown to this crate.
            Unknown($crate::event::UnknownEvent),
        }

        impl $name {
            /// The types known to this crate, as they are written.
            pub const KNOWN: &'static [&'static str] = &[$( <$event as $crate::wire::Tagged>::KIND ),*];

            /// Gives the event an id.
            pub fn set_event_id(&mut self, event_id: impl Into<String>) {
                match self {
                    $( Self::$event(event) => $crate::event::EventId::assign(&mut event.event_id, event_id.into()), )*
                    Self::Unknown(event) => event.set_event_id(event_id),
                }
            }

            /// The event's type as it is written.
            pub fn kind(&self) -> &str {
                match self {
                    $( Self::$event(_) => <$event as $crate::wire::Tagged>::KIND, )*
                    Self::Unknown(event) => &event.kind,
                }
            }

            /// The event's id, if it has one.
            pub fn event_id(&self) -> Option<&str> {
                match self {
                    $( Self::$event(event) => $crate::event::EventId::text(&event.event_id), )*
                    Self::Unknown(event) => event.event_id.as_deref(),
                }
            }

            /// Reads an event of type `kind`; `None` when the type is unknown.
            pub(crate) fn from_kind(kind: &str, frame: &str) -> Option<serde_json::Result<Self>> {
                $( if kind == <$event as $crate::wire::Tagged>::KIND {
                    return Some(serde_json::from_str(frame).map(Self::$event));
                } )*
                None
            }
        }

        $(
            impl From<$event> for $name {
                fn from(event: $event) -> Self {
                    Self::$event(event)
                }
            }
        )*

        impl From<$crate::event::UnknownEvent> for $name {
            fn from(event: $crate::event::UnknownEvent) -> Self {
                Self::Unknown(event)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $( Self::$event(event) => event.serialize(serializer), )*
                    Self::Unknown(event) => event.serialize(serializer),
                }
            }
        }
    };
}

pub(crate) use {client_event, events, server_event};
