//! An MCP server that is a program of this machine, talked to over its stdin and stdout.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use rmcp::{
    ServiceError,
    service::{ClientInitializeError, serve_client},
};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::{
    Error, Limits, Tool,
    process::{self, Ending, Group},
    requests::{self, INVALID_REQUEST, Running, about, nonsense, of_server, params},
};

/// How long a program that has closed its stdout may take to close its stderr, too.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A program that was started. It ends, and with it what it has started, when this is dropped.
pub(crate) struct Child {
    running: Running,
    /// The end of what it says on stderr, once it has ended.
    words: Shared<BoxFuture<'static, String>>,
    limits: Limits,
    /// The program in sentences.
    name: Arc<str>,
    _group: Group,
}

impl Child {
    /// Starts the program of a command line, in our environment without these variables.
    pub(crate) async fn start(
        command: &str,
        withheld: &[String],
        limits: Limits,
    ) -> Result<Self, Error> {
        let not_started = |reason: String| Error::NotStarted {
            command: command.to_owned(),
            reason,
        };
        let words = shlex::split(command).unwrap_or_default();
        let Some((program, arguments)) = words.split_first() else {
            return Err(not_started(
                "it is empty, or a quote in it has no end".to_owned(),
            ));
        };
        let mut child = Command::new(program);
        child.args(arguments);
        for name in withheld {
            child.env_remove(name);
        }
        let mut group = Group::start(&mut child, Ending::Asked)
            .map_err(|error| not_started(error.to_string()))?;
        let streams = (
            group.child.stdout.take(),
            group.child.stdin.take(),
            group.child.stderr.take(),
        );
        let (Some(output), Some(input), Some(errors)) = streams else {
            return Err(not_started("it has no pipes".to_owned()));
        };
        let reading = tokio::spawn(process::last_words(errors));
        let words = reading.map(Result::unwrap_or_default).boxed().shared();
        let name: Arc<str> = program.as_str().into();
        let begun = timeout(limits.start, serve_client(about(), (output, input))).await;
        match begun {
            Ok(Ok(running)) => Ok(Self {
                running,
                words,
                limits,
                name,
                _group: group,
            }),
            Ok(Err(ClientInitializeError::JsonRpcError(error))) => Err(of_server(&name, &error)),
            Ok(Err(
                ClientInitializeError::ConnectionClosed(_)
                | ClientInitializeError::TransportError { .. },
            )) => Err(ended(&name, words).await),
            Ok(Err(other)) => Err(nonsense(&name, INVALID_REQUEST, &other)),
            Err(_) => Err(Error::TimedOut {
                url: name.to_string(),
                what: "begin to speak MCP",
                limit: limits.start,
            }),
        }
    }

    pub(crate) async fn list_tools(&self) -> Result<Vec<Tool>, Error> {
        let limit = self.limits.list;
        let listing = self.explained(requests::list(&self.running, &self.name, |error| {
            self.failed(error)
        }));
        let late = || self.timed_out("list its tools", limit);
        timeout(limit, listing)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    pub(crate) async fn call(&self, tool: &str, arguments: &Value) -> Result<String, Error> {
        let params = params(tool, &arguments.to_string())?;
        let limit = self.limits.call;
        let calling = self.explained(requests::call(&self.running, &self.name, params, |error| {
            self.failed(error)
        }));
        let late = || self.timed_out("return from the tool", limit);
        timeout(limit, calling)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// The outcome, with the last words of a program that has ended.
    async fn explained<T>(
        &self,
        outcome: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match outcome.await {
            Err(Error::Ended { .. }) => Err(ended(&self.name, self.words.clone()).await),
            outcome => outcome,
        }
    }

    fn failed(&self, error: &ServiceError) -> Error {
        match error {
            ServiceError::McpError(error) => of_server(&self.name, error),
            ServiceError::TransportSend(_) | ServiceError::TransportClosed => Error::Ended {
                command: self.name.to_string(),
                words: String::new(),
            },
            other => nonsense(&self.name, INVALID_REQUEST, other),
        }
    }

    fn timed_out(&self, what: &'static str, limit: Duration) -> Error {
        Error::TimedOut {
            url: self.name.to_string(),
            what,
            limit,
        }
    }
}

async fn ended(name: &str, words: Shared<BoxFuture<'static, String>>) -> Error {
    Error::Ended {
        command: name.to_owned(),
        // What it has started may hold its stderr open.
        words: timeout(LAST_WORDS, words).await.unwrap_or_default(),
    }
}
