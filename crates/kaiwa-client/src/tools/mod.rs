//! Tools: functions of this program that the assistant may use.
//!
//! ```
//! use kaiwa_client::tools::{Tool, Tools};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Where {
//!     /// A city.
//!     place: String,
//! }
//!
//! # fn example() -> Result<Tools, kaiwa_client::tools::ToolError> {
//! let weather = Tool::function("weather", "Tells the weather at a place.", |at: Where| async move {
//!     match at.place.as_str() {
//!         "Kyoto" => Ok("sunny, 21 degrees"),
//!         other => Err(format!("there is no weather station in {other}")),
//!     }
//! })?;
//! let mut tools = Tools::default();
//! tools.add(weather)?;
//! # Ok(tools)
//! # }
//! # assert!(example().is_ok());
//! ```
//!
//! A conversation with [`ConversationConfig::tools`](crate::ConversationConfig::tools) offers them
//! to the assistant, runs what it calls beside the conversation and gives it the results. What
//! becomes of a call in each case is in `docs/tools.md`.

mod error;
mod output;
mod parameters;
mod registry;
mod tool;

pub use error::ToolError;
pub(crate) use output::{failure, result};
pub use registry::{Confirmation, MAX_TOOLS, Tools};
pub use tool::{Confirm, Tool};
