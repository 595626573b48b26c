//! What the options are: flags over environment over persona over file over defaults.
//!
//! Each option is declared once, for the command line. What the file and the persona say is put
//! in the place of its default, so that the command line's own parser reads and judges it; where
//! a value came from is then a question to that parser.

mod file;
mod keys;
mod persona;
mod show;

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command as Grammar, CommandFactory, FromArgMatches,
    builder::{BoolishValueParser, Resettable},
    parser::ValueSource,
};

use self::file::{Entry, Table};
pub(crate) use self::keys::KeySettings;
pub(crate) use self::show::{path, show, talk, talk_and_key};
use crate::{
    cli::{Cli, Command, EngineArgs},
    engines::Wanted,
    exit::{Code, Exit},
    remote::RemoteArgs,
    serve::relay::RelayArgs,
};

/// Options that belong to one conversation, or to no file.
const NOT_CONFIGURED: [&str; 7] = [
    "config", "help", "input", "record", "text", "trace", "version",
];

/// A command line, understood.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) cli: Cli,
    /// Sets of engines that a server has besides, by name.
    pub(crate) profiles: Vec<(String, Wanted)>,
    /// Keys that a relay gives out.
    pub(crate) keys: Vec<KeySettings>,
    matches: ArgMatches,
    /// What stands in the place of defaults, by the id of the option.
    layer: BTreeMap<String, Entry>,
}

/// Why a command line, or what it goes by, is not understood.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The parser has its own words, and its own way to end (`--help` is one of them).
    Words(clap::Error),
    Settings(Exit),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Self::Words(error)
    }
}

impl From<Exit> for Refusal {
    fn from(exit: Exit) -> Self {
        Self::Settings(exit)
    }
}

/// The configuration file that is read, whether or not it exists; `None` without a place for one.
pub(crate) fn file(named: Option<&Path>) -> Option<PathBuf> {
    Place::of(named).file
}

/// The command line's grammar, with a variable of the environment for every option that can be
/// configured.
pub(crate) fn grammar() -> Grammar {
    Table::commands().fold(Cli::command(), |grammar, name| {
        grammar.mut_subcommand(name, |command| command.mut_args(with_variable))
    })
}

fn with_variable(arg: Arg) -> Arg {
    let Some(variable) = variable(&arg) else {
        return arg;
    };
    let arg = arg.env(variable).hide_env(true);
    match arg.get_action() {
        // KAIWA_FAST=1 is as good as KAIWA_FAST=true.
        ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
        _ => arg,
    }
}

/// `KAIWA_KEY_ENV` of `--key-env`.
fn variable(arg: &Arg) -> Option<String> {
    let long = arg.get_long().filter(|long| is_configured(long))?;
    Some(format!("KAIWA_{}", long.replace('-', "_").to_uppercase()))
}

fn is_configured(long: &str) -> bool {
    !NOT_CONFIGURED.contains(&long)
}

