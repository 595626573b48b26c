use std::io;

use super::Side;

/// Why no sound device can be used, in one sentence with what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// More than one device has the given words in its name.
    #[error(
        "{wanted:?} may be any {side} of these: {}; give more of the name, or the number that \
         `kaiwa devices` shows",
        .found.join(", ")
    )]
    Ambiguous {
        /// Which devices were searched.
        side: Side,
        /// What was asked for.
        wanted: String,
        /// The names that match.
        found: Vec<String>,
    },
    /// The sound server said something unexpected, or nothing.
    #[error("the sound server does not answer as it should ({0}); restart it and try again")]
    Broken(String),
    /// There is neither a microphone nor a speaker.
    #[error("there is no microphone and no speaker; plug one in and try again")]
    NoDevices,
    /// No sound server runs, or it cannot be found.
    #[error(
        "no sound server answers{}; start PulseAudio or PipeWire (`pulseaudio --start`, or \
         `systemctl --user start pipewire-pulse`), or set PULSE_SERVER to the path of its socket",
        .reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
    )]
    NoServer {
        /// What was tried, and how it failed.
        reason: Option<String>,
    },
    /// The system refuses a device.
    #[error(
        "the {side} cannot be used ({reason}); allow it in the system's settings, close what uses it, \
         or choose another with --mic or --speaker"
    )]
    Refused {
        /// Which one.
        side: Side,
        /// What the system said.
        reason: String,
    },
    /// A thread cannot be started.
    #[error("the sound cannot be started: {0}; close other programs and try again")]
    Thread(io::Error),
    /// There is no such device.
    #[error("there is no {side} {wanted:?}; `kaiwa devices` lists what there is")]
    Unknown {
        /// Which devices were searched.
        side: Side,
        /// What was asked for.
        wanted: String,
    },
    /// This build knows no sound system of this operating system.
    #[error("this build cannot use sound devices here; use --input and --output, or type")]
    Unsupported,
}
