//! MCP servers: those a session has declared, what they offer, and who may use it.
//!
//! The session decides when a server is asked for its tools and when one of them is called;
//! the driver, which alone knows the network, decides whether a server may be contacted.

mod declare;
mod offer;

use std::collections::BTreeMap;

use kaiwa_protocol::{McpTool, McpToolInfo};

pub(crate) use self::{
    declare::{check, resolve, without_secrets},
    offer::{Offer, Remote},
};
use crate::engine::{JobId, McpServer};

/// The servers that a session has declared, by label.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    known: BTreeMap<String, Known>,
}

/// A declared server.
#[derive(Debug)]
struct Known {
    /// As it was declared, for updates that name only the label.
    declared: McpTool,
    server: McpServer,
    listing: Listing,
}

/// What is known of a server's tools.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Listing {
    /// This job asks for them.
    Asked(JobId),
    /// These are they.
    Listed(Vec<McpToolInfo>),
    /// It could not be asked.
    Failed,
}

impl Servers {
    /// Takes note of a resolved declaration. `true` means that the server has to be asked for
    /// its tools: it is new, it moved, or the last listing failed.
    pub(crate) fn declare(&mut self, declared: &McpTool) -> bool {
        let server = declare::server(declared);
        match self.known.get_mut(&declared.server_label) {
            Some(known) if known.server == server && known.listing != Listing::Failed => {
                known.declared = declared.clone();
                false
            }
            _ => {
                let known = Known {
                    declared: declared.clone(),
                    server,
                    listing: Listing::Failed,
                };
                self.known.insert(declared.server_label.clone(), known);
                true
            }
        }
    }

    /// The job that asks a server for its tools, if one does.
    pub(crate) fn asking(&self, label: &str) -> Option<JobId> {
        match self.known.get(label)?.listing {
            Listing::Asked(job) => Some(job),
            Listing::Listed(_) | Listing::Failed => None,
        }
    }

    /// Notes what is known of a server's tools.
    pub(crate) fn set_listing(&mut self, label: &str, listing: Listing) {
        if let Some(known) = self.known.get_mut(label) {
            known.listing = listing;
        }
    }

    /// Where a declared server is.
    pub(crate) fn server(&self, label: &str) -> Option<&McpServer> {
        self.known.get(label).map(|known| &known.server)
    }

    /// How many servers were declared.
    fn len(&self) -> usize {
        self.known.len()
    }

    /// The declaration of a server.
    fn declared(&self, label: &str) -> Option<&McpTool> {
        self.known.get(label).map(|known| &known.declared)
    }

    /// The tools of a server, as far as they are listed.
    fn listed(&self, label: &str) -> Option<(&McpServer, &[McpToolInfo])> {
        let known = self.known.get(label)?;
        match &known.listing {
            Listing::Listed(tools) => Some((&known.server, tools)),
            Listing::Asked(_) | Listing::Failed => None,
        }
    }
}
