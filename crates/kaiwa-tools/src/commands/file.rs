//! The file of tools: `[[tool]]` and `[[mcp]]` tables.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value, json};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Agreement, CommandTool, ENVIRONMENT, McpServer, Passing};

/// Seconds that a call may take unless something else is said.
const TIMEOUT: f64 = 30.0;
/// The most that may be said, in seconds.
const LONGEST_TIMEOUT: f64 = 3600.0;

/// What is wrong with a file of tools, in one sentence with the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Something in it is not understood.
    #[error("{place}: {what}")]
    Content {
        /// `FILE:LINE`.
        place: String,
        /// What.
        what: String,
    },
    /// It cannot be read.
    #[error("cannot read the tools {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is in a file of tools, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ToolFile {
    /// Programs as tools.
    pub tools: Vec<CommandTool>,
    /// MCP servers, whose tools are wanted.
    pub servers: Vec<McpServer>,
}

/// Reads a file; everything in it must be understood. Programs and directories are meant from
/// its folder.
///
/// # Errors
///
/// When it cannot be read, or something in it is not understood.
pub fn read(path: &Path) -> Result<ToolFile, FileError> {
    let unreadable = |source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let whole = std::path::absolute(path).map_err(unreadable)?;
    let folder = whole.parent().unwrap_or(&whole);
    File {
        path,
        folder,
        text: &text,
    }
    .read()
}

struct File<'a> {
    path: &'a Path,
    /// Where it is.
    folder: &'a Path,
    text: &'a str,
}

type Field<'a, 'b> = &'a Spanned<DeValue<'b>>;

impl File<'_> {
    fn read(&self) -> Result<ToolFile, FileError> {
        let document = DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.refused(at, error.message().replace('\n', "; "))
        })?;
        let mut file = ToolFile::default();
        for (name, value) in document.get_ref() {
            let name = name.get_ref().as_ref();
            let (DeValue::Array(list), "tool" | "mcp") = (value.get_ref(), name) else {
                let what = format!("\"{name}\" is no table of this file: [[tool]] and [[mcp]] are");
                return Err(self.refused(value.span().start, what));
            };
            for entry in list {
                let at = entry.span().start;
                let DeValue::Table(table) = entry.get_ref() else {
                    return Err(self.refused(at, format!("this is a [[{name}]] table")));
                };
                match name {
                    "tool" => file.tools.push(self.tool(at, table)?),
                    _ => file.servers.push(self.server(at, table)?),
                }
            }
        }
        Ok(file)
    }

    fn server(&self, at: usize, table: &DeTable<'_>) -> Result<McpServer, FileError> {
        let mut server = McpServer {
            server: String::new(),
            tools: Vec::new(),
            key_env: None,
            confirm: Agreement::default(),
            place: self.place(at),
        };
        for (key, value) in table {
            let refused = |what: String| {
                let key = key.get_ref();
                self.refused(value.span().start, format!("{key}: {what}"))
            };
            match key.get_ref().as_ref() {
                "server" => server.server = text(value).map_err(refused)?,
                "tools" => {
                    server.tools = texts(value).map_err(refused)?;
                    if server.tools.is_empty() {
                        return Err(refused(
                            "it names none; without it, all are meant".to_owned(),
                        ));
                    }
                }
                "key_env" => server.key_env = Some(text(value).map_err(refused)?),
                "confirm" => server.confirm = agreement(value).map_err(refused)?,
                other => {
                    let what = format!("[[mcp]] knows no key \"{other}\"");
                    return Err(self.refused(key.span().start, what));
                }
            }
        }
        if server.server.trim().is_empty() {
            return Err(self.refused(
                at,
                "this server has no server: a command line, or a URL".to_owned(),
            ));
        }
        if server.key_env.is_some() && !server.is_url() {
            let what = "a key_env is for a URL: a program has your environment";
            return Err(self.refused(at, what.to_owned()));
        }
        Ok(server)
    }

    fn tool(&self, at: usize, table: &DeTable<'_>) -> Result<CommandTool, FileError> {
        let mut tool = CommandTool {
            name: String::new(),
            description: String::new(),
            command: Vec::new(),
            passing: Passing::default(),
            parameters: json!({"type": "object", "properties": {}}),
            timeout: Duration::from_secs_f64(TIMEOUT),
            directory: None,
            environment: ENVIRONMENT.map(str::to_owned).into(),
            confirm: Agreement::default(),
            place: self.place(at),
        };
        for (key, value) in table {
            let refused = |what: String| {
                let key = key.get_ref();
                self.refused(value.span().start, format!("{key}: {what}"))
            };
            match key.get_ref().as_ref() {
                "name" => tool.name = text(value).map_err(refused)?,
                "description" => tool.description = text(value).map_err(refused)?,
                "command" => tool.command = self.command(value).map_err(refused)?,
                "arguments" => tool.passing = passing(value).map_err(refused)?,
                "parameters" => tool.parameters = json(value).map_err(refused)?,
                "timeout" => tool.timeout = timeout(value).map_err(refused)?,
                "directory" => {
                    tool.directory = Some(self.folder.join(text(value).map_err(refused)?));
                }
                "environment" => tool.environment = texts(value).map_err(refused)?,
                "confirm" => tool.confirm = agreement(value).map_err(refused)?,
                other => {
                    let what = format!("[[tool]] knows no key \"{other}\"");
                    return Err(self.refused(key.span().start, what));
                }
            }
        }
        for (key, is_missing) in [
            ("name", tool.name.is_empty()),
            ("description", tool.description.is_empty()),
            ("command", tool.command.is_empty()),
        ] {
            if is_missing {
                return Err(self.refused(at, format!("this tool has no {key}")));
            }
        }
        if tool.passing == Passing::Flags
            && let Some(schema) = tool.parameters.as_object_mut()
        {
            // Every name that a model makes up would be a flag.
            schema.entry("additionalProperties").or_insert(false.into());
        }
        Ok(tool)
    }

    /// A program and its first arguments. One that is named with a path is meant from the file.
    fn command(&self, value: Field<'_, '_>) -> Result<Vec<String>, String> {
        let mut words = texts(value)?;
        match words.first_mut() {
            None => Err("it names no program".to_owned()),
            Some(program) if program.is_empty() => Err("it names no program".to_owned()),
            Some(program) => {
                if program.contains('/') {
                    *program = self.folder.join(&*program).display().to_string();
                }
                Ok(words)
            }
        }
    }

    fn refused(&self, at: usize, what: String) -> FileError {
        FileError::Content {
            place: self.place(at),
            what,
        }
    }

    /// `FILE:LINE`.
    fn place(&self, at: usize) -> String {
        let before = self.text.as_bytes().iter().take(at);
        let line = before.filter(|&&byte| byte == b'\n').count() + 1;
        format!("{}:{line}", self.path.display())
    }
}

