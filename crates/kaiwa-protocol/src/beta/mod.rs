//! The beta dialect (`OpenAI-Beta: realtime=v1`) of 2024 and 2025, spoken over the same types.
//!
//! Within a program there is one model, the general availability one. At the edge of a connection [`Dialect`] reads and
//! writes the frames of either dialect. The beta differs in names of events, in the flat shape of sessions and
//! responses, in the kinds of an assistant's content, and in having one event for a new item instead of two; order and
//! meaning are the same. The types of this module are the shapes that the beta has for itself.
//!
//! What one dialect cannot say is left out in the other:
//!
//! - `temperature`, of which the newer models know nothing, is accepted and forgotten; a server always reports 0.8.
//! - `truncation`, `reasoning` and `parallel_tool_calls` have no name in the beta.
//! - `conversation.item.done`, `input_audio_buffer.dtmf_event_received` and the padding called `obfuscation` do not
//!   exist in the beta.
//!
//! ```
//! use kaiwa_protocol::{ClientEvent, Dialect, Session};
//!
//! let frame = r#"{"type":"session.update","session":{"modalities":["text","audio"],"voice":"alloy"}}"#;
//! let Ok(ClientEvent::SessionUpdate(update)) = Dialect::Beta.parse_client(frame) else {
//!     panic!("an update");
//! };
//! assert!(matches!(update.session, Session::Realtime(_)));
//!
//! let mut written = Vec::new();
//! assert!(Dialect::Beta.write_client(&update.into(), &mut written));
//! assert_eq!(written, frame.as_bytes());
//! ```

mod dialect;
mod error;
mod events;
mod item;
mod read;
mod response;
mod session;
mod write;

pub use dialect::{BETA_HEADER, BETA_HEADER_VALUE, BETA_SUBPROTOCOL, Dialect};
pub use events::*;
pub use response::*;
pub use session::*;
