//! A request that engines work on, from its admission to its end.

use std::{future::Future, sync::Arc};

use axum::{body::Body, http::StatusCode};
use kaiwa_session::EngineEvent;
use tokio::{sync::watch, time::Instant};

use super::{ApiError, body};
use crate::{
    jobs::RequestJobs,
    server::{Full, Shared},
};

/// A request with a place among those that are worked on, and a deadline.
///
/// Dropping it, which happens when the client goes away, cancels the engines' work.
pub(super) struct Exchange {
    pub(super) jobs: RequestJobs,
    deadline: Instant,
    stopping: watch::Receiver<bool>,
}

impl Exchange {
    /// Admits a request and reads its body of at most `limit` bytes.
    pub(super) async fn begin(
        server: &Arc<Shared>,
        what: &'static str,
        limit: usize,
        body: Body,
    ) -> Result<(Self, Vec<u8>), ApiError> {
        let patience = server.config.patience;
        let seat = match server.admit_request() {
            Ok(seat) => seat,
            Err(full) => {
                body::discard(body.into_data_stream(), patience).await;
                return Err(full.into());
            }
        };
        let span = tracing::info_span!("request", number = server.conversation(), what);
        let mut exchange = Self {
            jobs: RequestJobs::new(seat, span),
            deadline: Instant::now() + server.config.request_timeout,
            stopping: server.stopping(),
        };
        let reading = body::read(body, limit, patience);
        let body = exchange.wait_for("The request", reading).await??;
        Ok((exchange, body))
    }

    /// What an engine says next; its failure is an error.
    pub(super) async fn next(&mut self) -> Result<EngineEvent, ApiError> {
        let Self {
            jobs,
            deadline,
            stopping,
        } = self;
        let event = in_time(*deadline, stopping, "The answer", jobs.next()).await?;
        match event {
            EngineEvent::Failed { .. } | EngineEvent::PromptTooLong { .. } => Err(event.into()),
            event => Ok(event),
        }
    }

    /// Waits for something else that is part of the request.
    pub(super) async fn wait_for<T>(
        &mut self,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, ApiError> {
        in_time(self.deadline, &mut self.stopping, what, future).await
    }
}

async fn in_time<T>(
    deadline: Instant,
    stopping: &mut watch::Receiver<bool>,
    what: &str,
    future: impl Future<Output = T>,
) -> Result<T, ApiError> {
    tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => Err(Full::Stopping.into()),
        () = tokio::time::sleep_until(deadline) => {
            Err(ApiError::too_slow(StatusCode::GATEWAY_TIMEOUT, what))
        }
        value = future => Ok(value),
    }
}
