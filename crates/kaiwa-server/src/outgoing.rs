//! The way to the client: a bounded queue, and a task that writes it to the socket.

use std::{collections::VecDeque, time::Duration};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes};
use bytes::Bytes;
use futures_util::{Sink, SinkExt};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use crate::wire::Wire;

/// Messages that may wait for the socket before the engines are held back: few, because
/// one may be as large as a retrieved item with its audio.
const QUEUE: usize = 8;

/// Bytes that may wait beyond the queue before the client's own events are left unread.
/// Engines are held back long before; what counts here is answers to the client's events,
/// one of which (a retrieved item with its audio) may be 20 MiB.
const MAX_BACKLOG: usize = 4 << 20;

/// The sending half of a session's socket.
pub(crate) struct Outgoing {
    queue: mpsc::Sender<Message>,
    /// What did not fit into the queue, in order.
    backlog: VecDeque<Message>,
    backlog_bytes: usize,
    /// When the client last took a message, or the backlog began.
    progress: Instant,
    /// Knows when the client last took a part of one.
    wire: Option<Wire>,
    patience: Duration,
    writer: JoinHandle<()>,
}

impl Outgoing {
    /// Starts the writer. A client that takes nothing for `patience` has stalled.
    pub(crate) fn start<S>(socket: S, wire: Option<Wire>, patience: Duration) -> Self
    where
        S: Sink<Message, Error: Send> + Send + Unpin + 'static,
    {
        let (queue, messages) = mpsc::channel(QUEUE);
        Self {
            queue,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            progress: Instant::now(),
            wire,
            patience,
            writer: tokio::spawn(write(socket, messages)),
        }
    }

    /// Appends an event.
    pub(crate) fn push(&mut self, event: Utf8Bytes) {
        self.push_message(Message::Text(event));
    }

    /// Sends a ping, unless so much is waiting that the client hears from us anyway.
    pub(crate) fn ping(&mut self) {
        if self.is_clear() {
            self.push_message(Message::Ping(Bytes::new()));
        }
    }

    /// Whether everything fits into the queue. While it does not, what engines say is to
    /// be left where it is, which holds them back.
    pub(crate) fn is_clear(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Whether so much is waiting that the client's events are to be left unread, too.
    pub(crate) fn is_flooded(&self) -> bool {
        self.backlog_bytes > MAX_BACKLOG
    }

    /// Moves one message of the backlog into the queue as soon as the queue has room.
    /// Pends while there is no backlog and the socket works. Cancel safe.
    ///
    /// # Errors
    ///
    /// The socket is broken.
    pub(crate) async fn advance(&mut self) -> Result<(), SocketClosed> {
        if self.backlog.is_empty() {
            // A writer that has ended takes whatever is pushed with it, and the socket may
            // never tell its reader.
            self.queue.closed().await;
            return Err(SocketClosed);
        }
        let permit = self.queue.reserve().await.map_err(|_| SocketClosed)?;
        if let Some(message) = self.backlog.pop_front() {
            self.backlog_bytes -= length(&message);
            permit.send(message);
        }
        self.progress = Instant::now();
        Ok(())
    }

    /// When the client counts as stalled if it takes nothing until then; `None` while
    /// nothing is waiting. What it takes of a message puts that off without a word: ask
    /// [`is_stalled`](Self::is_stalled) then.
    pub(crate) fn stall_deadline(&self) -> Option<Instant> {
        let taken = self.wire.as_ref().map_or(self.progress, Wire::taken);
        (!self.backlog.is_empty()).then(|| self.progress.max(taken) + self.patience)
    }

    /// Whether the client has taken nothing, not a byte, for too long.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stall_deadline()
            .is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Sends a close frame after everything else and waits until all is written. Cancel
    /// safe in so far as dropping the future cuts the rest off.
    pub(crate) async fn close(mut self, frame: CloseFrame) {
        self.push_message(Message::Close(Some(frame)));
        while !self.backlog.is_empty() {
            if self.advance().await.is_err() {
                return;
            }
        }
        // The writer ends when the queue is dropped and empty.
        let (queue, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.queue, queue));
        // A writer that panicked has nothing more to write.
        let _ = (&mut self.writer).await;
    }

    fn push_message(&mut self, message: Message) {
        let message = if self.backlog.is_empty() {
            match self.queue.try_send(message) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(message)) => {
                    self.progress = Instant::now();
                    message
                }
                // `advance` reports the broken socket.
                Err(mpsc::error::TrySendError::Closed(_)) => return,
            }
        } else {
            message
        };
        self.backlog_bytes += length(&message);
        self.backlog.push_back(message);
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// The socket takes nothing more.
#[derive(Debug)]
pub(crate) struct SocketClosed;

async fn write<S>(mut socket: S, mut messages: mpsc::Receiver<Message>)
where
    S: Sink<Message> + Unpin,
{
    while let Some(message) = messages.recv().await {
        if socket.feed(message).await.is_err() {
            return;
        }
        if messages.is_empty() && socket.flush().await.is_err() {
            return;
        }
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::future;

    use futures_util::{FutureExt, sink};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_fails_is_reported_although_nothing_waits() {
        let socket = sink::unfold((), |(), _: Message| future::ready(Err::<(), ()>(())));
        let mut outgoing = Outgoing::start(socket, None, PATIENCE);
        outgoing.push("lost".into());
        assert!(outgoing.is_clear());
        let advanced = tokio::time::timeout(PATIENCE, outgoing.advance()).await;
        assert!(advanced.expect("the failure is noticed").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_works_keeps_it_waiting() {
        let mut outgoing = Outgoing::start(sink::drain(), None, PATIENCE);
        assert!(outgoing.advance().now_or_never().is_none());
        outgoing.push("taken".into());
        let advanced = tokio::time::timeout(PATIENCE, outgoing.advance()).await;
        assert!(advanced.is_err());
    }
}
