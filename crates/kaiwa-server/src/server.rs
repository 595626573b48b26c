use std::{
    fmt,
    future::Future,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::TcpListener,
    sync::{Semaphore, watch},
};

use crate::{
    config::ServerConfig,
    engines::Engines,
    jobs::{self, Pool},
    routes,
};

/// Connections that may be in their HTTP phase at once; sessions have their own bound.
/// Beyond it, new ones wait in the listener's queue.
const MAX_HANDSHAKES: usize = 256;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes on their way in each direction of an in-process connection.
const PIPE: usize = 256 * 1024;

/// A Realtime server.
///
/// Clones share one server: its engines, its sessions and its worker threads.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) engines: Engines,
    pub(crate) config: ServerConfig,
    pub(crate) pool: Pool,
    /// Sessions that are open or about to be.
    sessions: watch::Sender<usize>,
    stopping: watch::Sender<bool>,
    next_conversation: AtomicU64,
}

impl Server {
    /// A server that nobody can reach yet. Worker threads start with the first session.
    pub fn new(engines: Engines, config: ServerConfig) -> Self {
        let workers = config
            .workers
            .unwrap_or_else(|| config.max_sessions.saturating_mul(jobs::LANES));
        Self(Arc::new(Shared {
            engines,
            pool: Pool::new(workers),
            config,
            sessions: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
            next_conversation: AtomicU64::new(1),
        }))
    }

    /// The routes: `GET /v1/realtime` (WebSocket) and `GET /health`.
    ///
    /// To be served over HTTP/1.1 with upgrades. Whoever serves it calls
    /// [`stop`](Self::stop) to end its sessions.
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.0))
    }

    /// Serves connections until `shutdown` completes, then [stops](Self::stop).
    ///
    /// # Errors
    ///
    /// The listener is broken. Errors of single connections are logged.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = async {
                    // The semaphore is never closed.
                    let permit = Arc::clone(&handshakes).acquire_owned().await.ok();
                    (listener.accept().await, permit)
                } => accepted,
            };
            match accepted {
                (Ok((stream, peer)), permit) => {
                    // Events are small and wanted at once.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
                    }
                    let connection = self.connection(stream);
                    tokio::spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                (Err(error), _) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection failed before it was accepted");
                }
                // Out of file descriptors or memory: wait until sessions have ended.
                (Err(error), _) => {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = tokio::time::sleep(Duration::from_millis(200)) => {}
                    }
                }
            }
        }
        drop(listener);
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
        let (client, server) = tokio::io::duplex(PIPE);
        tokio::spawn(self.connection(server));
        client
    }

    /// Takes no new sessions, closes the open ones (code 1001) and returns when they have
    /// ended, at the latest after [`ServerConfig::shutdown_grace`].
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        let mut sessions = self.0.sessions.subscribe();
        let ended = sessions.wait_for(|open| *open == 0);
        if tokio::time::timeout(self.0.config.shutdown_grace, ended)
            .await
            .is_err()
        {
            tracing::warn!(
                sessions = self.sessions(),
                "sessions did not end in time, leaving them"
            );
        }
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        *self.0.sessions.borrow()
    }

    /// Serves one connection until it is closed or has become a WebSocket.
    fn connection<S>(&self, stream: S) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router();
        let mut stopping = self.0.stopping.subscribe();
        async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
                .with_upgrades();
            let mut connection = pin!(connection);
            let served = tokio::select! {
                served = connection.as_mut() => Some(served),
                _ = stopping.wait_for(|stopping| *stopping) => None,
            };
            let served = match served {
                Some(served) => served,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a connection failed");
            }
        }
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
    /// Reserves a place for a session.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Seat, Full> {
        if *self.stopping.borrow() {
            return Err(Full::Stopping);
        }
        let admitted = self.sessions.send_if_modified(|open| {
            let free = *open < self.config.max_sessions;
            *open += usize::from(free);
            free
        });
        if admitted {
            Ok(Seat(Arc::clone(self)))
        } else {
            Err(Full::Sessions)
        }
    }

    /// How many sessions are open.
    pub(crate) fn sessions(&self) -> usize {
        *self.sessions.borrow()
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

/// Why no session is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// As many as allowed are open.
    Sessions,
    /// The server stops.
    Stopping,
}

/// A session's place, given back when dropped.
pub(crate) struct Seat(Arc<Shared>);

impl Seat {
    pub(crate) fn server(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sessions.send_modify(|open| *open -= 1);
    }
}

/// Whether an error of `accept` says nothing about the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
