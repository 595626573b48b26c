//! Events about MCP servers.

use crate::event::server_event;
use crate::wire::Maybe;

server_event! {
    /// `response.mcp_call_arguments.delta`: more of a tool's arguments.
    pub struct ResponseMcpCallArgumentsDelta = "response.mcp_call_arguments.delta" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// A piece of JSON text.
        pub delta: String,
        /// Random padding against traffic analysis. Some clients insist on it here.
        pub obfuscation: Maybe<String>,
    }
}

server_event! {
    /// `response.mcp_call_arguments.done`: all of a tool's arguments.
    pub struct ResponseMcpCallArgumentsDone = "response.mcp_call_arguments.done" {
        /// The response.
        pub response_id: String,
        /// The item.
        pub item_id: String,
        /// Position of the item in the response.
        pub output_index: u32,
        /// A JSON text.
        pub arguments: String,
    }
}

server_event! {
    /// `response.mcp_call.in_progress`: a tool is being called.
    pub struct ResponseMcpCallInProgress = "response.mcp_call.in_progress" {
        /// Position of the item in the response.
        pub output_index: u32,
        /// The item.
        pub item_id: String,
    }
}

server_event! {
    /// `response.mcp_call.completed`: a tool has returned.
    pub struct ResponseMcpCallCompleted = "response.mcp_call.completed" {
        /// Position of the item in the response.
        pub output_index: u32,
        /// The item.
        pub item_id: String,
    }
}

server_event! {
    /// `response.mcp_call.failed`: a tool has failed.
    pub struct ResponseMcpCallFailed = "response.mcp_call.failed" {
        /// Position of the item in the response.
        pub output_index: u32,
        /// The item.
        pub item_id: String,
    }
}

server_event! {
    /// `mcp_list_tools.in_progress`: a server is asked for its tools.
    pub struct McpListToolsInProgress = "mcp_list_tools.in_progress" {
        /// The item.
        pub item_id: String,
    }
}

server_event! {
    /// `mcp_list_tools.completed`: a server has told its tools.
    pub struct McpListToolsCompleted = "mcp_list_tools.completed" {
        /// The item.
        pub item_id: String,
    }
}

server_event! {
    /// `mcp_list_tools.failed`: a server could not tell its tools.
    pub struct McpListToolsFailed = "mcp_list_tools.failed" {
        /// The item.
        pub item_id: String,
    }
}
