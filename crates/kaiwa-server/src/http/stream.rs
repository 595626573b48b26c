//! Bodies of answers that are sent while they are made.

use std::{future::Future, io, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc;

use super::ApiError;

/// Pieces that may wait for the socket. Beyond, whoever makes them waits.
const WAITING: usize = 4;

/// Where the pieces of a body are put.
pub(super) struct Feed {
    /// `None` is the end. A body that ends without it is cut off, so that the client can tell.
    pieces: mpsc::Sender<Option<Bytes>>,
    patience: Duration,
}

/// The client has gone away or does not read.
#[derive(Debug)]
pub(super) struct Gone;

/// Answers with a body that `make` feeds on a task of its own. A client that takes nothing
/// for `patience` is given up.
pub(super) fn answer<F>(
    content_type: &'static str,
    patience: Duration,
    make: impl FnOnce(Feed) -> F,
) -> Response
where
    F: Future<Output = Result<(), Gone>> + Send + 'static,
{
    let (sender, pieces) = mpsc::channel(WAITING);
    let gone = sender.clone();
    let made = make(Feed {
        pieces: sender,
        patience,
    });
    tokio::spawn(async move {
        let outcome = tokio::select! {
            outcome = made => outcome,
            // Nobody reads any more: dropping what makes the body cancels the engines.
            () = gone.closed() => Err(Gone),
        };
        if outcome.is_err() {
            tracing::debug!("the client of a streamed answer is gone");
        }
    });
    let body = stream::unfold(Some(pieces), async |pieces| {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Some(piece)) => Some((Ok(piece), Some(pieces))),
            Some(None) => None,
            None => Some((Err(io::Error::other("the answer was cut off")), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The media type of server-sent events.
pub(super) const EVENTS: &str = "text/event-stream; charset=utf-8";

impl Feed {
    /// Sends a piece as soon as there is room.
    pub(super) async fn bytes(&self, piece: impl Into<Bytes>) -> Result<(), Gone> {
        self.put(Some(piece.into())).await
    }

    /// Sends a server-sent event.
    pub(super) async fn event<T: Serialize>(&self, data: &T) -> Result<(), Gone> {
        let mut piece = b"data: ".to_vec();
        // Answers have string keys only and are written to memory.
        let written = serde_json::to_writer(&mut piece, data);
        debug_assert!(written.is_ok(), "{written:?}");
        piece.extend_from_slice(b"\n\n");
        self.bytes(piece).await
    }

    /// Says in a stream of events that the answer failed, and ends it.
    pub(super) async fn fail(self, error: ApiError) -> Result<(), Gone> {
        #[derive(Serialize)]
        struct Failure {
            error: super::error::ErrorBody,
        }

        let error = error.into_body();
        self.event(&Failure { error }).await?;
        self.end().await
    }

    /// Ends the body. Without this call the client sees that it was cut off.
    pub(super) async fn end(self) -> Result<(), Gone> {
        self.put(None).await
    }

    async fn put(&self, piece: Option<Bytes>) -> Result<(), Gone> {
        match tokio::time::timeout(self.patience, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}
