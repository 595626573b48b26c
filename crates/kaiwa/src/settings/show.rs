//! `kaiwa config`: what is in force, and where it came from.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use clap::{Arg, ArgAction, parser::ValueSource};

use super::{Reading, Refusal, Said, Table, grammar, is_configured, read, source, variable};
use crate::{
    cli::{Command, TalkArgs},
    exit::{Code, Exit},
    output,
};

/// Prints the file that is read, whether or not it exists.
pub(crate) fn path(named: Option<&Path>) -> Result<(), Exit> {
    match super::file(named) {
        Some(path) => output::line(path.display()),
        None => Err(
            Exit::new(Code::Failure, "there is no place for a configuration file")
                .with_hint("set HOME or XDG_CONFIG_HOME, or name a file with KAIWA_CONFIG"),
        ),
    }
}

/// Prints every option of these words after `kaiwa`, or of all commands that have a
/// configuration: a file that could be used as it is, with where each value came from.
pub(crate) fn show(named: Option<&Path>, words: &[OsString]) -> Result<(), Exit> {
    if !words.is_empty() {
        return one(named, words);
    }
    for (index, name) in Table::commands().enumerate() {
        if index > 0 {
            output::line("")?;
        }
        one(named, &[name.into()])?;
    }
    Ok(())
}

/// What `kaiwa talk` with these options would go by.
pub(crate) fn talk(named: Option<&Path>, options: &[OsString]) -> Result<TalkArgs, Exit> {
    talk_and_key(named, options).map(|(arguments, _)| arguments)
}

/// The same, and whether the key is meant for the server: a variable is named for it, by whomever,
/// or the server is not one that was named for this once.
pub(crate) fn talk_and_key(
    named: Option<&Path>,
    options: &[OsString],
) -> Result<(TalkArgs, bool), Exit> {
    let words = [&[OsString::from(Table::Talk.name())], options].concat();
    let reading = reading(named, &words)?;
    let is_named =
        source(&reading.matches, "key_env") != Said::File || reading.layer.contains_key("key_env");
    let is_meant = is_named || source(&reading.matches, "url") != Said::Flag;
    match reading.cli.command {
        Command::Talk(arguments) => Ok((*arguments, is_meant)),
        _ => unreachable!("the first word is talk"),
    }
}

fn one(named: Option<&Path>, words: &[OsString]) -> Result<(), Exit> {
    for line in lines(&reading(named, words)?)? {
        output::line(line)?;
    }
    Ok(())
}

/// Understands the words after `kaiwa`.
fn reading(named: Option<&Path>, words: &[OsString]) -> Result<Reading, Exit> {
    let mut line = vec![OsString::from("kaiwa")];
    line.extend(named.map(|path| OsString::from(format!("--config={}", path.display()))));
    line.extend_from_slice(words);
    match read(&line) {
        Ok(reading) => Ok(reading),
        Err(Refusal::Words(error)) => error.exit(),
        Err(Refusal::Settings(exit)) => Err(exit),
    }
}

fn lines(reading: &Reading) -> Result<Vec<String>, Exit> {
    let subcommand = reading.matches.subcommand();
    let known = subcommand.filter(|(name, _)| Table::of_command(name).is_some());
    let Some((name, matches)) = known else {
        let commands: Vec<&str> = Table::commands().collect();
        return Err(Exit::new(
            Code::Usage,
            format!("only {} have a configuration", commands.join(" and ")),
        )
        .with_hint("give the words after \"kaiwa\", as in: kaiwa config show talk --voice marin"));
    };
    let grammar = grammar();
    let command = grammar.find_subcommand(name);
    let mut rows = Vec::new();
    for arg in command
        .into_iter()
        .flat_map(|command| command.get_arguments())
    {
        let Some(long) = arg.get_long().filter(|long| is_configured(long)) else {
            continue;
        };
        let id = arg.get_id().as_str();
        let values: Vec<&OsStr> = matches.get_raw(id).into_iter().flatten().collect();
        let Some(source) = matches.value_source(id).filter(|_| !values.is_empty()) else {
            rows.push((format!("# {long}"), "not set".to_owned()));
            continue;
        };
        let source = match source {
            ValueSource::CommandLine => format!("flag --{long}"),
            ValueSource::EnvVariable => {
                format!("environment {}", variable(arg).unwrap_or_default())
            }
            _ => match reading.layer.get(id) {
                Some(entry) => entry.origin.clone(),
                None => "default".to_owned(),
            },
        };
        rows.push((format!("{long} = {}", value(arg, &values)), source));
    }
    let width = rows.iter().map(|(option, _)| option.chars().count());
    // Instructions can be long; the rest still stands in a column.
    let width = width.filter(|width| *width <= 48).max().unwrap_or_default();
    let mut lines = vec![format!("[{name}]")];
    lines.extend(
        rows.into_iter()
            .map(|(option, source)| format!("{option:width$}  # {source}")),
    );
    Ok(lines)
}

/// Values as the file would have them.
fn value(arg: &Arg, values: &[&OsStr]) -> String {
    let one = |value: &OsStr| {
        let text = value.to_string_lossy();
        let is_bare = matches!(arg.get_action(), ArgAction::SetTrue) || text.parse::<u64>().is_ok();
        match is_bare {
            true => text.into_owned(),
            // A string of JSON is one of TOML, but for what no option holds.
            false => serde_json::Value::from(text).to_string(),
        }
    };
    match (arg.get_action(), values) {
        (ArgAction::Append, _) => {
            let values: Vec<String> = values.iter().copied().map(one).collect();
            format!("[{}]", values.join(", "))
        }
        (_, [first, ..]) => one(first),
        (_, []) => String::new(),
    }
}
