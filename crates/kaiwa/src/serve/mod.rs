//! `kaiwa serve`: the Realtime API on this machine.

mod log;

use std::env;

use kaiwa_server::{Keys, Server};
use tokio::net::TcpListener;

use crate::{
    cli::{EngineKind, ServeArgs},
    engines,
    exit::{Code, Exit},
    fetch::Console,
    output, stop,
};

pub(crate) async fn run(arguments: ServeArgs) -> Result<(), Exit> {
    let keys = match &arguments.keys_env {
        Some(name) => keys(name)?,
        None => Keys::any(),
    };
    let log = arguments
        .log_events
        .as_deref()
        .map(log::observer)
        .transpose()?;
    // Binding comes before loading: a taken port is said at once, not after ten seconds.
    let listener = TcpListener::bind(&arguments.listen)
        .await
        .map_err(|error| {
            Exit::new(
                Code::Connection,
                format!("cannot listen on {}: {error}", arguments.listen),
            )
            .with_hint("choose another address with --listen HOST:PORT")
        })?;
    let address = listener
        .local_addr()
        .map_err(|error| Exit::new(Code::Connection, error))?;
    let (model, models) = match arguments.engines.engine {
        EngineKind::Local => (
            arguments.engines.llm.clone(),
            vec![arguments.engines.stt.clone(), engines::VOICE.to_owned()],
        ),
        EngineKind::Scripted => ("scripted".to_owned(), Vec::new()),
    };
    let engine_arguments = arguments.engines.clone();
    let engines = tokio::task::spawn_blocking(move || {
        engines::load(&engine_arguments, &[], &mut Console::default())
    })
    .await
    .map_err(|error| Exit::new(Code::Failure, error))??;
    let mut config = engines::server_config(&engines, &arguments.engines);
    config.keys = keys;
    config.max_sessions = arguments.max_sessions;
    config.model = model;
    config.models = models;
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

fn keys(name: &str) -> Result<Keys, Exit> {
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
    Ok(Keys::only(keys))
}
