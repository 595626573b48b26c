//! MCP servers that the user of this program has named.

use std::fmt;

use serde_json::Value;

use crate::{Allowed, Error, Limits, Server, Servers, Tool, child::Child};

/// A server that is there for as long as this is.
pub struct NamedServer {
    name: String,
    how: How,
}

enum How {
    /// It is a program.
    Child(Box<Child>),
    /// It is talked to over HTTP.
    Http { servers: Servers, server: Server },
}

impl NamedServer {
    /// Contacts a server: at a URL that begins with `http://` or `https://`, with the key if there is
    /// one, else the program of a command line, which is started in our environment without the
    /// variables `withheld`.
    ///
    /// # Errors
    ///
    /// When the program cannot be started or says something other than MCP, or the URL is none. A
    /// server over HTTP is connected to when it is asked for something.
    pub async fn open(
        named: &str,
        key: Option<&str>,
        withheld: &[String],
        limits: Limits,
    ) -> Result<Self, Error> {
        let bearer = |key: &str| ("authorization".to_owned(), format!("Bearer {key}"));
        let how = match is_url(named) {
            true => How::Http {
                servers: Servers::with_limits(Allowed::only(named)?, limits),
                server: Server::new(named).with_headers(key.map(bearer).into_iter().collect()),
            },
            false => How::Child(Box::new(Child::start(named, withheld, limits).await?)),
        };
        Ok(Self {
            name: named.to_owned(),
            how,
        })
    }

    /// All its tools, in its order.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn list_tools(&self) -> Result<Vec<Tool>, Error> {
        match &self.how {
            How::Child(child) => child.list_tools().await,
            How::Http { servers, server } => servers.list_tools(server).await,
        }
    }

    /// Calls a tool with a JSON object, and gives text for a language model.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn call(&self, tool: &str, arguments: &Value) -> Result<String, Error> {
        match &self.how {
            How::Child(child) => child.call(tool, arguments).await,
            How::Http { servers, server } => {
                servers.call(server, tool, &arguments.to_string()).await
            }
        }
    }
}

/// Whether a server is named by its URL.
pub(crate) fn is_url(named: &str) -> bool {
    named.starts_with("http://") || named.starts_with("https://")
}

impl fmt::Debug for NamedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedServer").field(&self.name).finish()
    }
}
