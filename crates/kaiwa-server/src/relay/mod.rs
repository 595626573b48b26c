//! A relay: our server in front of somebody else's.
//!
//! It has no session core, only two sockets and a meter between them. One task owns both sockets
//! of a session and passes every frame on as it came, then counts it:
//!
//! - `http` lets clients in and asks the upstream for a session (`upstream`);
//! - `session` moves frames, and keeps to the bounds;
//! - `meter` knows which events cost something, `keys` what a key may do and has spent, `state`
//!   the file that remembers it, `scan` what kind of event a frame is.
//!
//! # What is decided at each bound
//!
//! | bound | at the bound |
//! |---|---|
//! | bytes that wait for a side (1 MiB, and one message) | the other side is left unread |
//! | time a side takes nothing of what waits (30 s) | the session ends |
//! | time a side says nothing (15 s) | it is sent a ping |
//! | time a ping stays unanswered (30 s) | the session ends; the client is told with close code 1011 |
//! | bytes of a message (32 MiB) | the session ends; both sides are told with close code 1009 |
//! | time for responses to end when a session has (3 s) | they are billed as the reserve |
//! | sessions, client secrets | status 503; of a key, 429 |

mod config;
mod http;
mod keys;
mod meter;
mod metrics;
mod scan;
mod session;
mod state;
mod upstream;

use std::{
    fmt,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::HeaderMap;
use kaiwa_client::costs::{Prices, Usd};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::TcpListener,
    sync::watch,
    time::Instant,
};

pub use self::config::{InProcess, Period, RelayConfig, RelayError, RelayKey, UnixClock};
use self::{http::Bound, keys::Key, metrics::Metrics, state::Book};
use crate::{
    auth::{self, Keys, Refusal},
    http::ApiError,
    listen,
    secrets::Secrets,
    server::Full,
};

/// A relay in front of a Realtime server.
///
/// Clones share one relay: its sessions, its keys and what was spent with them.
#[derive(Clone)]
pub struct Relay(Arc<Shared>);

struct Shared {
    config: RelayConfig,
    keys: Vec<Arc<Key>>,
    /// What those have who need no key, where there are none.
    anybody: Option<Arc<Key>>,
    secrets: Secrets<Bound>,
    book: Arc<Book>,
    metrics: Metrics,
    /// Sessions that are open or about to be.
    sessions: watch::Sender<usize>,
    stopping: watch::Sender<bool>,
    next_session: AtomicU64,
}

impl Relay {
    /// A relay that nobody can reach yet.
    ///
    /// # Errors
    ///
    /// Something in the configuration that the relay cannot work with.
    pub fn new(mut config: RelayConfig) -> Result<Self, RelayError> {
        config.check()?;
        let (reserve, clock) = (config.reserve, Arc::clone(&config.clock));
        let anybody = config
            .keys
            .is_empty()
            .then(|| Arc::new(Key::of_anybody(reserve, Arc::clone(&clock))));
        // The keys themselves are needed no more.
        let keys = std::mem::take(&mut config.keys).into_iter();
        let mut keys: Vec<Arc<Key>> = keys
            .map(|key| Arc::new(Key::new(key, reserve, Arc::clone(&clock))))
            .collect();
        keys.extend(anybody.clone());
        let book = Book::open(config.state.clone(), keys.clone())?;
        Ok(Self(Arc::new(Shared {
            config,
            keys,
            anybody,
            secrets: Secrets::default(),
            book,
            metrics: Metrics::default(),
            sessions: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
            next_session: AtomicU64::new(1),
        })))
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

    /// Opens a connection inside the process, as [`Server`](crate::Server) does.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn connect_in_process(&self) -> DuplexStream {
        let (client, relay) = tokio::io::duplex(listen::PIPE);
        tokio::spawn(self.connection(relay));
        client
    }

    /// Takes no new sessions, closes the open ones (code 1001), writes the sums down, and
    /// returns when all have ended, at the latest after [`RelayConfig::shutdown_grace`].
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        let mut sessions = self.0.sessions.subscribe();
        let ended = sessions.wait_for(|open| *open == 0);
        if tokio::time::timeout(self.0.config.shutdown_grace, ended)
            .await
            .is_err()
        {
            tracing::warn!("not every session ended in time, leaving them");
        }
        self.0.book.close().await;
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.0.sessions()
    }

    /// What was spent with the key of this name in the present period of its budget.
    pub fn spent(&self, name: &str) -> Option<Usd> {
        let mut keys = self.0.keys.iter();
        keys.find(|key| key.name == name).map(|key| key.spent().0)
    }

    fn connection<S>(&self, stream: S) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = http::router(Arc::clone(&self.0));
        listen::connection(stream, router, self.0.config.patience, self.0.stopping())
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("config", &self.0.config)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// The key of a request for anything but a session.
    fn authorize(&self, headers: &HeaderMap) -> Result<Arc<Key>, Refusal> {
        match self.owner(headers) {
            Err(Refusal::WrongKey) if self.bound(headers).is_some() => Err(Refusal::Ephemeral),
            judged => judged,
        }
    }

    /// The key of a request for a session; an ephemeral one says how it begins.
    fn authorize_session(
        &self,
        headers: &HeaderMap,
    ) -> Result<(Arc<Key>, Option<Arc<Bound>>), Refusal> {
        match self.bound(headers) {
            Some(bound) => Ok((Arc::clone(bound.key()), Some(bound))),
            None => Ok((self.owner(headers)?, None)),
        }
    }

    fn owner(&self, headers: &HeaderMap) -> Result<Arc<Key>, Refusal> {
        if let Some(anybody) = &self.anybody {
            return Keys::any().check(headers).map(|()| Arc::clone(anybody));
        }
        let offered = auth::digest(auth::offered(headers).ok_or(Refusal::NoKey)?);
        // All are compared to the end, so the time taken says nothing about the keys.
        let mut found = None;
        for key in &self.keys {
            if auth::is_same(&key.digest, &offered) {
                found = Some(key);
            }
        }
        found.cloned().ok_or(Refusal::WrongKey)
    }

    fn bound(&self, headers: &HeaderMap) -> Option<Arc<Bound>> {
        self.secrets.bound(auth::offered(headers)?, Instant::now())
    }

    /// Reserves a place for a session of this key.
    fn admit(self: &Arc<Self>, key: Arc<Key>) -> Result<Place, ApiError> {
        if *self.stopping.borrow() {
            return Err(Full::Stopping.into());
        }
        let reserved = self.sessions.send_if_modified(|open| {
            let free = *open < self.config.max_sessions;
            *open += usize::from(free);
            free
        });
        if !reserved {
            return Err(Full::Sessions.into());
        }
        let admitted = key.admit();
        if admitted.is_err() {
            self.sessions.send_modify(|open| *open -= 1);
        }
        admitted.map_err(ApiError::from)?;
        Ok(Place {
            relay: Arc::clone(self),
            key,
        })
    }

    fn sessions(&self) -> usize {
        *self.sessions.borrow()
    }

    fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    fn next_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }
}

/// The place of a session, given back when dropped.
struct Place {
    relay: Arc<Shared>,
    key: Arc<Key>,
}

impl Place {
    fn key(&self) -> &Arc<Key> {
        &self.key
    }

    fn book(&self) -> &Arc<Book> {
        &self.relay.book
    }

    fn prices(&self) -> &Prices {
        &self.relay.config.prices
    }

    fn count_error(&self) {
        self.relay.metrics.failed();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.key.leave();
        self.relay.sessions.send_modify(|open| *open -= 1);
    }
}
