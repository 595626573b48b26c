//! Bodies of requests.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::StatusCode,
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::ApiError;

/// Bytes of a body that are read although nobody wants them. A server that closes while its
/// client is still sending resets the connection, and the client may never see the answer.
const DISCARDED: usize = 32 << 20;

/// Reads a body of at most `limit` bytes from a client that may pause for `patience`.
pub(super) async fn read(
    body: Body,
    limit: usize,
    patience: Duration,
) -> Result<Vec<u8>, ApiError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    loop {
        let Ok(chunk) = tokio::time::timeout(patience, chunks.next()).await else {
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
pub(super) async fn discard(mut chunks: BodyDataStream, patience: Duration) {
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
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
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