/// Understands a command line, given the environment and the file.
pub(crate) fn read(words: &[OsString]) -> Result<Reading, Refusal> {
    let mut reading = parse(words, BTreeMap::new(), None)?;
    let Some(table) = reading
        .matches
        .subcommand_name()
        .and_then(Table::of_command)
    else {
        return Ok(reading);
    };
    let place = Place::of(reading.cli.config.as_deref());
    let mut layer = BTreeMap::new();
    let mut profiles = Vec::new();
    let mut keys = Vec::new();
    if let Some((path, text)) = place.read()? {
        let contents = file::parse(&path, &text)?;
        profiles = contents.profiles;
        keys = contents.keys;
        // What is said of the command itself goes before what is said of its engines.
        let of_serve = (table == Table::Serve).then_some(Table::Relay);
        for wanted in [Some(Table::Engines), of_serve, Some(table)] {
            let of_table = contents
                .options
                .iter()
                .filter(|(table, _)| Some(*table) == wanted);
            layer.extend(of_table.map(|(_, entry)| (entry.id.clone(), entry.clone())));
        }
    }
    let mut outdone = None;
    layer.extend(place.prices().filter(|_| !layer.contains_key("prices")));
    if table == Table::Talk {
        outdone = settle_exclusion(&reading.matches, &mut layer)?;
    }
    reading = parse(words, layer, outdone)?;
    if let Command::Talk(arguments) = &reading.cli.command
        && let Some(name) = &arguments.persona
    {
        let mut layer = std::mem::take(&mut reading.layer);
        for entry in persona::load(name, place.folder.as_deref())? {
            layer.insert(entry.id.clone(), entry);
        }
        reading = parse(words, layer, outdone)?;
    }
    if let Some(remote) = reading.cli.command.remote() {
        for role in file::ROLES {
            is_of_its_server(remote, role, &reading.matches)?;
        }
    }
    if table == Table::Serve {
        reading.keys = keys;
        upstream_has_its_own_key(&reading)?;
        for (name, entries) in profiles {
            let engines = profile(words, &reading.layer, entries)?;
            reading
                .profiles
                .extend(engines.map(|engines| (name, engines)));
        }
    }
    Ok(reading)
}

/// The engines of a profile, which goes before the file and behind everything else. A role that
/// it gives to another server, or to a model of this process, begins anew there: the key of one
/// server is not for another.
fn profile(
    words: &[OsString],
    layer: &BTreeMap<String, Entry>,
    entries: Vec<Entry>,
) -> Result<Option<Wanted>, Refusal> {
    let mut layer = layer.clone();
    for role in file::ROLES {
        let is_given = |entry: &Entry| entry.id == role || entry.id == format!("{role}_url");
        if entries.iter().any(is_given) {
            layer.retain(|id, _| !id.starts_with(&format!("{role}_")));
        }
    }
    // What the environment says of a key was said of another server.
    let own = file::ROLES.map(|role| {
        let of = |option: &str| {
            let id = format!("{role}_{option}");
            let entry = entries.iter().find(|entry| entry.id == id)?;
            entry.values.first().cloned()
        };
        of("url").map(|_| of("key_env"))
    });
    let entries = entries.into_iter().map(|entry| (entry.id.clone(), entry));
    layer.extend(entries);
    let reading = parse(words, layer, None)?;
    let Command::Serve(mut arguments) = reading.cli.command else {
        return Ok(None);
    };
    for (role, own) in file::ROLES.into_iter().zip(own) {
        let url = source(&reading.matches, &format!("{role}_url"));
        match own {
            Some(key) if url == Said::File => *arguments.remote.key_env(role) = key,
            _ => is_of_its_server(&mut arguments.remote, role, &reading.matches)?,
        }
    }
    Ok(Some(Wanted {
        engines: arguments.engines,
        remote: arguments.remote,
    }))
}

/// Who says what an option is, the nearest to the command last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    File,
    Environment,
    Flag,
}

fn source(matches: &ArgMatches, id: &str) -> Said {
    let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
    let is_there = matches.try_contains_id(id).unwrap_or(false);
    match is_there.then(|| matches.value_source(id)).flatten() {
        Some(ValueSource::CommandLine) => Said::Flag,
        Some(ValueSource::EnvVariable) => Said::Environment,
        _ => Said::File,
    }
}

/// Refuses a key that was named further from the command than the server that would get it: it is
/// for another one.
fn is_of_its_server(
    remote: &mut RemoteArgs,
    role: &str,
    matches: &ArgMatches,
) -> Result<(), Refusal> {
    let [url, key] = ["url", "key_env"].map(|what| source(matches, &format!("{role}_{what}")));
    if remote.key_env(role).is_none() || key >= url {
        return Ok(());
    }
    let message =
        format!("--{role}-url names another server than the one whose key the configuration names");
    let hint = format!("name the key of this server, too: --{role}-key-env NAME, or \"\" for none");
    Err(Exit::new(Code::Usage, message).with_hint(hint).into())
}

