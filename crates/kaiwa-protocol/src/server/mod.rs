//! Events from the server to the client.

mod input;
mod item;
mod mcp;
mod output;
mod response;
mod session;

pub use input::*;
pub use item::*;
pub use mcp::*;
pub use output::*;
pub use response::*;
pub use session::*;

use crate::event::events;

events! {
    /// An event from the server to the client.
    pub enum ServerEvent {
        SessionCreated,
        SessionUpdated,
        Error,
        RateLimitsUpdated,
        ConversationCreated,
        InputAudioBufferCommitted,
        InputAudioBufferCleared,
        InputAudioBufferSpeechStarted,
        InputAudioBufferSpeechStopped,
        InputAudioBufferTimeoutTriggered,
        InputAudioBufferDtmfEventReceived,
        ConversationItemAdded,
        ConversationItemDone,
        ConversationItemCreated,
        ConversationItemRetrieved,
        ConversationItemTruncated,
        ConversationItemDeleted,
        ConversationItemInputAudioTranscriptionDelta,
        ConversationItemInputAudioTranscriptionCompleted,
        ConversationItemInputAudioTranscriptionFailed,
        ConversationItemInputAudioTranscriptionSegment,
        ResponseCreated,
        ResponseDone,
        ResponseOutputItemAdded,
        ResponseOutputItemDone,
        ResponseContentPartAdded,
        ResponseContentPartDone,
        ResponseOutputTextDelta,
        ResponseOutputTextDone,
        ResponseOutputAudioTranscriptDelta,
        ResponseOutputAudioTranscriptDone,
        ResponseOutputAudioDelta,
        ResponseOutputAudioDone,
        ResponseFunctionCallArgumentsDelta,
        ResponseFunctionCallArgumentsDone,
        ResponseMcpCallArgumentsDelta,
        ResponseMcpCallArgumentsDone,
        ResponseMcpCallInProgress,
        ResponseMcpCallCompleted,
        ResponseMcpCallFailed,
        McpListToolsInProgress,
        McpListToolsCompleted,
        McpListToolsFailed,
        OutputAudioBufferStarted,
        OutputAudioBufferStopped,
        OutputAudioBufferCleared,
    }
}
