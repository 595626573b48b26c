//! The tools of a conversation, as the flags name them.

use std::{sync::Arc, time::Duration};

use kaiwa_client::tools::{Confirm, Confirmation, Tool, ToolError, Tools};
use kaiwa_engine::remote::Endpoint;
use kaiwa_tools::{
    Limits, NamedServer, builtin,
    commands::{self, Agreement, CommandTool, FileError, McpServer},
};
use serde_json::json;

use crate::{
    cli::{BuiltIn, TalkArgs},
    exit::{Code, Exit},
    output,
};

/// What a call gets over the time of its MCP server, whose own words come first then.
const GRACE: Duration = Duration::from_secs(1);
/// The tool that is there by default.
const CLOCK: &str = "clock";
/// Characters of a tool's name.
const LONGEST_NAME: usize = 64;

/// Gathers them; MCP servers are started and asked. Somebody `can_be_asked` about calls, or not.
pub(super) async fn gather(arguments: &TalkArgs, can_be_asked: bool) -> Result<Tools, Exit> {
    let mut tools = Tools::default();
    tools.confirmation = match (arguments.yes_tools, can_be_asked) {
        (true, _) => Confirmation::Approve,
        (false, true) => Confirmation::Ask,
        (false, false) => Confirmation::Refuse,
    };
    if arguments.no_filler {
        tools.filler_after = None;
    }
    for built_in in &arguments.tool {
        tools.add(match built_in {
            BuiltIn::Calculator => calculator()?,
            BuiltIn::Shell => shell()?,
        })?;
    }
    let file = arguments.tools.as_deref().map(commands::read).transpose()?;
    let file = file.unwrap_or_default();
    for command in file.tools {
        let place = command.place.clone();
        let at = |error: ToolError| Exit::new(Code::Usage, format!("{place}: {error}"));
        tools.add(program(command).map_err(at)?).map_err(at)?;
    }
    // A clock of one's own goes before ours.
    if !arguments.no_clock && tools.find(CLOCK).is_none() {
        tools.add(clock()?)?;
    }
    let mut withheld = vec![arguments.key_env.clone()];
    withheld.extend(arguments.remote.key_envs().map(str::to_owned));
    // The key of one is none of another's business.
    withheld.extend(
        file.servers
            .iter()
            .filter_map(|server| server.key_env.clone()),
    );
    let mut adding = Adding {
        tools: &mut tools,
        withheld,
        number: 0,
    };
    let mut wanted = Wanted::new(&arguments.mcp_tools);
    for server in &arguments.mcp {
        adding
            .add(server, None, Agreement::Never, &mut wanted)
            .await?;
    }
    wanted.check("--mcp names a server, and without --mcp-tools all its tools are used")?;
    for server in &file.servers {
        let key = server.key_env.as_deref().map(|name| key(name, server));
        let key = key.transpose()?;
        let mut wanted = Wanted::new(&server.tools);
        adding
            .add(&server.server, key.as_deref(), server.confirm, &mut wanted)
            .await?;
        wanted.check(&format!(
            "see {}; without tools, all of a server are used",
            server.place
        ))?;
    }
    Ok(tools)
}

fn clock() -> Result<Tool, ToolError> {
    Tool::new(
        CLOCK,
        "Tells the date, the day of the week, the time and the time zone of the user.",
        json!({"type": "object", "properties": {}}),
        |_| async { Ok(builtin::now().to_string()) },
    )
}

fn calculator() -> Result<Tool, ToolError> {
    let expression = "Numbers, + - * / ^ %, mod, sqrt() and brackets, as in (3 + 4.5) * 2^10.";
    Tool::new(
        "calculator",
        "Works out an expression exactly.",
        json!({"type": "object", "required": ["expression"], "additionalProperties": false,
            "properties": {"expression": {"type": "string", "description": expression}}}),
        |arguments| async move {
            let expression = arguments["expression"].as_str().unwrap_or_default();
            builtin::calculate(expression).map_err(|error| error.to_string())
        },
    )
}

