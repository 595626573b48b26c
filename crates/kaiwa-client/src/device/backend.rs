use std::sync::Arc;
use std::thread;

use super::line::Line;
use super::{DeviceConfig, DeviceError, Devices};
use crate::card::Frame;

/// A running connection to a sound system, for one card. Dropping it ends it.
///
/// It follows the devices by itself: it calls [`Line::hear`] and [`Line::ask`] from threads of
/// its own while there are any, [`Line::reset_mic`] and [`Line::reset_speaker`] when they come
/// and go, [`Line::measure`] a few times a second, and [`Line::notice`] for what people should
/// know.
pub(super) trait Backend: Send {
    /// Plays a tick's sound. It never waits: what cannot be taken is lost.
    fn play(&self, frame: &Frame);

    /// Plays so many samples of silence.
    fn play_silence(&self, samples: u64);
}

/// Opens the devices of this system.
pub(super) fn open(
    config: &DeviceConfig,
    line: &Arc<Line>,
) -> Result<Box<dyn Backend>, DeviceError> {
    #[cfg(target_os = "linux")]
    match super::pulse::open(config, line) {
        #[cfg(feature = "alsa")]
        Err(DeviceError::NoServer { .. }) if config.server.is_none() => {}
        opened => return Ok(Box::new(opened?)),
    }
    #[cfg(any(not(target_os = "linux"), feature = "alsa"))]
    Ok(Box::new(super::native::open(config, line)?))
}

/// Lists the devices of this system.
pub(super) fn list(config: &DeviceConfig) -> Result<Devices, DeviceError> {
    #[cfg(target_os = "linux")]
    match super::pulse::list(config) {
        #[cfg(feature = "alsa")]
        Err(DeviceError::NoServer { .. }) if config.server.is_none() => {}
        listed => return listed,
    }
    #[cfg(any(not(target_os = "linux"), feature = "alsa"))]
    super::native::list(config)
}

/// Starts a thread of a backend.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), DeviceError> {
    let builder = thread::Builder::new().name(name.to_owned());
    // It ends with its connection.
    builder.spawn(run).map(drop).map_err(DeviceError::Thread)
}
