//! Connections: taken from a listener, served until they are closed or WebSockets.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use crate::{stall::Patient, wire::Wire};

/// Connections that may be in their HTTP phase at once; sessions have their own bound.
/// Beyond it, new ones wait in the listener's queue.
const MAX_HANDSHAKES: usize = 256;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes on their way in each direction of an in-process connection.
pub(crate) const PIPE: usize = 256 * 1024;

/// Takes connections until `shutdown` completes, and serves each in a task of its own.
pub(crate) async fn accept<C>(
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    connection: impl Fn(TcpStream) -> C,
) where
    C: Future<Output = ()> + Send + 'static,
{
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return,
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
                let connection = connection(stream);
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
                    () = &mut shutdown => return,
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
        }
    }
}

/// Serves one connection until it is closed or has become a WebSocket. A peer that takes nothing
/// for `patience` is let go of.
pub(crate) fn connection<S>(
    stream: S,
    router: Router,
    patience: Duration,
    mut stopping: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wire = Wire::new();
    let router = router.layer(Extension(wire.clone()));
    async move {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(
                TokioIo::new(Patient::new(stream, patience, wire)),
                TowerToHyperService::new(router),
            )
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

/// Whether an error of `accept` says nothing about the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