fn shell() -> Result<Tool, ToolError> {
    let like = builtin::shell("");
    let tool = Tool::new(
        like.name,
        like.description,
        json!({"type": "object", "required": ["command"], "additionalProperties": false,
            "properties": {"command": {"type": "string", "description": "A line for sh."}}}),
        |arguments| async move {
            let shell = builtin::shell(arguments["command"].as_str().unwrap_or_default());
            // The line has its arguments in it.
            shell
                .run(&json!({}))
                .await
                .map_err(|error| error.to_string())
        },
    )?;
    Ok(tool.within(like.timeout).confirmed(confirm(like.confirm)))
}

/// A program of the file.
fn program(command: CommandTool) -> Result<Tool, ToolError> {
    let command = Arc::new(command);
    let run = Arc::clone(&command);
    let tool = Tool::new(
        command.name.as_str(),
        command.description.as_str(),
        command.parameters.clone(),
        move |arguments| {
            let command = Arc::clone(&run);
            async move {
                command
                    .run(&arguments)
                    .await
                    .map_err(|error| error.to_string())
            }
        },
    )?;
    Ok(tool
        .within(command.timeout)
        .confirmed(confirm(command.confirm)))
}

fn confirm(agreement: Agreement) -> Confirm {
    match agreement {
        Agreement::Always => Confirm::Always,
        Agreement::First => Confirm::First,
        Agreement::Never => Confirm::Never,
    }
}

/// The key that a variable holds.
fn key(name: &str, of: &McpServer) -> Result<String, Exit> {
    let place = &of.place;
    let key = std::env::var(name).unwrap_or_default();
    if key.is_empty() {
        let exit = Exit::new(Code::Usage, format!("{place}: {name} is not set"));
        return Err(exit.with_hint(format!("set {name} to the key of this MCP server")));
    }
    // An endpoint takes no key that would cross other networks unencrypted.
    let endpoint = Endpoint::new(&of.server, "mcp").and_then(|to| to.with_key(&key));
    match endpoint {
        Ok(_) => Ok(key),
        Err(error) => Err(Exit::new(Code::Usage, format!("{place}: {error}"))),
    }
}

/// MCP servers whose tools are added.
struct Adding<'a> {
    tools: &'a mut Tools,
    /// Variables that no program among them gets: the keys of endpoints, engines and others of
    /// them.
    withheld: Vec<String>,
    /// How many there were.
    number: u32,
}

impl Adding<'_> {
    async fn add(
        &mut self,
        named: &str,
        key: Option<&str>,
        agreement: Agreement,
        wanted: &mut Wanted<'_>,
    ) -> Result<(), Exit> {
        self.number += 1;
        let limits = Limits::default();
        let server = NamedServer::open(named, key, &self.withheld, limits).await?;
        let offered = server.list_tools().await?;
        let server = Arc::new(server);
        for offer in offered.into_iter().filter(|offer| wanted.take(&offer.name)) {
            let name = free_name(&offer.name, self.number, self.tools);
            let server = Arc::clone(&server);
            let called = offer.name.clone();
            let run = move |arguments| {
                let (server, called) = (Arc::clone(&server), called.clone());
                async move {
                    server
                        .call(&called, &arguments)
                        .await
                        .map_err(|error| error.to_string())
                }
            };
            let description = offer.description.unwrap_or_default();
            match Tool::new(name, description, offer.input_schema, run) {
                Ok(tool) => {
                    let tool = tool
                        .within(limits.call + GRACE)
                        .confirmed(confirm(agreement));
                    self.tools.add(tool)?;
                }
                // The others may be what is wanted.
                Err(error) => output::note(format_args!(
                    "kaiwa: one tool of {named} is left out: {error}"
                )),
            }
        }
        Ok(())
    }
}

