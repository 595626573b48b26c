//! The tools of a conversation, as the flags name them.

use std::{sync::Arc, time::Duration};

use kaiwa_client::tools::{Confirm, Confirmation, Tool, ToolError, Tools};
use kaiwa_tools::{
    Limits, NamedServer, builtin,
    commands::{self, Agreement, CommandTool, FileError},
};
use serde_json::json;

use crate::{
    cli::{BuiltIn, TalkArgs},
    exit::{Code, Exit},
    output,
};

/// What a call gets over the time of its MCP server, whose own words come first then.
const GRACE: Duration = Duration::from_secs(1);
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
    if !arguments.no_clock {
        tools.add(clock()?)?;
    }
    for built_in in &arguments.tool {
        tools.add(match built_in {
            BuiltIn::Calculator => calculator()?,
            BuiltIn::Shell => shell()?,
        })?;
    }
    for command in arguments
        .tools
        .as_deref()
        .map(commands::read)
        .transpose()?
        .into_iter()
        .flatten()
    {
        let place = command.place.clone();
        let at = |error: ToolError| Exit::new(Code::Usage, format!("{place}: {error}"));
        tools.add(program(command).map_err(at)?).map_err(at)?;
    }
    let mut wanted = Wanted::new(&arguments.mcp_tools);
    for (number, server) in (1..).zip(&arguments.mcp) {
        add_server(&mut tools, number, server, arguments, &mut wanted).await?;
    }
    wanted.check()?;
    Ok(tools)
}

fn clock() -> Result<Tool, ToolError> {
    Tool::new(
        "clock",
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

/// Adds the tools of an MCP server.
async fn add_server(
    tools: &mut Tools,
    number: u32,
    named: &str,
    arguments: &TalkArgs,
    wanted: &mut Wanted<'_>,
) -> Result<(), Exit> {
    let limits = Limits::default();
    // The keys of endpoints and engines are none of its business.
    let mut withheld = vec![arguments.key_env.clone()];
    withheld.extend(arguments.remote.key_envs().map(str::to_owned));
    let server = NamedServer::open(named, &withheld, limits).await?;
    let offered = server.list_tools().await?;
    let server = Arc::new(server);
    for offer in offered.into_iter().filter(|offer| wanted.take(&offer.name)) {
        let name = free_name(&offer.name, number, tools);
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
            Ok(tool) => tools.add(tool.within(limits.call + GRACE))?,
            // The others may be what is wanted.
            Err(error) => output::note(format_args!(
                "kaiwa: one tool of {named} is left out: {error}"
            )),
        }
    }
    Ok(())
}

/// The name of a tool of an MCP server as endpoints take it, and as nobody else has it.
fn free_name(name: &str, number: u32, tools: &Tools) -> String {
    let good = |c: char| match c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
        true => c,
        false => '_',
    };
    let good: String = name.chars().map(good).take(LONGEST_NAME).collect();
    match tools.find(&good) {
        None => good,
        Some(_) => format!("mcp{number}_{good}")
            .chars()
            .take(LONGEST_NAME)
            .collect(),
    }
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

    fn check(&self) -> Result<(), Exit> {
        match self.missing.first() {
            None => Ok(()),
            Some(missing) => Err(Exit::new(
                Code::Usage,
                format!("no MCP server has a tool {missing}"),
            )
            .with_hint("--mcp names a server, and without --mcp-tools all its tools are used")),
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
        let long = "x".repeat(80);
        assert_eq!(free_name(&long, 1, &tools).len(), LONGEST_NAME);
    }

    #[test]
    fn a_tool_that_no_server_has_is_named() {
        let names = ["a".to_owned(), "b".to_owned()];
        let mut wanted = Wanted::new(&names);
        assert!(wanted.take("a") && !wanted.take("c"));
        let exit = wanted.check().expect_err("b is missing");
        assert_eq!(
            (exit.code, exit.message.as_str()),
            (Code::Usage, "no MCP server has a tool b")
        );
        assert!(wanted.take("b") && wanted.check().is_ok());
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
        assert_eq!(names, ["clock", "calculator", "shell"]);
        assert_eq!(tools.confirmation, Confirmation::Refuse);
    }
}
