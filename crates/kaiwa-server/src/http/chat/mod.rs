//! `POST /v1/chat/completions`: a conversation in, its next message out.

mod answer;
mod request;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use kaiwa_session::EngineEvent;

use self::{
    answer::{Answer, Frame},
    request::{ChatRequest, Order},
};
use super::{
    ApiError, body,
    exchange::Exchange,
    stream::{self, Feed, Gone},
};
use crate::{
    secrets,
    server::{Shared, unix_seconds},
};

/// Bytes of a request's body: images in it are text.
const MAX_BODY: usize = 20 << 20;

/// What ends a stream of events, besides the end of the body.
const DONE: &str = "data: [DONE]\n\n";

pub(super) async fn create(
    State(server): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = request.into_body();
    let (mut exchange, body) = Exchange::begin(&server, "chat", MAX_BODY, body).await?;
    let patience = server.config.patience;
    let Order {
        model,
        beginning,
        prompt,
        one_call,
        streamed,
        include_usage,
    } = body::json::<ChatRequest>(&body)?.check()?;
    let frame = Frame {
        id: secrets::random_id("chatcmpl-"),
        created: unix_seconds(),
        model,
    };
    exchange.jobs.choose(&frame.model);
    exchange.jobs.generate(beginning, prompt);

    let mut answer = Answer::new(one_call);
    // The status depends on whether there is an answer.
    let first = exchange.next().await?;
    if streamed {
        return Ok(stream::answer(stream::EVENTS, patience, move |feed| {
            send(exchange, first, frame, answer, include_usage, feed)
        }));
    }
    let mut event = first;
    loop {
        answer.take(event);
        if answer.is_complete() {
            return Ok(Json(frame.completion(answer)).into_response());
        }
        event = exchange.next().await?;
    }
}

/// Sends the answer while it is made.
async fn send(
    mut exchange: Exchange,
    first: EngineEvent,
    frame: Frame,
    mut answer: Answer,
    include_usage: bool,
    feed: Feed,
) -> Result<(), Gone> {
    feed.event(&frame.beginning(include_usage)).await?;
    let mut event = first;
    loop {
        if let Some(delta) = answer.take(event) {
            feed.event(&frame.chunk(delta, include_usage)).await?;
        }
        if answer.is_complete() {
            feed.event(&frame.end(&answer, include_usage)).await?;
            if include_usage {
                feed.event(&frame.usage(&answer)).await?;
            }
            feed.bytes(DONE).await?;
            return feed.end().await;
        }
        event = match exchange.next().await {
            Ok(event) => event,
            Err(error) => return feed.fail(error).await,
        };
    }
}
