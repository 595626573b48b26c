//! The configuration file: tables of options as the command line names them.

use std::path::Path;

use clap::{Arg, ArgAction};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{judge, option};
use crate::exit::{Code, Exit};

/// What a table of the file is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Table {
    /// The engines, whoever runs on them.
    Engines,
    Serve,
    Talk,
}

impl Table {
    const ALL: [Self; 3] = [Self::Engines, Self::Serve, Self::Talk];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Engines => "engines",
            Self::Serve => "serve",
            Self::Talk => "talk",
        }
    }

    /// The commands that have a table.
    pub(super) fn commands() -> impl Iterator<Item = &'static str> {
        [Self::Serve, Self::Talk].into_iter().map(Self::name)
    }

    pub(super) fn of_command(name: &str) -> Option<Self> {
        let tables = [Self::Serve, Self::Talk];
        tables.into_iter().find(|table| table.name() == name)
    }
}

/// What an option is, from somewhere below the command line and the environment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    /// The option, as the parser calls it.
    pub(super) id: String,
    /// Its values, as they would be typed.
    pub(super) values: Vec<String>,
    /// Where they stand.
    pub(super) origin: String,
}

/// Reads a file; everything in it must be understood.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<(Table, Entry)>, Exit> {
    let refuse = |at: usize, what: String| {
        Exit::new(Code::Usage, format!("{}: {what}", place(path, text, at)))
            .with_hint("docs/configuration.md says what a configuration file may hold")
    };
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        refuse(at, error.message().replace('\n', "; "))
    })?;
    let mut entries = Vec::new();
    for (name, value) in document.get_ref() {
        let at = name.span().start;
        let name = name.get_ref();
        let known = Table::ALL.into_iter().find(|table| table.name() == name);
        let (Some(table), DeValue::Table(options)) = (known, value.get_ref()) else {
            let what =
                format!("\"{name}\" is no table of this file: [engines], [serve] and [talk] are");
            return Err(refuse(at, what));
        };
        for (name, value) in options {
            let at = name.span().start;
            let name = name.get_ref();
            let arg = option(table, name).ok_or_else(|| {
                let table = table.name();
                refuse(at, format!("[{table}] knows no option \"{name}\""))
            })?;
            let values = values(table, &arg, value, text)
                .map_err(|why| refuse(value.span().start, format!("{name}: {why}")))?;
            let entry = Entry {
                id: arg.get_id().to_string(),
                values,
                origin: place(path, text, at),
            };
            entries.push((table, entry));
        }
    }
    Ok(entries)
}

/// The values of an option, which the command line would take.
fn values(
    table: Table,
    arg: &Arg,
    value: &Spanned<DeValue<'_>>,
    text: &str,
) -> Result<Vec<String>, String> {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let takes_many = matches!(arg.get_action(), ArgAction::Append);
    let values = match value.get_ref() {
        DeValue::Boolean(on) if is_switch => return Ok(vec![on.to_string()]),
        other if is_switch => {
            return Err(format!("expected true or false, not {}", kind(other)));
        }
        DeValue::Array(list) if takes_many => {
            let values = list.iter().map(|value| typed(value, text));
            values.collect::<Result<Vec<_>, _>>()?
        }
        _ => vec![typed(value, text)?],
    };
    for value in &values {
        judge(table, arg, value)?;
    }
    Ok(values)
}

/// A value as it would be typed. A number is taken as it is written: no digit gets lost.
fn typed(value: &Spanned<DeValue<'_>>, text: &str) -> Result<String, String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(_) | DeValue::Float(_) => {
            let written = text.get(value.span()).unwrap_or_default();
            Ok(written.replace('_', ""))
        }
        other => Err(format!("expected text or a number, not {}", kind(other))),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "a list",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Float(_) | DeValue::Integer(_) => "a number",
        DeValue::String(_) => "text",
        DeValue::Table(_) => "a table",
    }
}

/// `FILE:LINE`.
fn place(path: &Path, text: &str, at: usize) -> String {
    let before = text.as_bytes().iter().take(at);
    let line = before.filter(|&&byte| byte == b'\n').count() + 1;
    format!("{}:{line}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(Table, Entry)>, Exit> {
        parse(Path::new("config.toml"), text)
    }

    #[test]
    fn options_are_read_as_they_would_be_typed() {
        let entries = read(
            "[talk]\nvoice = \"marin\"\nbudget = 0.50\nfast = true\nkey_env = \"K\"\n\
             [serve]\nrate-limit = [\"requests=60/60\", \"tokens=9/9\"]\nmax-sessions = 1_0\n\
             [engines]\nthreads = 2\n",
        )
        .expect("a configuration");
        let found = |table, id: &str| {
            let mut of = entries
                .iter()
                .filter(|(t, entry)| *t == table && entry.id == id);
            of.next()
                .map(|(_, entry)| (entry.values.join(" "), entry.origin.as_str()))
        };
        for (table, id, value, origin) in [
            (Table::Talk, "voice", "marin", "config.toml:2"),
            (Table::Talk, "budget", "0.50", "config.toml:3"),
            (Table::Talk, "fast", "true", "config.toml:4"),
            (Table::Talk, "key_env", "K", "config.toml:5"),
            (
                Table::Serve,
                "rate_limits",
                "requests=60/60 tokens=9/9",
                "config.toml:7",
            ),
            (Table::Serve, "max_sessions", "10", "config.toml:8"),
            (Table::Engines, "threads", "2", "config.toml:10"),
        ] {
            assert_eq!(found(table, id), Some((value.to_owned(), origin)), "{id}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        for (text, line, part) in [
            ("[talk]\n\nvoicee = \"a\"\n", 3, "\"voicee\""),
            ("[talk]\ntext = \"a\"\n", 2, "\"text\""),
            ("[engines]\nvoice = \"a\"\n", 2, "\"voice\""),
            ("\n[tlak]\n", 2, "\"tlak\""),
            ("voice = \"a\"\n", 1, "[talk]"),
            ("talk = 5\n", 1, "\"talk\""),
            ("[talk]\nfast = \"yes\"\n", 2, "true or false, not text"),
            ("[talk]\nvoice = true\n", 2, "text or a number, not true"),
            ("[talk]\nvoice = [\"a\"]\n", 2, "not a list"),
            ("[talk]\nturn = \"never\"\n", 2, "'never'"),
            ("[talk]\nbudget = -1\n", 2, "US dollars"),
            ("[serve]\nmax-sessions = 2.5\n", 2, "'2.5'"),
            ("[talk]\nvoice = \"a\"\nvoice = \"b\"\n", 3, "duplicate"),
            ("[talk\n", 1, ""),
        ] {
            let exit = read(text).expect_err(text);
            assert_eq!(exit.code, Code::Usage);
            let start = format!("config.toml:{line}: ");
            assert!(exit.message.starts_with(&start), "{text:?}: {exit}");
            assert!(exit.message.contains(part), "{text:?}: {exit}");
            assert!(!exit.message.contains('\n'), "{exit}");
        }
    }
}