fn text(value: Field<'_, '_>) -> Result<String, String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        other => Err(expected("text", other)),
    }
}

fn texts(value: Field<'_, '_>) -> Result<Vec<String>, String> {
    match value.get_ref() {
        DeValue::Array(list) => list.iter().map(text).collect(),
        other => Err(expected("a list of texts", other)),
    }
}

fn passing(value: Field<'_, '_>) -> Result<Passing, String> {
    match text(value)?.as_str() {
        "flags" => Ok(Passing::Flags),
        "stdin" => Ok(Passing::Stdin),
        other => Err(format!("expected \"stdin\" or \"flags\", not \"{other}\"")),
    }
}

fn agreement(value: Field<'_, '_>) -> Result<Agreement, String> {
    match text(value)?.as_str() {
        "always" => Ok(Agreement::Always),
        "first" => Ok(Agreement::First),
        "never" => Ok(Agreement::Never),
        other => Err(format!(
            "expected \"always\", \"first\" or \"never\", not \"{other}\""
        )),
    }
}

fn timeout(value: Field<'_, '_>) -> Result<Duration, String> {
    let seconds = json(value)?.as_f64().unwrap_or_default();
    match seconds > 0.0 && seconds <= LONGEST_TIMEOUT {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(format!(
            "expected more than 0 and up to {LONGEST_TIMEOUT} seconds"
        )),
    }
}

/// TOML as JSON.
fn json(value: Field<'_, '_>) -> Result<Value, String> {
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Boolean(is) => Value::Bool(*is),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|error| format!("{}: {error}", number.as_str()))?
            .into(),
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_err(|error| format!("{}: {error}", number.as_str()))?
            .into(),
        DeValue::Array(list) => Value::Array(list.iter().map(json).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let mut object = Map::new();
            for (name, value) in table {
                object.insert(name.get_ref().clone().into_owned(), json(value)?);
            }
            Value::Object(object)
        }
        DeValue::Datetime(_) => return Err("JSON has no dates: write it as text".to_owned()),
    })
}

