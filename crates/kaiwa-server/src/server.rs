use std::{
    fmt,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{Router, http::HeaderMap};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::TcpListener,
    sync::watch,
    time::Instant,
};

use crate::{
    auth::{self, Refusal},
    config::ServerConfig,
    engines::{Engines, Profile},
    http,
    jobs::{self, Chats, Pool},
    listen,
    metrics::Metrics,
    secrets::{Bound, Secrets},
};

/// A Realtime server.
///
/// Clones share one server: its engines, its sessions and its worker threads.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) engines: Engines,
    pub(crate) config: ServerConfig,
    pub(crate) pool: Pool,
    pub(crate) chats: Chats,
    pub(crate) secrets: Secrets,
    /// When the server was made, in seconds since the Unix epoch.
    pub(crate) begun: u64,
    /// Sessions that are open or about to be.
    sessions: watch::Sender<usize>,
    /// What was counted so far.
    pub(crate) metrics: Arc<Metrics>,
    /// Requests that engines work on or are about to.
    requests: watch::Sender<usize>,
    stopping: watch::Sender<bool>,
    next_conversation: AtomicU64,
}

impl Server {
    /// A server that nobody can reach yet. Worker threads start with the first session.
    pub fn new(engines: Engines, config: ServerConfig) -> Self {
        let workers = config
            .workers
            .unwrap_or_else(|| config.max_sessions.saturating_mul(jobs::LANES))
            .saturating_add(config.max_requests);
        Self(Arc::new(Shared {
            engines,
            pool: Pool::new(workers),
            chats: Chats::new(config.max_requests),
            secrets: Secrets::default(),
            begun: unix_seconds(),
            config,
            sessions: watch::Sender::new(0),
            metrics: Arc::default(),
            requests: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
            next_conversation: AtomicU64::new(1),
        }))
    }

    /// The routes: `GET /v1/realtime` (WebSocket), what OpenAI's clients ask for besides
    /// (client secrets, models, transcriptions, speech, chat completions), `GET /health` and
    /// `GET /metrics`.
    ///
    /// To be served over HTTP/1.1 with upgrades. Whoever serves it calls
    /// [`stop`](Self::stop) to end its sessions. Whether a client reads is then known by
    /// whole messages only, and a client that is cut off while it sends may never see why.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.0))
    }

    /// Serves connections until `shutdown` completes, then [stops](Self::stop).
    ///
    /// # Errors
    ///
    /// None today: errors of connections are logged, and a listener that has no descriptors
    /// left is asked again.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        listen::accept(listener, shutdown, |stream| self.connection(stream)).await;
        self.stop().await;
        Ok(())
    }

    /// Opens a connection inside the process: what is written into the pipe is served as
    /// if it had come through a socket. The client speaks HTTP/1.1 and upgrades as usual.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn connect_in_process(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(listen::PIPE);
        tokio::spawn(self.connection(server));
        client
    }

    /// Takes no new sessions and requests, closes the open sessions (code 1001), ends the
    /// requests that engines work on, and returns when all have ended, at the latest after
    /// [`ServerConfig::shutdown_grace`].
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        let mut sessions = self.0.sessions.subscribe();
        let mut requests = self.0.requests.subscribe();
        let ended = async {
            // The senders live as long as `self`.
            let _ = sessions.wait_for(|open| *open == 0).await;
            let _ = requests.wait_for(|open| *open == 0).await;
        };
        if tokio::time::timeout(self.0.config.shutdown_grace, ended)
            .await
            .is_err()
        {
            tracing::warn!(
                sessions = self.sessions(),
                requests = self.requests(),
                "not everything ended in time, leaving it"
            );
        }
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        *self.0.sessions.borrow()
    }

    /// How many HTTP requests engines work on.
    pub fn requests(&self) -> usize {
        self.0.requests()
    }

    /// Serves one connection until it is closed or has become a WebSocket.
    fn connection<S>(&self, stream: S) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Sessions and streamed answers end by themselves before.
        let patience = self.0.config.patience.saturating_mul(2);
        listen::connection(stream, self.router(), patience, self.0.stopping())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("config", &self.0.config)
            .field("pool", &self.0.pool)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Judges a request for anything but a session.
    pub(crate) fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match self.config.keys.check(headers) {
            Err(Refusal::WrongKey) if self.bound(headers).is_some() => Err(Refusal::Ephemeral),
            judged => judged,
        }
    }

    /// Judges a request for a session; an ephemeral key says how it begins.
    pub(crate) fn authorize_session(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Bound>>, Refusal> {
        match self.bound(headers) {
            Some(bound) => Ok(Some(bound)),
            None => self.config.keys.check(headers).map(|()| None),
        }
    }

    fn bound(&self, headers: &HeaderMap) -> Option<Arc<Bound>> {
        self.secrets.bound(auth::offered(headers)?, Instant::now())
    }

    /// The engines that go by the name of this model.
    pub(crate) fn profile(&self, model: &str) -> Option<&Profile> {
        let mut profiles = self.config.profiles.iter();
        profiles.find(|profile| profile.name == model)
    }

    /// The engines for this model: those of its name, else those of the server.
    pub(crate) fn engines_for(&self, model: &str) -> &Engines {
        self.profile(model)
            .map_or(&self.engines, |profile| &profile.engines)
    }

    /// Reserves a place for a session.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Seat, Full> {
        self.reserve(
            |shared| &shared.sessions,
            self.config.max_sessions,
            Full::Sessions,
        )
    }

    /// Reserves a place for a request that engines will work on.
    pub(crate) fn admit_request(self: &Arc<Self>) -> Result<Seat, Full> {
        self.reserve(
            |shared| &shared.requests,
            self.config.max_requests,
            Full::Requests,
        )
    }

    /// One more of what `count` counts, if fewer than `most` are there.
    fn reserve(self: &Arc<Self>, count: Count, most: usize, full: Full) -> Result<Seat, Full> {
        if *self.stopping.borrow() {
            return Err(Full::Stopping);
        }
        let reserved = count(self).send_if_modified(|taken| {
            let free = *taken < most;
            *taken += usize::from(free);
            free
        });
        if !reserved {
            return Err(full);
        }
        Ok(Seat {
            server: Arc::clone(self),
            count,
        })
    }

    /// How many sessions are open.
    pub(crate) fn sessions(&self) -> usize {
        *self.sessions.borrow()
    }

    /// How many requests engines work on.
    pub(crate) fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    /// Turns true when the server stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// A key for a new conversation.
    pub(crate) fn conversation(&self) -> u64 {
        self.next_conversation.fetch_add(1, Ordering::Relaxed)
    }
}

/// Picks one of the server's counts.
type Count = fn(&Shared) -> &watch::Sender<usize>;

/// Why nothing more is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// As many requests as allowed are worked on.
    Requests,
    /// As many sessions as allowed are open.
    Sessions,
    /// The server stops.
    Stopping,
}

/// The place of a session or of a request, given back when dropped.
pub(crate) struct Seat {
    server: Arc<Shared>,
    count: Count,
}

impl Seat {
    pub(crate) fn server(&self) -> &Arc<Shared> {
        &self.server
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        (self.count)(&self.server).send_modify(|taken| *taken -= 1);
    }
}

/// Seconds since the Unix epoch.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
