//! Connections whose peers take nothing.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use crate::wire::{Io, Wire};

/// A connection that breaks when its peer takes nothing for a time, so that no answer holds it
/// open for ever. It tells its [`Wire`] what the peer takes and sends, and leaves itself to it.
pub(crate) struct Patient<S: Io + 'static> {
    /// There until it is dropped.
    inner: Option<S>,
    patience: Duration,
    /// Runs while something waits to be taken.
    limit: Option<Pin<Box<Sleep>>>,
    wire: Wire,
}

impl<S: Io + 'static> Patient<S> {
    pub(crate) fn new(inner: S, patience: Duration, wire: Wire) -> Self {
        Self {
            inner: Some(inner),
            patience,
            limit: None,
            wire,
        }
    }

    fn inner(&mut self) -> Pin<&mut S> {
        Pin::new(self.inner.as_mut().expect("there until it is dropped"))
    }

    /// What a write has come to, or that it has waited too long.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.limit = None;
            self.wire.note_taken();
            return written;
        }
        let patience = self.patience;
        let limit = self
            .limit
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(limit.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer does not read what is sent to it",
        )))
    }
}

impl<S: Io + 'static> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.inner().poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.wire.note_given();
        }
        read
    }
}

impl<S: Io + 'static> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.inner().poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.inner().poll_write_vectored(cx, pieces);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}

impl<S: Io + 'static> Drop for Patient<S> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            self.wire.bequeath(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_now_and_then_is_waited_for_and_another_is_not() {
        let minute = Duration::from_secs(60);
        let (mut peer, ours) = tokio::io::duplex(8);
        let mut ours = Patient::new(ours, minute, Wire::new());
        let writing = tokio::spawn(async move { ours.write_all(&[1; 24]).await });
        let mut taken = [0; 8];
        for _ in 0..2 {
            tokio::time::advance(minute - Duration::from_secs(1)).await;
            peer.read_exact(&mut taken).await.unwrap();
        }
        assert!(writing.await.unwrap().is_ok(), "slow is not stalled");

        let (peer, ours) = tokio::io::duplex(8);
        let mut ours = Patient::new(ours, minute, Wire::new());
        let error = ours.write_all(&[1; 24]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(peer);
    }
}
