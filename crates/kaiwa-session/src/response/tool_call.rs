//! A call of a tool of an MCP server, and the question whether it may be made.

use kaiwa_protocol::{
    Item, Maybe, McpApprovalRequest, McpCall, McpError, McpToolExecutionError,
    ResponseMcpCallArgumentsDelta, ResponseMcpCallArgumentsDone, ResponseMcpCallCompleted,
    ResponseMcpCallFailed, ResponseMcpCallInProgress,
};

use super::Frame;
use crate::{
    engine::{EngineCommand, EngineEvent, JobId},
    event_size,
    mcp::Remote,
    outbox::JobOwner,
};

/// Most bytes of a tool's output that are kept.
const MAX_OUTPUT_BYTES: usize = 256 << 10;

/// A tool call that is being written or made.
#[derive(Debug)]
pub(super) struct ToolCallPart {
    pub(super) item_id: String,
    output_index: u32,
    remote: Remote,
    pub(super) arguments: String,
    /// The request that was approved, where one was needed.
    approval_request_id: Option<String>,
    /// Bytes of the arguments that were sent.
    sent: usize,
    announced: bool,
    /// Whether no more is written.
    pub(super) complete: bool,
    progress: Progress,
}

/// How far a call is.
#[derive(Debug)]
enum Progress {
    /// It was not made yet.
    Waiting,
    /// This job makes it.
    Running(JobId),
    /// It was made.
    Returned(Result<String, McpError>),
}

impl ToolCallPart {
    pub(super) fn new(item_id: String, output_index: u32, remote: Remote) -> Self {
        Self {
            item_id,
            output_index,
            remote,
            arguments: String::new(),
            approval_request_id: None,
            sent: 0,
            announced: false,
            complete: false,
            progress: Progress::Waiting,
        }
    }

    /// The call that a client has approved.
    pub(super) fn approved(item_id: String, output_index: u32, call: ApprovedCall) -> Self {
        Self {
            arguments: call.arguments,
            approval_request_id: Some(call.request_id),
            complete: true,
            ..Self::new(item_id, output_index, call.remote)
        }
    }

    /// Sends what was not sent yet, and makes the call once its arguments are written.
    pub(super) fn advance(&mut self, frame: &mut Frame<'_>) {
        if !self.announced {
            self.announce(frame);
        }
        self.send_new_arguments(frame);
        if self.complete && matches!(self.progress, Progress::Waiting) {
            self.end_arguments(frame);
            let command = EngineCommand::CallTool {
                server: self.remote.server.clone(),
                name: self.remote.name.clone(),
                arguments: self.arguments.clone(),
            };
            let owner = JobOwner::Response(frame.response_id.to_owned());
            self.progress = Progress::Running(frame.outbox.run(owner, command));
            frame.outbox.send(ResponseMcpCallInProgress {
                output_index: self.output_index,
                item_id: self.item_id.clone(),
                ..ResponseMcpCallInProgress::default()
            });
        }
    }

    /// Whether this job makes the call.
    pub(super) fn is_made_by(&self, job: JobId) -> bool {
        matches!(self.progress, Progress::Running(running) if running == job)
    }

    /// Takes in how the call ended.
    pub(super) fn hear(&mut self, event: EngineEvent) {
        self.progress = Progress::Returned(match event {
            EngineEvent::ToolReturned { mut output } => {
                output.truncate(output.floor_char_boundary(MAX_OUTPUT_BYTES));
                Ok(output)
            }
            EngineEvent::ToolFailed { error } => Err(error),
            EngineEvent::Failed { message, .. } => Err(execution_error(message)),
            _ => return,
        });
    }

