use std::{fmt, future::Future, sync::Arc, time::Duration};

use tokio::runtime::{Builder, Runtime};

use crate::{Cancel, EngineError};

/// How often a waiting engine looks at its cancel flag.
const STEP: Duration = Duration::from_millis(5);

/// The thread that keeps the connections of remote engines. Clones share it.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner(Option<Runtime>);

impl Network {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start() -> Result<Self, EngineError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("kaiwa-network")
            .enable_all()
            .build()
            .map_err(|error| {
                EngineError::failed(format_args!(
                    "cannot start the thread of the remote engines: {error}"
                ))
            })?;
        Ok(Self(Arc::new(Inner(Some(runtime)))))
    }

    /// Runs `work` on this thread until it ends or is cancelled; `None` when cancelled, and
    /// then what it held, connections included, is dropped.
    pub(super) fn run<T>(
        &self,
        cancel: &Cancel,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<Option<T>, EngineError> {
        let Some(runtime) = &self.0.0 else {
            return Ok(None);
        };
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancelled(cancel) => Ok(None),
                result = work => result.map(Some),
            }
        })
    }
}

async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(STEP).await;
    }
}

impl Drop for Inner {
    /// A runtime that is dropped waits for its threads, which an async caller must not.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}
