//! `kaiwa serve --upstream`: in front of another Realtime server.

mod args;

use std::{collections::HashSet, env};

use kaiwa_client::{Endpoint, costs::Prices};
use kaiwa_server::{EventObserver, Relay, RelayConfig, RelayError, RelayKey};

pub(crate) use self::args::RelayArgs;
use super::listen;
use crate::{
    cli::ServeArgs,
    exit::{Code, Exit},
    output,
    settings::KeySettings,
    stop,
    talk::costs,
};

/// Where the upstream's key is looked for when nobody says where it is.
const KEY_ENV: &str = "KAIWA_UPSTREAM_KEY";
/// Then, if the upstream is the one whose key it holds.
const OPENAI_KEY_ENV: &str = "OPENAI_API_KEY";
const OPENAI: &str = "api.openai.com";

pub(super) async fn run(
    url: String,
    arguments: ServeArgs,
    keys: Vec<KeySettings>,
    log: Option<EventObserver>,
) -> Result<(), Exit> {
    let mut config = config(url, &arguments.relay)?;
    config.keys = relay_keys(arguments.keys_env.as_deref(), keys)?;
    config.max_sessions = arguments.max_sessions;
    config.on_event = log;
    if config.upstream.key.is_none() {
        output::note("kaiwa: no key is sent to the upstream; --upstream-key-env names one");
    }
    let is_open = config.keys.is_empty();
    let listener = listen(&arguments.listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| Exit::new(Code::Connection, error))?;
    if is_open && !address.ip().is_loopback() {
        return Err(Exit::new(
            Code::Usage,
            format!("whoever reaches {address} could spend the upstream's money"),
        )
        .with_hint("give out keys: [relay.keys.NAME] in the configuration, or --keys-env"));
    }
    let relay = Relay::new(config).map_err(refused)?;
    output::note(format_args!(
        "kaiwa relays ws://{address}/v1/realtime (Ctrl-C stops it)"
    ));
    relay
        .serve(listener, stop::requested())
        .await
        .map_err(|error| Exit::new(Code::Connection, format!("the listener failed: {error}")))
}

fn config(url: String, arguments: &RelayArgs) -> Result<RelayConfig, Exit> {
    let mut endpoint = Endpoint {
        profile: arguments.upstream_profile,
        ..Endpoint::new(url)
    };
    let host = endpoint.host().unwrap_or_default();
    endpoint.key = upstream_key(arguments.upstream_key_env.as_deref(), &host)?;
    let prices = match &arguments.prices {
        Some(path) => costs::read(path)?.or(Prices::built_in()),
        None => Prices::built_in(),
    };
    let mut config = RelayConfig::new(endpoint);
    config.prices = prices.at(&host);
    config.insecure = arguments.upstream_insecure;
    config.state.clone_from(&arguments.relay_state);
    config.reserve = arguments.relay_reserve;
    Ok(config)
}

fn upstream_key(named: Option<&str>, host: &str) -> Result<Option<String>, Exit> {
    let set = |name: &str| env::var(name).ok().filter(|key| !key.is_empty());
    match named {
        Some("") => Ok(None),
        Some(name) => match set(name) {
            Some(key) => Ok(Some(key)),
            None => Err(Exit::new(
                Code::Usage,
                format!("the environment variable {name} is not set"),
            )
            .with_hint("--upstream-key-env names a variable that holds the upstream's key")),
        },
        None => {
            let of_openai = || set(OPENAI_KEY_ENV).filter(|_| host == OPENAI);
            Ok(set(KEY_ENV).or_else(of_openai))
        }
    }
}

/// The keys of the configuration, and those of an environment variable without limits.
fn relay_keys(keys_env: Option<&str>, keys: Vec<KeySettings>) -> Result<Vec<RelayKey>, Exit> {
    let mut found = Vec::new();
    for settings in keys {
        found.push(settings.resolve()?);
    }
    if let Some(name) = keys_env {
        let names: HashSet<String> = found.iter().map(|key| key.name.clone()).collect();
        let free = (1..).map(|number: u32| format!("key-{number}"));
        let free = free.filter(|name| !names.contains(name));
        let keys = super::key_list(name)?;
        found.extend(keys.into_iter().zip(free).map(|(key, name)| RelayKey {
            name,
            key,
            ..RelayKey::default()
        }));
    }
    Ok(found)
}

fn refused(error: RelayError) -> Exit {
    let hint = match &error {
        RelayError::Insecure { .. } => "--upstream-insecure says that it is meant",
        RelayError::State { .. } => "name another file with --relay-state, or none",
        RelayError::Upstream(_) => "--upstream takes an address such as wss://api.openai.com/v1",
        _ => "docs/relay.md shows what keys look like",
    };
    let code = match &error {
        RelayError::State { .. } => Code::Output,
        _ => Code::Usage,
    };
    Exit::new(code, error).with_hint(hint)
}
