//! The configuration file: tables of options as the command line names them.

use std::path::Path;

use clap::{Arg, ArgAction};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    judge,
    keys::{self, KeySettings},
    option,
};
use crate::exit::{Code, Exit};

/// What a table of the file is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Table {
    /// The engines, whoever runs on them.
    Engines,
    /// What `serve` does in front of another server.
    Relay,
    Serve,
    Talk,
}

impl Table {
    const ALL: [Self; 4] = [Self::Engines, Self::Relay, Self::Serve, Self::Talk];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Engines => "engines",
            Self::Relay => "relay",
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

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Options, by the table they stand in.
    pub(super) options: Vec<(Table, Entry)>,
    /// Sets of engines with names of their own.
    pub(super) profiles: Vec<(String, Vec<Entry>)>,
    /// Keys that a relay gives out.
    pub(super) keys: Vec<KeySettings>,
}

/// The roles of engines that have a table of their own below those of the options:
/// `[engines.llm] url` is `[engines] llm-url`.
pub(super) const ROLES: [&str; 3] = ["llm", "stt", "tts"];

/// Reads a file; everything in it must be understood.
pub(super) fn parse(path: &Path, text: &str) -> Result<Contents, Exit> {
    let reader = Reader { path, text };
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        reader.refuse(at, error.message().replace('\n', "; "))
    })?;
    let mut contents = Contents::default();
    for (name, value) in document.get_ref() {
        let at = name.span().start;
        let name = name.get_ref();
        let known = Table::ALL.into_iter().find(|table| table.name() == name);
        match (known, value.get_ref()) {
            (Some(table), DeValue::Table(options)) => {
                if table == Table::Relay
                    && let Some(DeValue::Table(keys)) = options.get("keys").map(Spanned::get_ref)
                {
                    contents.keys = keys::read(&reader, keys)?;
                }
                let entries = reader.options(table, options)?;
                let entries = entries.into_iter().map(|entry| (table, entry));
                contents.options.extend(entries);
            }
            (None, DeValue::Table(profiles)) if name == "profiles" => {
                contents.profiles = reader.profiles(profiles)?;
            }
            _ => {
                let what = format!(
                    "\"{name}\" is no table of this file: [engines], [relay], [serve], [talk] and \
                     [profiles.NAME] are"
                );
                return Err(reader.refuse(at, what));
            }
        }
    }
    Ok(contents)
}

/// A file, for whoever refuses something in it.
pub(super) struct Reader<'a> {
    path: &'a Path,
    pub(super) text: &'a str,
}

