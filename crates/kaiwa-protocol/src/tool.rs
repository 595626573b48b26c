//! Tools: functions of the client, and MCP servers.

use std::collections::BTreeMap;

use crate::wire::{Maybe, RawJson, either, object, string_enum, union};

union! {
    /// A tool at the model's disposal.
    pub enum Tool {
        /// A function that the client runs.
        Function(FunctionTool),
        /// The tools of an MCP server.
        Mcp(Box<McpTool>),
    }
}

object! {
    /// A function that the client runs.
    pub struct FunctionTool = "function" {
        /// Its name.
        pub name: Maybe<String>,
        /// What it does and when to use it, for the model.
        pub description: Maybe<String>,
        /// JSON Schema of its arguments.
        pub parameters: Maybe<RawJson>,
    }
}

object! {
    /// The tools of an MCP server.
    pub struct McpTool = "mcp" {
        /// The label under which items refer to the server.
        pub server_label: String,
        /// Where it is. Exactly one of this, `connector_id` and `tunnel_id` names the server.
        pub server_url: Maybe<String>,
        /// A connector of the platform.
        pub connector_id: Maybe<String>,
        /// A tunnel of the platform.
        pub tunnel_id: Maybe<String>,
        /// A token for the server.
        pub authorization: Maybe<String>,
        /// HTTP headers for the server.
        pub headers: Maybe<BTreeMap<String, String>>,
        /// What the server is for.
        pub server_description: Maybe<String>,
        /// Which of its tools may be used; absent for all.
        pub allowed_tools: Maybe<AllowedTools>,
        /// Which of its tools need approval (default `always`).
        pub require_approval: Maybe<RequireApproval>,
        /// Who may call: `direct`, `programmatic`.
        pub allowed_callers: Maybe<Vec<String>>,
        /// Whether its tools are loaded only when needed.
        pub defer_loading: Maybe<bool>,
    }
}

either! {
    /// Which tools of an MCP server may be used.
    pub enum AllowedTools {
        /// Those named.
        List => Names(Vec<String>),
        /// Those that match.
        Object => Filter(ToolFilter),
    }
    expected "an array of names or an object"
}

object! {
    /// A choice among the tools of an MCP server.
    pub struct ToolFilter {
        /// By name.
        pub tool_names: Maybe<Vec<String>>,
        /// By whether they change nothing.
        pub read_only: Maybe<bool>,
    }
}

either! {
    /// Which tools of an MCP server need approval.
    pub enum RequireApproval {
        /// All or none.
        Text => Policy(ApprovalPolicy),
        /// Depending on the tool.
        Object => Filter(ApprovalFilter),
    }
    expected "\"always\", \"never\" or an object"
}

string_enum! {
    /// Whether tools need approval.
    pub enum ApprovalPolicy {
        /// All do.
        Always = "always",
        /// None does.
        Never = "never",
    }
}

object! {
    /// Which tools need approval and which do not.
    pub struct ApprovalFilter {
        /// Those that do.
        pub always: Maybe<ToolFilter>,
        /// Those that do not.
        pub never: Maybe<ToolFilter>,
    }
}

union! {
    /// Whether the model may, must or must not use tools.
    pub enum ToolChoice {
        /// It must use this function.
        Function(ToolChoiceFunction),
        /// It must use this MCP server.
        Mcp(ToolChoiceMcp),
    } or {
        /// It may.
        Auto = "auto",
        /// It must not.
        None = "none",
        /// It must use one.
        Required = "required",
    }
}

object! {
    /// The function that must be used.
    pub struct ToolChoiceFunction = "function" {
        /// Its name.
        pub name: String,
    }
}

object! {
    /// The MCP server that must be used.
    pub struct ToolChoiceMcp = "mcp" {
        /// Its label.
        pub server_label: String,
        /// The tool that must be used; absent for any.
        pub name: Maybe<String>,
    }
}
