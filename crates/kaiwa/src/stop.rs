//! Being asked to stop: Ctrl-C, and on Unix the signal a service manager sends.

/// Completes when the user or the system asks the program to end.
pub(crate) async fn requested() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // A signal that cannot be waited for leaves the default action: the process ends.
    if interrupt.await.is_err() {
        std::future::pending::<()>().await;
    }
}
