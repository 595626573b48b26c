//! The OpenAI Realtime API as types: events, items, sessions, errors, and the codec.
//!
//! - [`ClientEvent`] and [`ServerEvent`] are what travels. Each event is a struct called as the event
//!   (`response.output_audio.delta` is [`ResponseOutputAudioDelta`]) with public fields and a `Default`.
//! - `ClientEvent::parse` and `ServerEvent::parse` read a frame, `write` and `to_json` write one. Sound takes a shorter
//!   way: [`AppendRef`], [`AudioDeltaRef`], [`write_append`], [`write_audio_delta`].
//! - [`Dialect`] does the same for connections that speak the beta dialect; see [`beta`].
//! - [`ParseError`] is a faulty frame in the protocol's own terms; [`ErrorDetail`] is what travels.
//!
//! # Invariants
//!
//! - What is unknown survives: events, kinds of objects and values of closed sets become `Unknown` or `Other`, members
//!   go to `extra`, and all of it is written back.
//! - Absent, null and a value are three things ([`Maybe`]), and stay so.
//! - Sound is bytes in the types and base64 in frames. The codec never holds a frame's sound twice.
//! - The same value is always written as the same bytes: `type` first, then the fields in the order of declaration,
//!   then `extra`.
//!
//! ```
//! use kaiwa_protocol::{ClientEvent, Maybe, ResponseCreate, ResponseParams};
//!
//! let event: ClientEvent = ResponseCreate {
//!     response: Maybe::Value(Box::new(ResponseParams {
//!         instructions: "Be brief.".into(),
//!         ..ResponseParams::default()
//!     })),
//!     ..ResponseCreate::default()
//! }
//! .into();
//! assert_eq!(event.to_json(), r#"{"type":"response.create","response":{"instructions":"Be brief."}}"#);
//! assert_eq!(ClientEvent::parse(&event.to_json()), Ok(event));
//! ```

mod audio;
pub mod beta;
mod client;
mod codec;
mod content;
mod error;
mod event;
mod item;
mod prompt;
mod response;
mod server;
mod session;
mod tool;
mod turn;
mod voice;
mod wire;

pub use audio::*;
pub use beta::{BETA_HEADER, BETA_HEADER_VALUE, BETA_SUBPROTOCOL, Dialect};
pub use client::*;
pub use codec::*;
pub use content::*;
pub use error::*;
pub use event::UnknownEvent;
pub use item::*;
pub use prompt::*;
pub use response::*;
pub use server::*;
pub use session::*;
pub use tool::*;
pub use turn::*;
pub use voice::*;
pub use wire::{Extra, Maybe, Number, RawJson, Tagged, UnknownObject, Wire};
