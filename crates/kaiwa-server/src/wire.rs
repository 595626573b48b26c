//! The connection under a session's WebSocket.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::oneshot,
    time::Instant,
};

/// What is read past of a client that still sends when its session has failed: six of the
/// largest messages.
const MOST_READ_PAST: u64 = 128 << 20;

/// Bytes read past at a time.
const PIECE: usize = 64 << 10;

/// A connection without its type.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// What a session sees of its connection. Clones see the same.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Shared>);

struct Shared {
    begun: Instant,
    /// When the peer last took a byte, in milliseconds since `begun`.
    taken_ms: AtomicU64,
    /// When the peer last sent a byte, in nanoseconds since `begun`.
    given_ns: AtomicU64,
    /// Who gets the connection when the WebSocket lets go of it.
    heir: Mutex<Option<oneshot::Sender<Box<dyn Io>>>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            begun: Instant::now(),
            taken_ms: AtomicU64::new(0),
            given_ns: AtomicU64::new(0),
            heir: Mutex::new(None),
        }))
    }

    /// Notes that the peer has taken something.
    pub(crate) fn note_taken(&self) {
        // 2^64 ms are longer than any connection.
        let now = self.0.begun.elapsed().as_millis() as u64;
        self.0.taken_ms.store(now, Ordering::Relaxed);
    }

    /// When the peer last took something, to the millisecond.
    pub(crate) fn taken(&self) -> Instant {
        self.0.begun + std::time::Duration::from_millis(self.0.taken_ms.load(Ordering::Relaxed))
    }

    /// Notes that the peer has sent something.
    pub(crate) fn note_given(&self) {
        // 2^64 ns are 584 years.
        let now = self.0.begun.elapsed().as_nanos() as u64;
        self.0.given_ns.store(now, Ordering::Relaxed);
    }

    /// When the peer last sent something.
    pub(crate) fn given(&self) -> Instant {
        self.0.begun + std::time::Duration::from_nanos(self.0.given_ns.load(Ordering::Relaxed))
    }

    /// Asks for the connection itself, to be had when the WebSocket is dropped.
    pub(crate) fn inherit(&self) -> oneshot::Receiver<Box<dyn Io>> {
        let (heir, connection) = oneshot::channel();
        *self.heir() = Some(heir);
        connection
    }

    /// Gives the connection to whoever has asked for it.
    pub(crate) fn bequeath(&self, connection: impl Io + 'static) {
        if let Some(heir) = self.heir().take() {
            // Who has stopped waiting lets it be closed.
            let _ = heir.send(Box::new(connection));
        }
    }

    fn heir(&self) -> std::sync::MutexGuard<'_, Option<oneshot::Sender<Box<dyn Io>>>> {
        // Nothing panics while holding the lock.
        self.0.heir.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("taken_ms", &self.0.taken_ms)
            .finish_non_exhaustive()
    }
}

/// Ends our side of a connection and reads past what the peer still sends, to a bound. A
/// socket that is closed with something unread is reset, and the peer never sees what was
/// sent to it last: here the close frame that says what was wrong.
///
/// # Errors
///
/// The connection is broken.
pub(crate) async fn read_past(mut connection: Box<dyn Io>) -> io::Result<()> {
    connection.shutdown().await?;
    let mut rest = connection.take(MOST_READ_PAST);
    let mut piece = vec![0; PIECE];
    while rest.read(&mut piece).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_read_past_is_bounded() {
        let (mut peer, ours) = tokio::io::duplex(1 << 20);
        let reading = tokio::spawn(read_past(Box::new(ours)));
        let piece = vec![1; 1 << 20];
        let mut sent = 0;
        // The pipe breaks when the reader lets go of it.
        while peer.write_all(&piece).await.is_ok() {
            sent += piece.len() as u64;
        }
        reading.await.unwrap().unwrap();
        assert!(sent >= MOST_READ_PAST, "{sent}");
        assert!(sent <= MOST_READ_PAST + (2 << 20), "{sent}");
    }
}
