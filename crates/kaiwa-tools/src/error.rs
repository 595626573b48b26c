//! What can go wrong with a server, in sentences for the one who named it.

use std::time::Duration;

/// A server was not contacted, or did not do what it was asked.
///
/// Each is a plain sentence that may be shown to the one who named the server: URLs in it are
/// without their query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The arguments of a call are no JSON object. Nothing was sent.
    #[error("The arguments of the tool {tool} are not a JSON object: {reason}.")]
    Arguments {
        /// Name of the tool.
        tool: String,
        /// What they are.
        reason: String,
    },
    /// The program that is the server has ended.
    #[error("The MCP server {command} has ended{}: start it by hand to see why.", said(.words))]
    Ended {
        /// The program.
        command: String,
        /// The end of what it said on stderr.
        words: String,
    },
    /// A header cannot be sent along. Nothing was sent.
    #[error("The header {name:?} cannot be sent to an MCP server: {reason}.")]
    Header {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The server answered with an HTTP status other than success.
    #[error("The MCP server {url} answered with HTTP status {status}: {}.", advice(*.status))]
    Http {
        /// The server.
        url: String,
        /// The status.
        status: u16,
    },
    /// The server may not be contacted.
    #[error("The MCP server {url} is not allowed here: start the server with --mcp-allow {url}.")]
    NotAllowed {
        /// The server.
        url: String,
    },
    /// The program that is to be the server cannot be started.
    #[error(
        "The MCP server {command:?} cannot be started: {reason}. See whether it is installed, and \
         whether its name is right."
    )]
    NotStarted {
        /// The command line.
        command: String,
        /// Why.
        reason: String,
    },
    /// The server reported an error in terms of JSON-RPC, or broke the protocol, which has the
    /// codes of an invalid request (-32600) and of a message that cannot be read (-32700).
    #[error("{message}")]
    Protocol {
        /// JSON-RPC error code.
        code: i64,
        /// What went wrong.
        message: String,
    },
    /// The server took longer than it may.
    #[error(
        "The MCP server {url} did not {what} within {} s: try again later.",
        .limit.as_secs_f32()
    )]
    TimedOut {
        /// The server.
        url: String,
        /// What it was asked for.
        what: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// The server said more than is read.
    #[error("The MCP server {url} has more than {limit}: use one that says less.")]
    TooLarge {
        /// The server.
        url: String,
        /// Which limit.
        limit: &'static str,
    },
    /// The tool ran and failed; the message is the tool's.
    #[error("{message}")]
    Tool {
        /// What the tool says.
        message: String,
    },
    /// There is nobody at the URL, or nobody who can be talked to.
    #[error(
        "The MCP server {url} cannot be reached: {reason}. See whether it runs, and whether its \
         URL is right."
    )]
    Unreachable {
        /// The server.
        url: String,
        /// What happened.
        reason: String,
    },
    /// What should be a server's URL is none.
    #[error("This is not the URL of an MCP server: {reason}.")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
}

fn said(words: &str) -> String {
    match words {
        "" => String::new(),
        words => format!(" ({words})"),
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => "redirects are not followed, so name the URL that it leads to",
        401 | 403 => "see whether `authorization` or `headers` of the tool are right",
        404 | 405 => "see whether its URL has the right path",
        429 => "try again later",
        500..=599 => "look into its log, or try again later",
        _ => "see whether it speaks MCP over streamable HTTP",
    }
}
