//! An async client for any Realtime endpoint: OpenAI's, a kaiwa server's, or the one
//! embedded in the same process.
//!
//! - [`Endpoint`] says where the server is, [`Link`] is a connection to it: events and
//!   sound in, events and sound out, over TCP, TLS or any byte stream.
//! - A [`Profile`] says how the server wants to be spoken to; by itself a link takes to the
//!   dialect that it finds.
//! - A [`Client`] is a session event by event, for programs that decide everything
//!   themselves; it keeps responses in order. See the examples of this crate.
//! - A [`SoundCard`] captures and plays on one clock.
//!   [`FileCard`] makes one of files, streams and queues, `DeviceCard` (feature `devices`) of
//!   a microphone and a speaker.
//! - [`Playback`](playback::Playback) knows what of each item was really played.
//! - A [`Conversation`] joins the three: it streams the microphone, takes typed turns,
//!   stops the assistant when the user speaks, tells the server what was heard, and tells
//!   the program what happens in one stream of [`Event`]s.
//! - [`tools`] has the functions that the assistant may call in a conversation.
//! - [`costs`] has what models cost, and what that makes of a server's usage.
//!
//! # Invariants
//!
//! - One task owns a conversation. It never blocks on sending while the server blocks on
//!   sending to it.
//! - Never two responses at once: a response is asked for when none is running.
//! - Nothing of an interrupted item is played after the interruption, and the server is
//!   told of no millisecond that was not played.
//! - Every queue is bounded. A server that stops reading, or sends an hour of sound ahead,
//!   ends the conversation; a program that stops reading events stops its clock.

pub mod card;
mod client;
mod conversation;
pub mod costs;
#[cfg(feature = "devices")]
pub mod device;
mod endpoint;
mod link;
mod opening;
pub mod playback;
mod profile;
mod responses;
#[cfg(all(test, feature = "devices", target_os = "linux"))]
#[path = "../tests/sound/mod.rs"]
#[expect(dead_code, reason = "made for the tests of the card")]
mod sound;
#[cfg(test)]
mod testing;
pub mod tools;

pub use card::{
    CardError, CardErrorKind, DeviceChange, DeviceNotice, FileCard, FileCardBuilder, Mic, MicQueue,
    MicState, Pace, Side, SoundCard, Speaker,
};
pub use client::{Client, ClientError};
pub use conversation::{
    Bill, Conversation, ConversationConfig, CostConfig, Dialing, EndReason, Event, Handle,
    HandleError, Moment, OutputMode, Reconnect, SpeechEnd, Trace, TraceEntry, Transcription, Turn,
    TurnLatency, Usage,
};
#[cfg(feature = "devices")]
pub use device::{Choice, DeviceCard, DeviceConfig, DeviceError};
pub use endpoint::{Address, Endpoint};
pub use link::{Closed, Direction, Incoming, Link, LinkError, LinkErrorKind, Tap};
pub use profile::{Profile, UnknownProfile};
