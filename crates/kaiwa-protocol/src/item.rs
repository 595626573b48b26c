//! Items: what a conversation is made of.

use crate::content::ContentPart;
use crate::wire::{Maybe, RawJson, object, string_enum, union};

union! {
    /// An item of a conversation.
    pub enum Item {
        /// Something said or written.
        Message(Message),
        /// The model asks for a function to be called.
        FunctionCall(FunctionCall),
        /// What a function returned.
        FunctionCallOutput(FunctionCallOutput),
        /// The tools that an MCP server offers.
        McpListTools(McpListTools),
        /// A call of a tool of an MCP server.
        McpCall(Box<McpCall>),
        /// The server asks whether a tool of an MCP server may be called.
        McpApprovalRequest(McpApprovalRequest),
        /// The answer to [`McpApprovalRequest`].
        McpApprovalResponse(McpApprovalResponse),
        /// A reference to an item of the conversation, legal only in `response.create`'s `input`.
        Reference(ItemReference),
    }
}

impl Item {
    /// A finished message of a user who wrote `text`.
    pub fn user_text(text: impl Into<String>) -> Self {
        Message::new(Role::User, vec![ContentPart::input_text(text)]).into()
    }

    /// What the function called as `call_id` returned.
    pub fn function_output(call_id: impl Into<String>, output: impl Into<String>) -> Self {
        Self::FunctionCallOutput(FunctionCallOutput {
            call_id: call_id.into(),
            output: output.into(),
            ..FunctionCallOutput::default()
        })
    }

    /// Sets the item's id. Does nothing on an unknown item.
    pub fn set_id(&mut self, id: impl Into<String>) {
        let id = Maybe::Value(id.into());
        match self {
            Self::Message(item) => item.id = id,
            Self::FunctionCall(item) => item.id = id,
            Self::FunctionCallOutput(item) => item.id = id,
            Self::McpListTools(item) => item.id = id,
            Self::McpCall(item) => item.id = id,
            Self::McpApprovalRequest(item) => item.id = id,
            Self::McpApprovalResponse(item) => item.id = id,
            Self::Reference(item) => item.id = id.unwrap_or_default(),
            Self::Unknown(_) => {}
        }
    }

    /// Sets the item's status. Does nothing on items that have none.
    pub fn set_status(&mut self, status: ItemStatus) {
        match self {
            Self::Message(item) => item.status = status.into(),
            Self::FunctionCall(item) => item.status = status.into(),
            Self::FunctionCallOutput(item) => item.status = status.into(),
            Self::McpListTools(_)
            | Self::McpCall(_)
            | Self::McpApprovalRequest(_)
            | Self::McpApprovalResponse(_)
            | Self::Reference(_)
            | Self::Unknown(_) => {}
        }
    }

    /// Sets the item's `object` member to `realtime.item`, as the server does in what it sends. Does nothing on items
    /// that have none.
    pub fn set_object(&mut self) {
        let object = Maybe::from(ITEM_OBJECT);
        match self {
            Self::Message(item) => item.object = object,
            Self::FunctionCall(item) => item.object = object,
            Self::FunctionCallOutput(item) => item.object = object,
            Self::McpListTools(_)
            | Self::McpCall(_)
            | Self::McpApprovalRequest(_)
            | Self::McpApprovalResponse(_)
            | Self::Reference(_)
            | Self::Unknown(_) => {}
        }
    }

    /// The item's id, if it has one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Message(item) => item.id.as_deref(),
            Self::FunctionCall(item) => item.id.as_deref(),
            Self::FunctionCallOutput(item) => item.id.as_deref(),
            Self::McpListTools(item) => item.id.as_deref(),
            Self::McpCall(item) => item.id.as_deref(),
            Self::McpApprovalRequest(item) => item.id.as_deref(),
            Self::McpApprovalResponse(item) => item.id.as_deref(),
            Self::Reference(item) => Some(&item.id),
            Self::Unknown(_) => None,
        }
    }

    /// The item's status, if it has one.
    pub fn status(&self) -> Option<&ItemStatus> {
        match self {
            Self::Message(item) => item.status.value(),
            Self::FunctionCall(item) => item.status.value(),
            Self::FunctionCallOutput(item) => item.status.value(),
            Self::McpListTools(_)
            | Self::McpCall(_)
            | Self::McpApprovalRequest(_)
            | Self::McpApprovalResponse(_)
            | Self::Reference(_)
            | Self::Unknown(_) => None,
        }
    }
}

impl Default for Item {
    /// An empty message.
    fn default() -> Self {
        Self::Message(Message::default())
    }
}

/// The value of an item's `object` member.
pub const ITEM_OBJECT: &str = "realtime.item";

object! {
    /// Something said or written.
    pub struct Message = "message" {
        /// Chosen by the client, or `item_` and more; at most 32 characters.
        pub id: Maybe<String>,
        /// [`ITEM_OBJECT`], when there.
        pub object: Maybe<String>,
        /// How far the item has come. Without effect when a client sends it.
        pub status: Maybe<ItemStatus>,
        /// Who speaks.
        pub role: Role,
        /// What is said: `input_text` for the system; `input_text`, `input_audio`, `input_image` for the user;
        /// `output_text`, `output_audio` for the assistant.
        pub content: Vec<ContentPart>,
    }
}

