//! Bodies of requests.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::StatusCode,
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::ApiError;

/// Bytes of a body that are read although nobody wants them. A server that closes while its
/// client is still sending resets the connection, and the client may never see the answer.
const DISCARDED: usize = 32 << 20;

/// How long a body may take, besides what its bytes need at [`SLOWEST`]. A body is read at a
/// place among the requests that are worked on, which clients that send almost nothing must
/// not keep from the others.
const GRACE: Duration = Duration::from_secs(60);

/// Bytes a second that are fast enough for any body.
const SLOWEST: usize = 64 << 10;

/// Reads a body of at most `limit` bytes from a client that may pause for `patience`, and
/// takes no longer than [`GRACE`] over what came so far at [`SLOWEST`].
pub(crate) async fn read(
    body: Body,
    limit: usize,
    patience: Duration,
) -> Result<Vec<u8>, ApiError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let begun = Instant::now();
    loop {
        let earned = Duration::from_secs((bytes.len() / SLOWEST) as u64);
        let deadline = (begun + GRACE + earned).min(Instant::now() + patience);
        let Ok(chunk) = tokio::time::timeout_at(deadline, chunks.next()).await else {
            let status = StatusCode::REQUEST_TIMEOUT;
            return Err(ApiError::too_slow(status, "The body of the request"));
        };
        match chunk {
            None => return Ok(bytes),
            Some(Ok(chunk)) if bytes.len() + chunk.len() > limit => {
                drop(bytes);
                discard(chunks, patience).await;
                return Err(ApiError::too_large(limit));
            }
            Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
            Some(Err(error)) => {
                return Err(ApiError::invalid(
                    "invalid_body",
                    format!("The body of the request cannot be read: {error}."),
                ));
            }
        }
    }
}

/// Reads what is left of a body that is refused, within reason.
pub(crate) async fn discard(mut chunks: BodyDataStream, patience: Duration) {
    let reading = async {
        let mut left = DISCARDED;
        while let Some(Ok(chunk)) = chunks.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whoever sends more, or more slowly, is cut off.
    let _ = tokio::time::timeout(patience, reading).await;
}

/// Reads JSON. An empty body is an empty object, for requests without a required member.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            ApiError::invalid("invalid_value", format!("Invalid request: {error}."))
        } else {
            ApiError::invalid(
                "invalid_json",
                format!("The body of the request is not valid JSON: {error}."),
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::response::IntoResponse;
    use bytes::Bytes;
    use futures_util::stream;

    use super::*;

    const LIMIT: usize = 8 << 20;
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A body of so many chunks, each of which comes after a pause.
    fn body(count: usize, chunk: &'static [u8], pause: Duration) -> Body {
        Body::from_stream(stream::unfold(count, move |left| async move {
            let left = left.checked_sub(1)?;
            tokio::time::sleep(pause).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(chunk)), left))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_given_up() {
        let begun = Instant::now();
        let trickle = body(1_000_000, b"x", Duration::from_secs(7));
        let error = read(trickle, LIMIT, PATIENCE).await.unwrap_err();
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(begun.elapsed().as_secs(), GRACE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_is_given_up_earlier() {
        let begun = Instant::now();
        let pausing = body(2, b"x", 2 * PATIENCE);
        assert!(read(pausing, LIMIT, PATIENCE).await.is_err());
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_slow_but_steady_has_all_the_time_it_needs() {
        const CHUNK: &[u8] = &[0; SLOWEST];
        let begun = Instant::now();
        let slow = body(120, CHUNK, Duration::from_secs(1));
        let bytes = read(slow, LIMIT, PATIENCE).await.unwrap();
        assert_eq!(bytes.len(), 120 * SLOWEST);
        assert!(begun.elapsed() > GRACE);
    }
}
