//! MCP servers of a session: asked for their tools, and their tools approved by the client.

use std::collections::BTreeMap;

use kaiwa_protocol::{
    ErrorDetail, Item, Maybe, McpApprovalResponse, McpListTools, McpListToolsCompleted,
    McpListToolsFailed, McpListToolsInProgress, McpTool, McpToolInfo, ToolChoice,
};

use super::{Applied, Session};
use crate::{
    Millis,
    conversation::{Entry, Place},
    engine::{EngineCommand, EngineEvent, JobId},
    event_size::{self, MAX_SHOWN_BYTES},
    mcp::Listing,
    outbox::JobOwner,
    refusal,
    response::{ApprovedCall, Response, Settings},
};

/// Code of the error that tells why a listing failed, where the tools take too much room.
const LISTING_TOO_LARGE: &str = "mcp_list_tools_too_large";

/// The calls that wait for the client's approval, and those that have its answer.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    /// By the id of the item that asks.
    asked: BTreeMap<String, Asked>,
    /// Answered while a response was active; they are gone about after it.
    answered: Vec<Answered>,
}

#[derive(Debug)]
struct Asked {
    call: ApprovedCall,
    /// Of the response that asked: the one that makes the call is like it.
    settings: Settings,
}

#[derive(Debug)]
struct Answered {
    /// `None` where the client did not approve.
    call: Option<ApprovedCall>,
    settings: Settings,
}

impl Approvals {
    /// Notes a call that the client is asked about.
    pub(super) fn ask(&mut self, call: ApprovedCall, settings: Settings) {
        let id = call.request_id.clone();
        self.asked.insert(id, Asked { call, settings });
    }

    /// The item that asks was deleted.
    pub(super) fn forget(&mut self, request_id: &str) {
        self.asked.remove(request_id);
    }

    /// Checks that an answer answers a question.
    pub(super) fn check(&self, answer: &McpApprovalResponse) -> Applied {
        if self.asked.contains_key(&answer.approval_request_id) {
            return Ok(());
        }
        Err(refusal::invalid(
            "item.approval_request_id",
            format!(
                "No MCP approval request with id '{}' waits for an answer.",
                answer.approval_request_id
            ),
        ))
    }

    /// Takes in an answer that was checked.
    pub(super) fn answer(&mut self, answer: &McpApprovalResponse) {
        if let Some(mut asked) = self.asked.remove(&answer.approval_request_id) {
            if !answer.approve {
                // Whoever had to call it would have to ask again.
                asked.settings.tool_choice = ToolChoice::Auto.into();
            }
            self.answered.push(Answered {
                call: answer.approve.then_some(asked.call),
                settings: asked.settings,
            });
        }
    }
}

impl Session {
    /// Asks the servers of the session's configuration for their tools, where they are not
    /// known.
    pub(super) fn list_session_tools(&mut self, event_id: Option<&str>) {
        for tool in Settings::of_session(&self.config).servers() {
            self.list_tools(tool, event_id);
        }
    }

    /// Asks a server for its tools, unless they are known. `event_id` is the event that
    /// declares it.
    pub(super) fn list_tools(&mut self, tool: &McpTool, event_id: Option<&str>) {
        let label = &tool.server_label;
        let asking = self.servers.asking(label);
        if !self.servers.declare(tool) {
            return;
        }
        if let Some(job) = asking {
            // It has moved: where it was, nobody is to ask any more.
            self.fail_listing(job);
            self.outbox.cancel(job);
        }
        let Some(server) = self.servers.server(label).cloned() else {
            return;
        };
        let item_id = self.outbox.ids.tool_listing();
        let entry = Entry::plain(listing(&item_id, label, Vec::new()));
        self.conversation.insert(entry, Place::End);
        if let Some(added) = self.conversation.added(&item_id) {
            self.outbox.send(added);
        }
        self.outbox.send(McpListToolsInProgress {
            item_id: item_id.clone(),
            ..McpListToolsInProgress::default()
        });
        let owner = JobOwner::Listing {
            label: label.clone(),
            item_id,
            event_id: event_id.map(str::to_owned),
        };
        let job = self.outbox.run(owner, EngineCommand::ListTools(server));
        self.servers.set_listing(label, Listing::Asked(job));
    }