/// Refuses the same of the server behind a relay.
fn upstream_has_its_own_key(reading: &Reading) -> Result<(), Refusal> {
    let Command::Serve(arguments) = &reading.cli.command else {
        return Ok(());
    };
    let [url, key] = ["upstream", "upstream_key_env"].map(|id| source(&reading.matches, id));
    if arguments.relay.upstream_key_env.is_none() || key >= url {
        return Ok(());
    }
    let message = "--upstream names another server than the one whose key the configuration names";
    let hint = "name the key of this server, too: --upstream-key-env NAME, or \"\" for none";
    Err(Exit::new(Code::Usage, message).with_hint(hint).into())
}

/// Parses with these defaults, and without the environment's word on one option.
fn parse(
    words: &[OsString],
    layer: BTreeMap<String, Entry>,
    unheard: Option<&str>,
) -> Result<Reading, clap::Error> {
    let mut grammar = grammar();
    for name in Table::commands() {
        grammar = grammar.mut_subcommand(name, |command| {
            let has = |id: &str| command.get_arguments().any(|arg| arg.get_id() == id);
            let here: Vec<&Entry> = layer.values().filter(|entry| has(&entry.id)).collect();
            let unheard = unheard.filter(|id| has(id));
            let command = match unheard {
                Some(id) => command.mut_arg(id, |arg| arg.env(Resettable::Reset)),
                None => command,
            };
            here.into_iter().fold(command, |command, entry| {
                command.mut_arg(&entry.id, |arg| arg.default_values(entry.values.clone()))
            })
        });
    }
    let matches = grammar.try_get_matches_from(words)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(Reading {
        cli,
        profiles: Vec::new(),
        keys: Vec::new(),
        matches,
        layer,
    })
}

/// Of `url` and `local`, which exclude each other, the one said nearer to the command counts.
/// Gives the other, which is then said by nobody.
fn settle_exclusion(
    matches: &ArgMatches,
    layer: &mut BTreeMap<String, Entry>,
) -> Result<Option<&'static str>, Exit> {
    const BOTH: [&str; 2] = ["url", "local"];
    let nearness = |id: &str| {
        let matches = matches.subcommand().map(|(_, matches)| matches);
        // A switch that is off excludes nothing.
        let matches = matches.filter(|matches| id == BOTH[0] || matches.get_flag(id));
        match matches.and_then(|matches| matches.value_source(id)) {
            Some(ValueSource::CommandLine) => 3,
            Some(ValueSource::EnvVariable) => 2,
            _ if layer.get(id).is_some_and(|entry| entry.values != ["false"]) => 1,
            _ => 0,
        }
    };
    let [url, local] = BOTH.map(nearness);
    if url == local && url > 0 {
        return Err(Exit::new(
            Code::Usage,
            "a url and the embedded server (local) exclude each other",
        )
        .with_hint("leave one of them out; \"kaiwa config path\" is the file they may stand in"));
    }
    let outdone = match url.cmp(&local) {
        Ordering::Less => BOTH[0],
        Ordering::Equal => return Ok(None),
        Ordering::Greater => BOTH[1],
    };
    layer.remove(outdone);
    Ok(Some(outdone))
}

/// Where the configuration is.
struct Place {
    /// The file, which need not exist unless it was named.
    file: Option<PathBuf>,
    /// Whether it was named.
    named: bool,
    /// The folder of prices and personas.
    folder: Option<PathBuf>,
}

impl Place {
    fn of(named: Option<&Path>) -> Self {
        let file = named.map(Path::to_owned).or_else(default_file);
        let folder = file.as_deref().and_then(Path::parent).map(Path::to_owned);
        Self {
            file,
            named: named.is_some(),
            folder,
        }
    }

