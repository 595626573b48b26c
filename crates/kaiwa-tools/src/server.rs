//! A server, and what it offers.

use std::{fmt, sync::Arc};

use rmcp::model;
use serde_json::Value;

/// An MCP server as a client of ours names it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// Its URL (streamable HTTP). Not checked before it is contacted.
    pub url: String,
    /// Headers of every request to it, among them secrets. Not checked before either.
    pub headers: Vec<(String, String)>,
}

impl Server {
    /// A server that needs no headers.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
        }
    }

    /// The same with these headers.
    #[must_use]
    pub fn with_headers(self, headers: Vec<(String, String)>) -> Self {
        Self { headers, ..self }
    }
}

impl fmt::Debug for Server {
    /// Without the values of the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("headers", &names)
            .finish()
    }
}

/// A tool of a server.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema of its arguments, an object.
    pub input_schema: Value,
    /// The server's hints about it, an object.
    pub annotations: Option<Value>,
}

impl Tool {
    pub(crate) fn new(tool: model::Tool) -> Self {
        Self {
            name: tool.name.into_owned(),
            description: tool.description.map(Into::into),
            input_schema: Value::Object(Arc::unwrap_or_clone(tool.input_schema)),
            annotations: tool
                .annotations
                // Strings and flags, which serialize without fail.
                .and_then(|annotations| serde_json::to_value(annotations).ok()),
        }
    }

    /// Bytes of what it says about itself.
    pub(crate) fn size(&self) -> usize {
        let annotations = self.annotations.as_ref().map(ToString::to_string);
        self.name.len()
            + self.description.as_ref().map_or(0, String::len)
            + self.input_schema.to_string().len()
            + annotations.map_or(0, |text| text.len())
    }
}