impl Message {
    /// A message with the given content and neither id nor status.
    pub fn new(role: Role, content: Vec<ContentPart>) -> Self {
        Self {
            role,
            content,
            ..Self::default()
        }
    }
}

object! {
    /// The model asks for a function to be called.
    pub struct FunctionCall = "function_call" {
        /// The item's id.
        pub id: Maybe<String>,
        /// [`ITEM_OBJECT`], when there.
        pub object: Maybe<String>,
        /// How far the item has come.
        pub status: Maybe<ItemStatus>,
        /// Names the call; the output refers to it. At most 32 characters.
        pub call_id: Maybe<String>,
        /// The function's name.
        pub name: String,
        /// The arguments, a JSON text; empty while the item is being made.
        pub arguments: String,
    }
}

object! {
    /// What a function returned.
    pub struct FunctionCallOutput = "function_call_output" {
        /// The item's id.
        pub id: Maybe<String>,
        /// [`ITEM_OBJECT`], when there.
        pub object: Maybe<String>,
        /// How far the item has come.
        pub status: Maybe<ItemStatus>,
        /// The call it answers.
        pub call_id: String,
        /// Free text, often JSON.
        pub output: String,
    }
}

object! {
    /// The tools that an MCP server offers.
    pub struct McpListTools = "mcp_list_tools" {
        /// The item's id.
        pub id: Maybe<String>,
        /// The server's label in the session's tools.
        pub server_label: String,
        /// Its tools; empty while they are being asked for.
        pub tools: Vec<McpToolInfo>,
    }
}

object! {
    /// One tool of an MCP server.
    pub struct McpToolInfo {
        /// The tool's name.
        pub name: String,
        /// What it does.
        pub description: Maybe<String>,
        /// JSON Schema of its arguments.
        pub input_schema: RawJson,
        /// The server's hints about the tool.
        pub annotations: Maybe<RawJson>,
    }
}

object! {
    /// A call of a tool of an MCP server.
    pub struct McpCall = "mcp_call" {
        /// The item's id.
        pub id: Maybe<String>,
        /// The server's label in the session's tools.
        pub server_label: String,
        /// The tool's name.
        pub name: String,
        /// The arguments, a JSON text.
        pub arguments: String,
        /// The request that was approved, if one was needed.
        pub approval_request_id: Maybe<String>,
        /// What the tool returned.
        pub output: Maybe<String>,
        /// Why it failed.
        pub error: Maybe<McpError>,
    }
}

union! {
    /// Why a call of a tool of an MCP server failed.
    pub enum McpError {
        /// The server broke the protocol or reported an error in its terms.
        Protocol(McpProtocolError),
        /// The tool ran and failed.
        ToolExecution(McpToolExecutionError),
        /// The server answered with an HTTP error.
        Http(McpHttpError),
    }
}

object! {
    /// An error in terms of MCP.
    pub struct McpProtocolError = "protocol_error" {
        /// JSON-RPC error code.
        pub code: i64,
        /// What went wrong.
        pub message: String,
    }
}

object! {
    /// A failure of the tool itself.
    pub struct McpToolExecutionError = "tool_execution_error" {
        /// What went wrong.
        pub message: String,
    }
}

object! {
    /// An error in terms of HTTP.
    pub struct McpHttpError = "http_error" {
        /// HTTP status.
        pub code: i64,
        /// What went wrong.
        pub message: String,
    }
}

object! {
    /// The server asks whether a tool of an MCP server may be called.
    pub struct McpApprovalRequest = "mcp_approval_request" {
        /// The item's id.
        pub id: Maybe<String>,
        /// The server's label in the session's tools.
        pub server_label: String,
        /// The tool's name.
        pub name: String,
        /// The arguments, a JSON text.
        pub arguments: String,
    }
}

object! {
    /// The answer to [`McpApprovalRequest`].
    pub struct McpApprovalResponse = "mcp_approval_response" {
        /// The item's id.
        pub id: Maybe<String>,
        /// The request it answers.
        pub approval_request_id: String,
        /// Whether the tool may be called.
        pub approve: bool,
        /// Why, or why not.
        pub reason: Maybe<String>,
    }
}

object! {
    /// A reference to an item of the conversation.
    pub struct ItemReference = "item_reference" {
        /// The item's id.
        pub id: String,
    }
}

string_enum! {
    /// How far an item has come.
    pub enum ItemStatus {
        /// The model is still producing it.
        InProgress = "in_progress",
        /// It is whole.
        Completed = "completed",
        /// It was cut short.
        Incomplete = "incomplete",
    }
}

string_enum! {
    /// Who speaks.
    #[derive(Default)]
    pub enum Role {
        /// The one who instructs the model.
        System = "system",
        /// The person.
        #[default]
        User = "user",
        /// The model.
        Assistant = "assistant",
    }
}
