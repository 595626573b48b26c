//! What the system tells the screen, and the pause that a shell's job can make.

use std::io;

/// Something that the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The program was stopped and goes on; the terminal may have served others meanwhile.
    Continued,
    /// It is to stop until it is continued.
    Pause,
    /// It is to end.
    Stop,
}

/// The signals of the system, from the moment this is made.
pub(super) struct Signals {
    #[cfg(unix)]
    signals: Vec<(tokio::signal::unix::Signal, Told)>,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> Self {
        use rustix::process::Signal;
        use tokio::signal::unix::{SignalKind, signal};

        let kind = |signal: Signal| SignalKind::from_raw(signal.as_raw());
        let all = [
            (SignalKind::interrupt(), Told::Stop),
            (SignalKind::terminate(), Told::Stop),
            (SignalKind::hangup(), Told::Stop),
            (SignalKind::quit(), Told::Stop),
            (kind(Signal::TSTP), Told::Pause),
            (kind(Signal::CONT), Told::Continued),
        ];
        // One that cannot be waited for keeps its default action.
        let signals = all.into_iter();
        let signals = signals.filter_map(|(kind, told)| Some((signal(kind).ok()?, told)));
        Self {
            signals: signals.collect(),
        }
    }

    pub(super) async fn next(&mut self) -> Told {
        use std::task::Poll;

        std::future::poll_fn(|context| {
            for (signal, told) in &mut self.signals {
                if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                    return Poll::Ready(*told);
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new() -> Self {
        Self {}
    }

    pub(super) async fn next(&mut self) -> Told {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Told::Stop
    }
}

/// Stops the program, and whatever was started with it as one job. It may go on for a moment, and
/// is [`Told::Continued`] when it goes on for good.
///
/// # Errors
///
/// Where there is no shell to continue it, it does not stop.
#[cfg(unix)]
pub(super) fn pause() -> io::Result<()> {
    use rustix::process::{Signal, getppid, getsid, kill_current_process_group};

    let ours = getsid(None)?;
    // Somebody in the same session has started the job; nobody has started the session's first.
    if getppid().and_then(|parent| getsid(Some(parent)).ok()) != Some(ours) {
        return Err(nobody());
    }
    Ok(kill_current_process_group(Signal::STOP)?)
}

/// The same: there are no jobs.
#[cfg(not(unix))]
pub(super) fn pause() -> io::Result<()> {
    Err(nobody())
}

fn nobody() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "there is no shell here to go back to",
    )
}