    /// Whether the call is over.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.progress, Progress::Returned(_))
    }

    /// Says that the call is done; gives its item. A result for which there is no room, in the
    /// `shown` bytes that the response's last event has left or in the conversation, is none.
    pub(super) fn finish(mut self, frame: &mut Frame<'_>, shown: usize) -> Item {
        self.fit(match frame.settings.in_conversation {
            true => shown.min(frame.conversation.room()),
            false => shown,
        });
        let failed = !matches!(self.progress, Progress::Returned(Ok(_)));
        let (output_index, item_id) = (self.output_index, self.item_id.clone());
        if failed {
            frame.outbox.send(ResponseMcpCallFailed {
                output_index,
                item_id,
                ..ResponseMcpCallFailed::default()
            });
        } else {
            frame.outbox.send(ResponseMcpCallCompleted {
                output_index,
                item_id,
                ..ResponseMcpCallCompleted::default()
            });
        }
        let item = self.ended();
        let entry = self.remote.entry(item.clone());
        frame.end(self.output_index, &item, entry, &self.item_id);
        let bytes = event_size::item_bytes(&item);
        frame.conversation.count_created(&self.item_id, bytes);
        item
    }

    fn fit(&mut self, room: usize) {
        if let Progress::Returned(Ok(_)) = &self.progress {
            let bytes = event_size::item_bytes(&self.ended());
            if bytes > room {
                let message = format!("Its result takes {bytes} bytes; there is room for {room}.");
                self.progress = Progress::Returned(Err(execution_error(message)));
            }
        }
    }

    fn ended(&self) -> Item {
        let result = match &self.progress {
            Progress::Returned(result) => result.clone(),
            Progress::Waiting => Err(execution_error("The call was not made.")),
            Progress::Running(_) => Err(execution_error(
                "The call was cancelled; whether the tool did its work is not known.",
            )),
        };
        self.item(self.arguments.clone(), Some(result))
    }

    /// The response ends before the call is over. A call that the client was never told of
    /// disappears, since it was not made; but of one it has approved it hears.
    pub(super) fn cut_off(mut self, frame: &mut Frame<'_>, shown: usize) -> Option<Item> {
        if !self.announced {
            self.approval_request_id.as_ref()?;
            self.announce(frame);
        }
        match self.progress {
            Progress::Waiting => {
                self.send_new_arguments(frame);
                self.end_arguments(frame);
            }
            Progress::Running(job) => frame.outbox.cancel(job),
            Progress::Returned(_) => {}
        }
        Some(self.finish(frame, shown))
    }

    fn announce(&mut self, frame: &mut Frame<'_>) {
        self.announced = true;
        let item = self.item(String::new(), None);
        frame.add(self.output_index, item, &self.item_id);
    }

    fn send_new_arguments(&mut self, frame: &mut Frame<'_>) {
        if self.sent < self.arguments.len() {
            frame.outbox.send(ResponseMcpCallArgumentsDelta {
                response_id: frame.response_id.to_owned(),
                item_id: self.item_id.clone(),
                output_index: self.output_index,
                delta: self.arguments[self.sent..].to_owned(),
                // Nothing is hidden by it; one client drops the event without the key.
                obfuscation: String::new().into(),
                ..ResponseMcpCallArgumentsDelta::default()
            });
            self.sent = self.arguments.len();
        }
    }

    fn end_arguments(&self, frame: &mut Frame<'_>) {
        frame.outbox.send(ResponseMcpCallArgumentsDone {
            response_id: frame.response_id.to_owned(),
            item_id: self.item_id.clone(),
            output_index: self.output_index,
            arguments: self.arguments.clone(),
            ..ResponseMcpCallArgumentsDone::default()
        });
    }

    fn item(&self, arguments: String, result: Option<Result<String, McpError>>) -> Item {
        let (output, error) = match result {
            Some(Ok(output)) => (Maybe::Value(output), Maybe::Null),
            Some(Err(error)) => (Maybe::Null, Maybe::Value(error)),
            None => (Maybe::Null, Maybe::Null),
        };
        Item::McpCall(Box::new(McpCall {
            id: self.item_id.clone().into(),
            server_label: self.remote.label.clone(),
            name: self.remote.name.clone(),
            arguments,
            approval_request_id: Maybe::nullable(self.approval_request_id.clone()),
            output,
            error,
            ..McpCall::default()
        }))
    }
}

fn execution_error(message: impl Into<String>) -> McpError {
    McpError::ToolExecution(McpToolExecutionError {
        message: message.into(),
        ..McpToolExecutionError::default()
    })
}

/// A call that the client is to be asked about.
#[derive(Debug)]
pub(super) struct ApprovalPart {
    pub(super) item_id: String,
    output_index: u32,
    remote: Remote,
    pub(super) arguments: String,
    /// Whether no more is written.
    pub(super) complete: bool,
}

/// A call that waits for its approval, or has it.
#[derive(Clone, Debug)]
pub(crate) struct ApprovedCall {
    /// The item that asked for it.
    pub(crate) request_id: String,
    remote: Remote,
    arguments: String,
}

impl ApprovalPart {
    pub(super) fn new(item_id: String, output_index: u32, remote: Remote) -> Self {
        Self {
            item_id,
            output_index,
            remote,
            arguments: String::new(),
            complete: false,
        }
    }

    /// Asks the client; gives the item that does, and what is to be done when it agrees.
    pub(super) fn finish(self, frame: &mut Frame<'_>) -> (Item, ApprovedCall) {
        let item = Item::McpApprovalRequest(McpApprovalRequest {
            id: self.item_id.clone().into(),
            server_label: self.remote.label.clone(),
            name: self.remote.name.clone(),
            arguments: self.arguments.clone(),
            ..McpApprovalRequest::default()
        });
        frame.add(self.output_index, item.clone(), &self.item_id);
        let entry = self.remote.entry(item.clone());
        frame.end(self.output_index, &item, entry, &self.item_id);
        let call = ApprovedCall {
            request_id: self.item_id,
            remote: self.remote,
            arguments: self.arguments,
        };
        (item, call)
    }
}
