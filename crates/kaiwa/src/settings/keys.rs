//! `[relay.keys.NAME]`: the keys a relay gives out.

use std::env;

use kaiwa_client::costs::Usd;
use kaiwa_server::{Period, RelayKey};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::file::{Reader, typed};
use crate::exit::{Code, Exit};

/// A key as the file describes it.
#[derive(Debug)]
pub(crate) struct KeySettings {
    /// All but the key itself, perhaps.
    limits: RelayKey,
    /// The environment variable that holds the key.
    key_env: Option<String>,
    origin: String,
}

impl KeySettings {
    /// With the key of the environment.
    pub(crate) fn resolve(self) -> Result<RelayKey, Exit> {
        let mut key = self.limits;
        if let Some(name) = self.key_env {
            key.key = env::var(&name).map_err(|_| {
                let what = format!("the environment variable {name} is not set");
                Exit::new(Code::Usage, format!("{}: {what}", self.origin))
                    .with_hint("key_env names a variable that holds a key of the relay")
            })?;
        }
        Ok(key)
    }
}

/// Reads `[relay.keys]`.
pub(super) fn read(reader: &Reader<'_>, keys: &DeTable<'_>) -> Result<Vec<KeySettings>, Exit> {
    let mut read = Vec::new();
    for (name, value) in keys {
        let at = name.span().start;
        let name = name.get_ref();
        let DeValue::Table(members) = value.get_ref() else {
            let what = format!("\"{name}\" is no table: [relay.keys.{name}] is");
            return Err(reader.refuse(at, what));
        };
        let mut key = KeySettings {
            limits: RelayKey::default(),
            key_env: None,
            origin: reader.place(at),
        };
        key.limits.name = name.to_string();
        for (member, value) in members {
            set(&mut key, member.get_ref(), value, reader.text).map_err(|why| {
                let at = match why {
                    Fault::Name => member.span().start,
                    Fault::Value(_) => value.span().start,
                };
                let what = match why {
                    Fault::Name => format!(
                        "[relay.keys.{name}] knows no \"{}\": key, key_env, budget_usd, period, \
                         max_sessions, requests_per_minute and models it does",
                        member.get_ref()
                    ),
                    Fault::Value(why) => format!("{}: {why}", member.get_ref()),
                };
                reader.refuse(at, what)
            })?;
        }
        if key.limits.key.is_empty() == key.key_env.is_none() {
            let what = format!("[relay.keys.{name}] needs a key or a key_env, and not both");
            return Err(reader.refuse(at, what));
        }
        read.push(key);
    }
    Ok(read)
}

enum Fault {
    Name,
    Value(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Value(why)
    }
}

fn set(
    key: &mut KeySettings,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    text: &str,
) -> Result<(), Fault> {
    let limits = &mut key.limits;
    match name.replace('-', "_").as_str() {
        "key" => limits.key = typed(value, text)?,
        "key_env" => key.key_env = Some(typed(value, text)?),
        "budget_usd" => {
            let usd: Usd = typed(value, text)?
                .parse()
                .map_err(|error: kaiwa_client::costs::UsdError| error.to_string())?;
            limits.budget = Some(usd);
        }
        "period" => {
            limits.period = match typed(value, text)?.as_str() {
                "day" => Period::Day,
                "month" => Period::Month,
                "ever" => Period::Ever,
                other => return Err(format!("day, month or ever, not {other:?}").into()),
            };
        }
        "max_sessions" => limits.max_sessions = Some(count(value, text)?),
        "requests_per_minute" => limits.requests_per_minute = Some(count(value, text)?),
        "models" => {
            limits.models = match value.get_ref() {
                DeValue::Array(models) => models
                    .iter()
                    .map(|model| typed(model, text))
                    .collect::<Result<_, _>>()?,
                _ => vec![typed(value, text)?],
            };
        }
        _ => return Err(Fault::Name),
    }
    Ok(())
}

fn count(value: &Spanned<DeValue<'_>>, text: &str) -> Result<usize, String> {
    let typed = typed(value, text)?;
    typed
        .parse()
        .map_err(|_| format!("expected a whole number, not {typed:?}"))
}
