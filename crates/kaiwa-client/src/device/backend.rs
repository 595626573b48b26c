use std::sync::Arc;

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
    return Ok(Box::new(super::pulse::open(config, line)?));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (config, line);
        Err(DeviceError::Unsupported)
    }
}

/// Lists the devices of this system.
pub(super) fn list(config: &DeviceConfig) -> Result<Devices, DeviceError> {
    #[cfg(target_os = "linux")]
    return super::pulse::list(config);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = config;
        Err(DeviceError::Unsupported)
    }
}