fn expected(what: impl fmt::Display, value: &DeValue<'_>) -> String {
    let is = match value {
        DeValue::Array(_) => "a list",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Float(_) | DeValue::Integer(_) => "a number",
        DeValue::String(_) => "text",
        DeValue::Table(_) => "a table",
    };
    format!("expected {what}, not {is}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<CommandTool>, FileError> {
        parse_all(text).map(|file| file.tools)
    }

    fn parse_all(text: &str) -> Result<ToolFile, FileError> {
        let path = Path::new("tools.toml");
        let folder = Path::new("/home/you/tools");
        File { path, folder, text }.read()
    }

    #[test]
    fn a_server_is_read_with_all_it_may_say() {
        let file = parse_all(
            "[[mcp]]\nserver = \"https://example.com/mcp\"\ntools = [\"a\"]\nkey_env = \"KEY\"\n\
             confirm = \"always\"\n[[mcp]]\nserver = \"npx thing\"\n",
        )
        .expect("servers");
        let [far, near] = file.servers.as_slice() else {
            panic!("{file:?}");
        };
        assert_eq!(far.server, "https://example.com/mcp");
        assert_eq!(
            (far.tools.as_slice(), far.key_env.as_deref()),
            (&["a".to_owned()][..], Some("KEY"))
        );
        assert_eq!(far.confirm, Agreement::Always);
        assert_eq!(
            (near.place.as_str(), near.confirm),
            ("tools.toml:6", Agreement::Never)
        );
        assert!(near.tools.is_empty() && near.key_env.is_none() && file.tools.is_empty());
    }

    #[test]
    fn a_tool_is_read_with_all_it_may_say() {
        let tools = parse(
            "# Mine.\n[[tool]]\nname = \"lamp\"\ndescription = \"Switches a lamp.\"\n\
             command = [\"./lamp.py\", \"--now\"]\narguments = \"flags\"\ntimeout = 2.5\n\
             directory = \"state\"\nenvironment = [\"PATH\"]\nconfirm = \"first\"\n\
             [tool.parameters]\ntype = \"object\"\nrequired = [\"level\"]\n\
             properties.level = { type = \"integer\", maximum = 0x64 }\n\
             [[tool]]\nname = \"date\"\ndescription = \"Tells the date.\"\ncommand = [\"date\"]\n",
        )
        .expect("tools");
        let [lamp, date] = tools.as_slice() else {
            panic!("{tools:?}");
        };
        assert_eq!(lamp.command, ["/home/you/tools/./lamp.py", "--now"]);
        assert_eq!(lamp.passing, Passing::Flags);
        assert_eq!(
            lamp.parameters,
            json!({"type": "object", "required": ["level"], "additionalProperties": false,
                "properties": {"level": {"type": "integer", "maximum": 100}}})
        );
        assert_eq!(lamp.timeout, Duration::from_millis(2500));
        assert_eq!(
            lamp.directory.as_deref(),
            Some(Path::new("/home/you/tools/state"))
        );
        assert_eq!(lamp.environment, ["PATH"]);
        assert_eq!(lamp.confirm, Agreement::First);
        assert_eq!(lamp.place, "tools.toml:2");
        assert_eq!(date.command, ["date"]);
        assert_eq!(date.parameters, json!({"type": "object", "properties": {}}));
        assert_eq!(date.timeout, Duration::from_secs(30));
        assert_eq!(
            (date.passing, date.confirm),
            (Passing::Stdin, Agreement::Never)
        );
        assert_eq!(date.environment, ENVIRONMENT);
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        let whole = "name = \"a\"\ndescription = \"b\"\ncommand = [\"c\"]\n";
        for (text, line, part) in [
            (
                "[tool]\nname = \"a\"\n".to_owned(),
                1,
                "\"tool\" is no table",
            ),
            ("\n[[tols]]\n".to_owned(), 2, "\"tols\" is no table"),
            (
                format!("[[tool]]\n{whole}comand = 1\n"),
                5,
                "no key \"comand\"",
            ),
            (
                format!("[[tool]]\n{whole}timeout = 0\n"),
                5,
                "timeout: expected more than 0",
            ),
            (
                format!("[[tool]]\n{whole}timeout = nan\n"),
                5,
                "timeout: expected more than 0",
            ),
            (
                format!("[[tool]]\n{whole}timeout = \"1\"\n"),
                5,
                "timeout: expected more than 0",
            ),
            (
                format!("[[tool]]\n{whole}confirm = \"no\"\n"),
                5,
                "not \"no\"",
            ),
            (
                format!("[[tool]]\n{whole}arguments = []\n"),
                5,
                "text, not a list",
            ),
            (
                format!("[[tool]]\n{whole}environment = \"PATH\"\n"),
                5,
                "list of texts, not text",
            ),
            (
                format!("[[tool]]\n{whole}parameters.x = 1979-05-27\n"),
                5,
                "no dates",
            ),
            (
                "[[tool]]\nname = \"a\"\ndescription = \"b\"\n".to_owned(),
                1,
                "has no command",
            ),
            ("[[mcp]]\ntools = []\n".to_owned(), 2, "names none"),
            ("[[mcp]]\ntools = [\"a\"]\n".to_owned(), 1, "has no server"),
            ("[[mcp]]\nurl = \"x\"\n".to_owned(), 2, "no key \"url\""),
            (
                "[[mcp]]\nserver = \"x\"\nkey_env = \"K\"\n".to_owned(),
                1,
                "is for a URL",
            ),
            ("[[tool]]\ncommand = []\n".to_owned(), 2, "names no program"),
            (
                "[[tool]]\ncommand = [\"\"]\n".to_owned(),
                2,
                "names no program",
            ),
            ("[[tool\n".to_owned(), 1, ""),
        ] {
            let error = parse(&text).expect_err(&text).to_string();
            assert!(
                error.starts_with(&format!("tools.toml:{line}: ")),
                "{text:?}: {error}"
            );
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Path::new("/nonexistent/tools.toml")).expect_err("no file");
        let said = error.to_string();
        assert!(
            said.starts_with("cannot read the tools /nonexistent/tools.toml: "),
            "{said}"
        );
    }
}