    /// The file and what it says; `None` where nobody wrote one.
    fn read(&self) -> Result<Option<(PathBuf, String)>, Exit> {
        let Some(path) = &self.file else {
            return Ok(None);
        };
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some((path.clone(), text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.named => Ok(None),
            Err(error) => Err(Exit::new(
                Code::Usage,
                format!("cannot read the configuration {}: {error}", path.display()),
            )
            .with_hint("name a file with --config or KAIWA_CONFIG, or neither")),
        }
    }

    /// Prices beside the file count without being named.
    fn prices(&self) -> Option<(String, Entry)> {
        let path = self.folder.as_ref()?.join("prices.toml");
        let value = path.to_str().filter(|_| path.is_file())?.to_owned();
        let id = "prices".to_owned();
        let entry = Entry {
            id: id.clone(),
            values: vec![value],
            origin: "beside the configuration".to_owned(),
        };
        Some((id, entry))
    }
}

/// `$XDG_CONFIG_HOME/kaiwa/config.toml`, else `~/.config/kaiwa/config.toml`.
fn default_file() -> Option<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("kaiwa").join("config.toml"))
}

/// The option of this name among those of a table.
fn option(table: Table, name: &str) -> Option<Arg> {
    let grammar = match table {
        Table::Engines => {
            RemoteArgs::augment_args(EngineArgs::augment_args(Grammar::new("engines")))
        }
        Table::Relay => RelayArgs::augment_args(Grammar::new("relay")),
        Table::Serve | Table::Talk => Cli::command().find_subcommand(table.name())?.clone(),
    };
    let name = name.replace('_', "-");
    let named = |name: &str| {
        let mut options = grammar.get_arguments();
        let found = options.find(|arg| arg.get_long() == Some(name) && is_configured(name));
        found.cloned()
    };
    // In its table, an option need not say again what it is about.
    let short = |prefix: &str| (table == Table::Relay).then(|| named(&format!("{prefix}-{name}")));
    named(&name)
        .or_else(|| short("upstream")?)
        .or_else(|| short("relay")?)
}

/// Whether the command line would take this value; otherwise why not, in one line.
fn judge(table: Table, arg: &Arg, value: &str) -> Result<(), String> {
    let long = arg.get_long().unwrap_or_default();
    let flag = format!("--{long}={value}");
    let command = match table {
        Table::Engines => Table::Talk.name(),
        Table::Relay => Table::Serve.name(),
        Table::Serve | Table::Talk => table.name(),
    };
    match Cli::command().try_get_matches_from(["kaiwa", command, &flag]) {
        Ok(_) => Ok(()),
        Err(error) => {
            let shown = error.to_string();
            let shown = shown.strip_prefix("error: ").unwrap_or(&shown);
            let said: Vec<&str> = shown
                .lines()
                .take_while(|line| !line.is_empty())
                .map(str::trim)
                .collect();
            Err(said.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_that_can_be_configured_has_a_variable_of_its_own() {
        // Debug assertions of the parser look for clashes and bad defaults.
        grammar().debug_assert();
        for (table, name, expected) in [
            (Table::Talk, "voice", Some("KAIWA_VOICE")),
            (Table::Talk, "key_env", Some("KAIWA_KEY_ENV")),
            (Table::Talk, "key-env", Some("KAIWA_KEY_ENV")),
            (Table::Serve, "rate-limit", Some("KAIWA_RATE_LIMIT")),
            (Table::Engines, "stt", Some("KAIWA_STT")),
            (Table::Engines, "voice", None),
            (Table::Serve, "voice", None),
            (Table::Talk, "text", None),
            (Table::Talk, "config", None),
        ] {
            let found = option(table, name).as_ref().and_then(variable);
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_value_is_judged_as_on_the_command_line() {
        let turn = option(Table::Talk, "turn").expect("an option");
        assert_eq!(judge(Table::Talk, &turn, "server"), Ok(()));
        let why = judge(Table::Talk, &turn, "never").expect_err("no such turn");
        assert!(why.contains("'never'") && why.contains("semantic"), "{why}");
        assert!(!why.contains('\n'), "{why}");
    }
}
