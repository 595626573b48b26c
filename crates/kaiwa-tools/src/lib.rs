//! Tools: those of MCP servers, over streamable HTTP or of a program of this machine
//! ([`NamedServer`]); programs as tools ([`commands`]); and a few that are built in ([`builtin`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), kaiwa_tools::Error> {
//! use kaiwa_tools::{Allowed, Server, Servers};
//!
//! let allowed: Allowed = ["http://127.0.0.1:9000/mcp".parse()?].into_iter().collect();
//! let servers = Servers::new(allowed);
//! let server = Server::new("http://127.0.0.1:9000/mcp");
//! for tool in servers.list_tools(&server).await? {
//!     println!("{}", tool.name);
//! }
//! let text = servers.call(&server, "get_weather", r#"{"city":"Paris"}"#).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Who may be contacted
//!
//! The URL of an MCP server comes from a client of ours, so whoever may open a session could make
//! us knock on any door we can reach. [`Allowed`] names the doors: nothing else is contacted,
//! redirects are not followed, and proxies of the environment are not asked.
//!
//! # What is bounded
//!
//! | bound | at the bound |
//! |---|---|
//! | time to connect and list ([`Limits::list`]), time of a call ([`Limits::call`]) | [`Error::TimedOut`] |
//! | bytes of one HTTP answer ([`MAX_ANSWER`]) | [`Error::TooLarge`] |
//! | tools of a server ([`MAX_TOOLS`]), their descriptions and schemas together ([`MAX_LISTING`]) | [`Error::TooLarge`] |
//! | text of a result ([`MAX_OUTPUT`]) | it is cut, with a note |
//! | connections of a session (32) | the one unused for longest is closed |
//!
//! # What is left out
//!
//! Only tools: servers get no answer when they ask for sampling, roots or elicitation, and their
//! notifications are not listened to. An answer whose stream breaks is not resumed.

mod allowed;
pub mod builtin;
mod child;
pub mod commands;
mod error;
mod headers;
mod http;
mod named;
mod output;
mod process;
mod requests;
mod server;
mod servers;
mod tls;

pub use allowed::{Allowed, AllowedServer};
pub use error::Error;
pub use http::MAX_ANSWER;
pub use named::NamedServer;
pub use output::MAX_OUTPUT;
pub use process::end_programs;
pub use requests::{MAX_LISTING, MAX_TOOLS};
pub use server::{Server, Tool};
pub use servers::{Limits, Servers};
