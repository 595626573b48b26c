//! `kaiwa serve`: the Realtime API on this machine.

mod log;
pub(crate) mod relay;

use std::env;

use kaiwa_server::{Engines, Keys, Profile, Server, ServerConfig};
use tokio::net::TcpListener;

use crate::{
    cli::ServeArgs,
    engines::{self, Wanted},
    exit::{Code, Exit},
    fetch::Console,
    output,
    settings::KeySettings,
    stop,
};

/// Serves engines with these names besides, or another server to whoever has one of these keys.
pub(crate) async fn run(
    mut arguments: ServeArgs,
    profiles: Vec<(String, Wanted)>,
    keys: Vec<KeySettings>,
) -> Result<(), Exit> {
    let log = arguments
        .log_events
        .as_deref()
        .map(log::observer)
        .transpose()?;
    let upstream = arguments.relay.upstream.take();
    // An empty one takes back what the configuration says.
    if let Some(url) = upstream.filter(|url| !url.is_empty()) {
        return relay::run(url, arguments, keys, log).await;
    }
    let keys = match &arguments.keys_env {
        Some(name) => Keys::only(key_list(name)?),
        None => Keys::any(),
    };
    // Binding comes before loading: a taken port is said at once, not after ten seconds.
    let listener = listen(&arguments.listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| Exit::new(Code::Connection, error))?;
    let main = Wanted {
        engines: arguments.engines,
        remote: arguments.remote,
    };
    let served = tokio::task::spawn_blocking(move || Served::load(main, profiles));
    let Served {
        engines,
        mut config,
    } = served
        .await
        .map_err(|error| Exit::new(Code::Failure, error))??;
    config.keys = keys;
    config.max_sessions = arguments.max_sessions;
    config.session.rate_limits = arguments.rate_limits;
    config.mcp = arguments.mcp_allow.into_iter().collect();
    config.on_event = log;

    output::note(format_args!(
        "kaiwa listens on ws://{address}/v1/realtime (Ctrl-C stops it)"
    ));
    Server::new(engines, config)
        .serve(listener, stop::requested())
        .await
        .map_err(|error| Exit::new(Code::Connection, format!("the listener failed: {error}")))
}

/// What is served: the engines of any name, and those of the profiles' names.
struct Served {
    engines: Engines,
    config: ServerConfig,
}

impl Served {
    fn load(main: Wanted, profiles: Vec<(String, Wanted)>) -> Result<Self, Exit> {
        let (names, sets): (Vec<String>, Vec<Wanted>) = profiles.into_iter().unzip();
        let sets: Vec<Wanted> = std::iter::once(main).chain(sets).collect();
        let mut loaded = engines::several(&sets, &mut Console::default())?
            .into_iter()
            .zip(&sets);
        let (engines, main) = loaded
            .next()
            .ok_or_else(|| Exit::new(Code::Failure, "no engines were loaded"))?;
        let mut config = engines::configured(&engines, main)?;
        config.model = main.model()?;
        config.models = main.others()?;
        for (name, (engines, wanted)) in names.into_iter().zip(loaded) {
            let session = engines::configured(&engines, wanted)?.session;
            config.profiles.push(Profile {
                name,
                engines,
                voices: session.voices,
                ahead_ms: session.ahead_ms,
            });
        }
        Ok(Self { engines, config })
    }
}

async fn listen(address: &str) -> Result<TcpListener, Exit> {
    TcpListener::bind(address).await.map_err(|error| {
        Exit::new(
            Code::Connection,
            format!("cannot listen on {address}: {error}"),
        )
        .with_hint("choose another address with --listen HOST:PORT")
    })
}

/// The keys in an environment variable.
fn key_list(name: &str) -> Result<Vec<String>, Exit> {
    let value = env::var(name).map_err(|_| {
        Exit::new(
            Code::Usage,
            format!("the environment variable {name} is not set"),
        )
        .with_hint("--keys-env names a variable that holds keys separated by commas")
    })?;
    let keys = value
        .split(',')
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect::<Vec<_>>();
    if keys.is_empty() {
        return Err(Exit::new(Code::Usage, format!("{name} holds no key")));
    }
    Ok(keys)
}