    /// What a server says that was asked for its tools.
    pub(super) fn handle_listing(&mut self, job: JobId, event: EngineEvent) {
        let Some(JobOwner::Listing {
            label,
            item_id,
            event_id,
        }) = self.outbox.owner(job).cloned()
        else {
            return;
        };
        let (code, message) = match event {
            EngineEvent::ToolsListed { tools } => {
                let item = listing(&item_id, &label, described(tools));
                let bytes = event_size::item_bytes(&item);
                let most = MAX_SHOWN_BYTES.min(self.conversation.room());
                if bytes <= most {
                    // The id may be another item's now, which has bytes of its own.
                    if self.listing_entry(&item_id).is_some() {
                        self.conversation.count_created(&item_id, bytes);
                    }
                    return self.complete_listing(job, &label, &item_id, item);
                }
                let message =
                    format!("its tools take {bytes} bytes, and there is room for {most}.");
                (LISTING_TOO_LARGE.to_owned(), message)
            }
            EngineEvent::Failed { code, message } => (code, message),
            _ => return,
        };
        // `mcp_list_tools.failed` has no room for the reason.
        let message = format!("Cannot list the tools of the MCP server '{label}': {message}");
        let detail = ErrorDetail::server_error(&code, message);
        self.fail_listing(job);
        self.outbox.retire(job);
        self.outbox.refuse(detail, event_id.as_deref());
        self.write_waiting();
    }

    fn complete_listing(&mut self, job: JobId, label: &str, item_id: &str, item: Item) {
        if let Item::McpListTools(listed) = &item {
            let listing = Listing::Listed(listed.tools.clone());
            self.servers.set_listing(label, listing);
        }
        self.outbox.retire(job);
        // An answer that is held was written without these tools.
        self.drop_held();
        self.end_listing(item_id, Some(item));
        self.outbox.send(McpListToolsCompleted {
            item_id: item_id.to_owned(),
            ..McpListToolsCompleted::default()
        });
        self.write_waiting();
    }

    /// Says that a listing came to nothing.
    fn fail_listing(&mut self, job: JobId) {
        let Some(JobOwner::Listing { label, item_id, .. }) = self.outbox.owner(job).cloned() else {
            return;
        };
        if self.servers.asking(&label) == Some(job) {
            self.servers.set_listing(&label, Listing::Failed);
        }
        self.end_listing(&item_id, None);
        self.outbox.send(McpListToolsFailed {
            item_id,
            ..McpListToolsFailed::default()
        });
    }

    /// The item of a listing is whole, unless it was deleted; its id may be another item's now.
    fn end_listing(&mut self, item_id: &str, item: Option<Item>) {
        let Some(entry) = self.listing_entry(item_id) else {
            return;
        };
        if let Some(item) = item {
            entry.item = item;
        }
        if let Some(done) = self.conversation.done(item_id) {
            self.outbox.send(done);
        }
    }

    fn listing_entry(&mut self, item_id: &str) -> Option<&mut Entry> {
        let entry = self.conversation.entry_mut(item_id);
        entry.filter(|entry| matches!(entry.item, Item::McpListTools(_)))
    }

    /// Servers whose tools a response is to wait for: those it names itself, and the one it
    /// must use. Others that are still being asked do not hold it up.
    pub(super) fn awaited_servers(&self, settings: &Settings, own_tools: bool) -> Vec<String> {
        let chosen = match settings.tool_choice.value() {
            Some(ToolChoice::Mcp(choice)) => Some(&choice.server_label),
            _ => None,
        };
        settings
            .servers()
            .map(|tool| &tool.server_label)
            .filter(|label| own_tools || Some(*label) == chosen)
            .cloned()
            .collect()
    }

    /// Goes about the calls that the client has answered for, once nobody else speaks.
    pub(super) fn go_about_approvals(&mut self, now: Millis) {
        let is_free = self.active().is_none() && !self.user_is_speaking() && !self.is_in_doubt();
        if self.approvals.answered.is_empty() || !is_free {
            return;
        }
        let answered = std::mem::take(&mut self.approvals.answered);
        let Some(settings) = answered.first().map(|first| first.settings.clone()) else {
            return;
        };
        let calls = answered.into_iter().filter_map(|answered| answered.call);
        let id = self.outbox.ids.response();
        let response = Response::approved(id, settings, calls, &mut self.outbox);
        self.begin(response, now);
    }
}

/// The item that shows the tools of a server.
fn listing(item_id: &str, label: &str, tools: Vec<McpToolInfo>) -> Item {
    Item::McpListTools(McpListTools {
        id: item_id.into(),
        server_label: label.to_owned(),
        tools,
        ..McpListTools::default()
    })
}

/// Tools with a description each: one client drops the event where it is missing.
fn described(mut tools: Vec<McpToolInfo>) -> Vec<McpToolInfo> {
    for tool in &mut tools {
        if !tool.description.is_value() {
            tool.description = Maybe::Value(String::new());
        }
    }
    tools
}