impl Reader<'_> {
    /// `FILE:LINE` of a place.
    pub(super) fn place(&self, at: usize) -> String {
        place(self.path, self.text, at)
    }

    pub(super) fn refuse(&self, at: usize, what: String) -> Exit {
        Exit::new(Code::Usage, format!("{}: {what}", self.place(at)))
            .with_hint("docs/configuration.md says what a configuration file may hold")
    }

    fn options(&self, table: Table, options: &DeTable<'_>) -> Result<Vec<Entry>, Exit> {
        let mut entries = Vec::new();
        for (name, value) in options {
            match value.get_ref() {
                DeValue::Table(_) if table == Table::Relay && name.get_ref() == "keys" => {}
                DeValue::Table(of_role) if ROLES.contains(&name.get_ref().as_ref()) => {
                    for (option, value) in of_role {
                        let full = format!("{}-{}", name.get_ref(), option.get_ref());
                        entries.push(self.entry(table, &full, option.span().start, value)?);
                    }
                }
                _ => entries.push(self.entry(table, name.get_ref(), name.span().start, value)?),
            }
        }
        Ok(entries)
    }

    fn entry(
        &self,
        table: Table,
        name: &str,
        at: usize,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Entry, Exit> {
        let arg = option(table, name).ok_or_else(|| {
            let table = table.name();
            self.refuse(at, format!("[{table}] knows no option \"{name}\""))
        })?;
        let values = values(table, &arg, value, self.text)
            .map_err(|why| self.refuse(value.span().start, format!("{name}: {why}")))?;
        Ok(Entry {
            id: arg.get_id().to_string(),
            values,
            origin: place(self.path, self.text, at),
        })
    }

    /// `[profiles.NAME.engines]`, each with the options of `[engines]`.
    fn profiles(&self, profiles: &DeTable<'_>) -> Result<Vec<(String, Vec<Entry>)>, Exit> {
        let mut read = Vec::new();
        for (name, value) in profiles {
            let at = name.span().start;
            let name = name.get_ref();
            let engines = match value.get_ref() {
                DeValue::Table(tables) if tables.len() == 1 => tables.iter().next(),
                _ => None,
            };
            let entries = match engines.map(|(key, value)| (key.get_ref(), value.get_ref())) {
                Some((key, DeValue::Table(options))) if key == "engines" => {
                    self.options(Table::Engines, options)?
                }
                _ => {
                    let what = format!("the profile \"{name}\" holds [profiles.{name}.engines]");
                    return Err(self.refuse(at, format!("{what} and nothing else")));
                }
            };
            read.push((name.to_string(), entries));
        }
        Ok(read)
    }
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
pub(super) fn typed(value: &Spanned<DeValue<'_>>, text: &str) -> Result<String, String> {
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
        Ok(contents(text)?.options)
    }

    fn contents(text: &str) -> Result<Contents, Exit> {
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
            ("[engines.llm]\nuri = \"a\"\n", 2, "\"llm-uri\""),
            ("[engines.vad]\nurl = \"a\"\n", 1, "\"vad\""),
            ("[engines.llm]\ntimeout = 0\n", 2, "1..=600"),
            (
                "[profiles.fast]\nllm = \"a\"\n",
                1,
                "[profiles.fast.engines]",
            ),
            (
                "[profiles.fast.talk]\nvoice = \"a\"\n",
                1,
                "[profiles.fast.engines]",
            ),
            ("[profiles.fast.engines]\nvoice = \"a\"\n", 2, "\"voice\""),
            ("[profiles]\nfast = 5\n", 2, "[profiles.fast.engines]"),
        ] {
            let exit = read(text).expect_err(text);
            assert_eq!(exit.code, Code::Usage);
            let start = format!("config.toml:{line}: ");
            assert!(exit.message.starts_with(&start), "{text:?}: {exit}");
            assert!(exit.message.contains(part), "{text:?}: {exit}");
            assert!(!exit.message.contains('\n'), "{exit}");
        }
    }

    #[test]
    fn the_manuals_relay_is_understood() {
        let manual = include_str!("../../../../docs/relay.md");
        let (_, rest) = manual.split_once("```toml\n").expect("an example");
        let (example, _) = rest.split_once("```").expect("its end");
        let contents = contents(example).expect("a configuration");
        let mut said: Vec<String> = contents
            .options
            .iter()
            .map(|(table, entry)| format!("{table:?} {}={}", entry.id, entry.values.join(" ")))
            .collect();
        said.sort();
        assert_eq!(
            said,
            [
                "Relay relay_reserve=0.05",
                "Relay relay_state=spent.json",
                "Relay upstream=wss://api.openai.com/v1/realtime",
                "Relay upstream_key_env=OPENAI_API_KEY",
            ]
        );
        let [kiosk, team] = &contents.keys[..] else {
            panic!("{:?}", contents.keys);
        };
        let kiosk = format!("{kiosk:?}");
        for part in [
            "\"kiosk\"",
            "Some(Usd(5000000000000))",
            "Day",
            "max_sessions: Some(2)",
            "requests_per_minute: Some(20)",
            "[\"gpt-realtime-mini\"]",
            "\"KIOSK_KEY\"",
        ] {
            assert!(kiosk.contains(part), "{part} in {kiosk}");
        }
        assert!(format!("{team:?}").contains("Month"));
    }

    #[test]
    fn a_relays_key_that_is_not_understood_is_named_with_its_line() {
        for (text, line, part) in [
            ("[relay.keys.a]\n", 1, "needs a key or a key_env"),
            (
                "[relay.keys.a]\nkey = \"x\"\nkey_env = \"X\"\n",
                1,
                "not both",
            ),
            ("[relay.keys.a]\nkey = \"x\"\nbudget = 5\n", 3, "\"budget\""),
            (
                "[relay.keys.a]\nkey = \"x\"\nbudget_usd = -5\n",
                3,
                "US dollars",
            ),
            (
                "[relay.keys.a]\nkey = \"x\"\nperiod = \"week\"\n",
                3,
                "\"week\"",
            ),
            (
                "[relay.keys.a]\nkey = \"x\"\nmax_sessions = 1.5\n",
                3,
                "\"1.5\"",
            ),
            (
                "[relay.keys.a]\nkey = \"x\"\nmodels = [5, true]\n",
                3,
                "not true",
            ),
            ("[relay.keys]\na = \"x\"\n", 2, "[relay.keys.a]"),
            ("[relay]\nkeys = 5\n", 2, "\"keys\""),
            ("[relay]\nlisten = \"a\"\n", 2, "\"listen\""),
            ("[relay]\nprofile = \"gcp\"\n", 2, "gcp"),
        ] {
            let exit = read(text).expect_err(text);
            let start = format!("config.toml:{line}: ");
            assert!(exit.message.starts_with(&start), "{text:?}: {exit}");
            assert!(exit.message.contains(part), "{text:?}: {exit}");
            assert!(!exit.message.contains('\n'), "{exit}");
        }
    }

    #[test]
    fn a_role_has_a_table_and_a_name_has_a_set_of_engines() {
        let contents = contents(
            "[engines.llm]\nkind = \"openai\"\nurl = \"http://a\"\nkey_env = \"K\"\n\
             [engines.tts]\nvoice = [\"sky\", \"alloy=adam\"]\n\
             [profiles.fast.engines]\nstt = \"tiny\"\n\
             [profiles.fast.engines.llm]\nmodel = \"m\"\n",
        )
        .expect("a configuration");
        let said = |entries: &[Entry]| -> Vec<String> {
            let said = entries
                .iter()
                .map(|entry| format!("{}={} {}", entry.id, entry.values.join(" "), entry.origin));
            let mut said: Vec<String> = said.collect();
            said.sort();
            said
        };
        let (tables, entries): (Vec<Table>, Vec<Entry>) = contents.options.into_iter().unzip();
        assert_eq!(tables, [Table::Engines; 4]);
        assert_eq!(
            said(&entries),
            [
                "llm_key_env=K config.toml:4",
                "llm_kind=openai config.toml:2",
                "llm_url=http://a config.toml:3",
                "tts_voice=sky alloy=adam config.toml:6",
            ]
        );
        let [(name, entries)] = &contents.profiles[..] else {
            panic!("{:?}", contents.profiles);
        };
        assert_eq!(name, "fast");
        assert_eq!(
            said(entries),
            ["llm_model=m config.toml:10", "stt=tiny config.toml:8"]
        );
    }
}
