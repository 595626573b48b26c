//! A link to whoever is talked to; offline, to the server inside this process.

use kaiwa_client::{Endpoint, Link, LinkError, LinkErrorKind, Reconnect};
use kaiwa_server::{Engines, Server, ServerConfig};

use super::plan::Target;
use crate::{
    cli::{EngineArgs, TalkArgs},
    engines::{self, Wanted},
    exit::{Code, Exit},
    fetch::{Attendant, Console},
    output,
    record::Recording,
};

/// Connects to whoever is talked to, under somebody's eyes. What the server in this process does
/// is recorded.
pub(super) async fn open(
    target: &Target,
    arguments: &TalkArgs,
    recording: Option<&mut Recording>,
    attendant: impl Attendant + Send + 'static,
) -> Result<Link, Exit> {
    match target {
        Target::Remote(endpoint) => {
            output::note(format_args!("Connecting to {}", endpoint.url));
            Ok(Link::connect(endpoint).await?)
        }
        Target::Embedded => {
            let wanted = wanted(arguments)?;
            let (engines, wanted) = loading(attendant, move |attendant| {
                Ok((engines::one(&wanted, &[], attendant)?, wanted))
            })
            .await?;
            let mut config = engines::configured(&engines, &wanted)?;
            config.journal = recording.map(Recording::journal).transpose()?;
            embedded(engines, config).await
        }
    }
}

/// Connects to the server in this process.
pub(crate) async fn embedded_link(arguments: &TalkArgs) -> Result<Link, Exit> {
    open(&Target::Embedded, arguments, None, Console::default()).await
}

/// What the server in this process runs on.
pub(crate) fn wanted(arguments: &TalkArgs) -> Result<Wanted, Exit> {
    let mut wanted = Wanted {
        engines: arguments.engines.clone(),
        remote: arguments.remote.clone(),
    };
    match &arguments.model {
        Some(model) if wanted.remote.llm()?.is_some() => {
            wanted.remote.llm_model = Some(model.clone());
        }
        Some(model) => wanted.engines.llm.clone_from(model),
        None => {}
    }
    Ok(wanted)
}

/// How a lost connection is made again. The server in this process cannot be lost.
pub(super) fn reconnect(target: &Target, arguments: &TalkArgs) -> Option<Reconnect> {
    match target {
        Target::Remote(endpoint) if !arguments.no_reconnect => {
            Some(Reconnect::to(endpoint.clone()))
        }
        Target::Remote(_) | Target::Embedded => None,
    }
}

/// Loads engines off the async threads.
pub(crate) async fn load(
    arguments: EngineArgs,
    extra: &'static [&'static str],
) -> Result<Engines, Exit> {
    loading(Console::default(), move |attendant| {
        engines::load(&arguments, extra, attendant)
    })
    .await
}

/// The same for a set with engines elsewhere.
pub(crate) async fn load_wanted(wanted: Wanted) -> Result<Engines, Exit> {
    loading(Console::default(), move |attendant| {
        engines::one(&wanted, &[], attendant)
    })
    .await
}

/// The same, under somebody's eyes.
async fn loading<T: Send + 'static>(
    mut attendant: impl Attendant + Send + 'static,
    load: impl FnOnce(&mut dyn Attendant) -> Result<T, Exit> + Send + 'static,
) -> Result<T, Exit> {
    let loading = tokio::task::spawn_blocking(move || load(&mut attendant));
    loading.await.map_err(|error| {
        Exit::new(
            Code::Failure,
            format!("loading the engines failed: {error}"),
        )
    })?
}

/// Starts a server in this process and connects to it over an in-memory pipe.
pub(crate) async fn embedded(engines: Engines, config: ServerConfig) -> Result<Link, Exit> {
    link(&Server::new(engines, config)).await
}

/// A further link to a server in this process.
pub(crate) async fn link(server: &Server) -> Result<Link, Exit> {
    let endpoint = Endpoint::new("ws://kaiwa.invalid/v1/realtime");
    Ok(Link::over(server.connect_in_process(), &endpoint).await?)
}

impl From<LinkError> for Exit {
    fn from(error: LinkError) -> Self {
        let code = match error.kind() {
            LinkErrorKind::Address => Code::Usage,
            LinkErrorKind::Key => Code::Unauthorized,
            _ => Code::Connection,
        };
        Self::new(code, error)
    }
}
