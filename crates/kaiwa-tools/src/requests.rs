//! What is asked of a server, however it is talked to.

use rmcp::{
    RoleClient, ServiceError,
    model::{
        CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, ErrorData,
        Implementation, PaginatedRequestParams,
    },
    service::RunningService,
};
use serde_json::Value;

use crate::{Error, Tool, output};

/// Most tools a server may have.
pub const MAX_TOOLS: usize = 128;

/// Most bytes of the names, descriptions, schemas and hints of a server's tools together.
pub const MAX_LISTING: usize = 512 << 10;

/// Pages of a listing that are asked for at most: a server may have empty ones.
const MAX_PAGES: usize = MAX_TOOLS;

/// JSON-RPC's code of a message that makes no sense.
pub(crate) const INVALID_REQUEST: i64 = -32600;

/// JSON-RPC's code of a message that cannot be read.
pub(crate) const PARSE_ERROR: i64 = -32700;

pub(crate) type Running = RunningService<RoleClient, ClientConfig>;

/// What we say of ourselves.
pub(crate) fn about() -> ClientConfig {
    let this = Implementation::new("kaiwa", env!("CARGO_PKG_VERSION"));
    ClientConfig::new(ClientCapabilities::default(), this)
}

/// All tools of a server.
pub(crate) async fn list(
    running: &Running,
    server: &str,
    failed: impl Fn(&ServiceError) -> Error,
) -> Result<Vec<Tool>, Error> {
    let too_large = |limit| Error::TooLarge {
        url: server.to_owned(),
        limit,
    };
    let mut tools = Vec::new();
    let mut size = 0;
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let page = running
            .list_tools(Some(params))
            .await
            .map_err(|error| failed(&error))?;
        for tool in page.tools {
            let tool = Tool::new(tool);
            size += tool.size();
            if size > MAX_LISTING {
                return Err(too_large("512 KiB to say about its tools"));
            }
            tools.push(tool);
            if tools.len() > MAX_TOOLS {
                return Err(too_large("128 tools"));
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(tools);
        }
    }
    Err(too_large("128 pages of tools"))
}

/// What a tool of a server returns.
pub(crate) async fn call(
    running: &Running,
    server: &str,
    params: CallToolRequestParams,
    failed: impl Fn(&ServiceError) -> Error,
) -> Result<String, Error> {
    match running.call_tool_once(params).await {
        Ok(CallToolResponse::Complete(result)) => output::text(&result),
        Ok(_) => Err(Error::Protocol {
            code: INVALID_REQUEST,
            message: format!(
                "The MCP server {server} wants more than the arguments, which it does not get here."
            ),
        }),
        Err(error) => Err(failed(&error)),
    }
}

/// The parameters of a call.
pub(crate) fn params(tool: &str, arguments: &str) -> Result<CallToolRequestParams, Error> {
    let refused = |reason: String| Error::Arguments {
        tool: tool.to_owned(),
        reason,
    };
    let params = CallToolRequestParams::new(tool.to_owned());
    if arguments.trim().is_empty() {
        return Ok(params.with_arguments(serde_json::Map::new()));
    }
    match serde_json::from_str(arguments).map_err(|error| refused(error.to_string()))? {
        Value::Object(arguments) => Ok(params.with_arguments(arguments)),
        Value::Array(_) => Err(refused("they are an array".into())),
        Value::String(_) => Err(refused("they are a string".into())),
        Value::Number(_) => Err(refused("they are a number".into())),
        Value::Bool(_) => Err(refused("they are a boolean".into())),
        Value::Null => Err(refused("they are null".into())),
    }
}

pub(crate) fn of_server(url: &str, error: &ErrorData) -> Error {
    Error::Protocol {
        code: error.code.0.into(),
        message: format!("The MCP server {url} reports: {}", error.message),
    }
}

pub(crate) fn nonsense(url: &str, code: i64, what: &dyn std::fmt::Display) -> Error {
    Error::Protocol {
        code,
        message: format!("The MCP server {url} does not answer as MCP has it: {what}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_or_nothing() {
        for nothing in ["", " \n", "{}"] {
            let params = params("look", nothing).expect(nothing);
            assert_eq!(params.arguments.map(|arguments| arguments.len()), Some(0));
        }
        for (arguments, reason) in [
            ("[1]", "they are an array"),
            ("null", "they are null"),
            ("\"{}\"", "they are a string"),
            ("{\"a\":", "EOF while parsing a value at line 1 column 5"),
        ] {
            assert_eq!(
                params("look", arguments).expect_err(arguments).to_string(),
                format!("The arguments of the tool look are not a JSON object: {reason}.")
            );
        }
    }
}