/// The name of a tool of an MCP server as endpoints take it, and as nobody else has it.
fn free_name(name: &str, number: u32, tools: &Tools) -> String {
    let good = |c: char| match c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
        true => c,
        false => '_',
    };
    let good: String = name.chars().map(good).take(LONGEST_NAME).collect();
    let prefixes = (1..).map(|round| match round {
        1 => format!("mcp{number}_"),
        round => format!("mcp{number}_{round}_"),
    });
    let prefixed = prefixes.map(|prefix| (prefix + &good).chars().take(LONGEST_NAME).collect());
    // There are fewer tools than numbers.
    std::iter::once(good.clone())
        .chain(prefixed)
        .find(|name: &String| tools.find(name).is_none())
        .unwrap_or(good)
}

/// The tools of MCP servers that are wanted; all where none is named.
struct Wanted<'a> {
    names: &'a [String],
    /// Of which none was found yet.
    missing: Vec<&'a str>,
}

impl<'a> Wanted<'a> {
    fn new(names: &'a [String]) -> Self {
        Self {
            names,
            missing: names.iter().map(String::as_str).collect(),
        }
    }

    fn take(&mut self, name: &str) -> bool {
        self.missing.retain(|missing| *missing != name);
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }

    fn check(&self, hint: &str) -> Result<(), Exit> {
        match self.missing.first() {
            None => Ok(()),
            Some(missing) => Err(Exit::new(
                Code::Usage,
                format!("no MCP server has a tool {missing}"),
            )
            .with_hint(hint)),
        }
    }
}

impl From<ToolError> for Exit {
    fn from(error: ToolError) -> Self {
        Self::new(Code::Usage, error)
    }
}

impl From<FileError> for Exit {
    fn from(error: FileError) -> Self {
        let code = match &error {
            FileError::Unreadable { .. } => Code::Input,
            _ => Code::Usage,
        };
        Self::new(code, error).with_hint("docs/tools.md says what a file of tools may hold")
    }
}

impl From<kaiwa_tools::Error> for Exit {
    fn from(error: kaiwa_tools::Error) -> Self {
        Self::new(Code::Failure, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_clash_get_a_prefix() {
        let mut tools = Tools::default();
        tools.add(clock().expect("a tool")).expect("the first");
        assert_eq!(free_name("look.up", 1, &tools), "look_up");
        assert_eq!(free_name("clock", 2, &tools), "mcp2_clock");
        let taken = Tool::new("mcp2_clock", "", json!({"type": "object"}), |_| async {
            Ok(String::new())
        });
        tools.add(taken.expect("a tool")).expect("the second");
        assert_eq!(free_name("clock", 2, &tools), "mcp2_2_clock");
        let long = "x".repeat(80);
        assert_eq!(free_name(&long, 1, &tools).len(), LONGEST_NAME);
    }

    #[test]
    fn a_tool_that_no_server_has_is_named() {
        let names = ["a".to_owned(), "b".to_owned()];
        let mut wanted = Wanted::new(&names);
        assert!(wanted.take("a") && !wanted.take("c"));
        let exit = wanted.check("").expect_err("b is missing");
        assert_eq!(
            (exit.code, exit.message.as_str()),
            (Code::Usage, "no MCP server has a tool b")
        );
        assert!(wanted.take("b") && wanted.check("").is_ok());
        assert!(Wanted::new(&[]).take("anything"));
    }

    #[tokio::test]
    async fn the_built_in_tools_can_be_called() {
        use clap::Parser;
        let words = ["kaiwa", "talk", "--tool", "calculator", "--tool", "shell"];
        let cli = crate::cli::Cli::try_parse_from(words).expect("a command line");
        let crate::cli::Command::Talk(arguments) = cli.command else {
            panic!("another command");
        };
        let tools = gather(&arguments, false).await.expect("tools");
        let names: Vec<_> = tools.iter().map(Tool::name).collect();
        assert_eq!(names, ["calculator", "shell", "clock"]);
        assert_eq!(tools.confirmation, Confirmation::Refuse);
    }
}
