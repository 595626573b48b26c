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
#[cfg(target_os = "linux")]
pub(super) fn open(
    config: &DeviceConfig,
    line: &Arc<Line>,
) -> Result<Box<dyn Backend>, DeviceError> {
    match super::pulse::open(config, line) {
        Ok(running) => Ok(Box::new(running)),
        Err(error) if is_for_others(config, &error) => others(config, line, error),
        Err(error) => Err(error),
    }
}

/// Opens the devices of this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn open(
    config: &DeviceConfig,
    line: &Arc<Line>,
) -> Result<Box<dyn Backend>, DeviceError> {
    others(config, line, DeviceError::Unsupported)
}

/// Opens the devices that need no sound server.
#[cfg(feature = "native")]
fn others(
    config: &DeviceConfig,
    line: &Arc<Line>,
    _: DeviceError,
) -> Result<Box<dyn Backend>, DeviceError> {
    Ok(Box::new(super::native::open(config, line)?))
}

/// There are none.
#[cfg(not(feature = "native"))]
fn others(
    _: &DeviceConfig,
    _: &Arc<Line>,
    error: DeviceError,
) -> Result<Box<dyn Backend>, DeviceError> {
    Err(error)
}

/// Lists the devices of this system.
#[cfg(target_os = "linux")]
pub(super) fn list(config: &DeviceConfig) -> Result<Devices, DeviceError> {
    match super::pulse::list(config) {
        Err(error) if is_for_others(config, &error) => list_others(error),
        listed => listed,
    }
}

/// Lists the devices of this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn list(_: &DeviceConfig) -> Result<Devices, DeviceError> {
    list_others(DeviceError::Unsupported)
}

#[cfg(feature = "native")]
fn list_others(_: DeviceError) -> Result<Devices, DeviceError> {
    super::native::list()
}

#[cfg(not(feature = "native"))]
fn list_others(error: DeviceError) -> Result<Devices, DeviceError> {
    Err(error)
}

/// Whether devices without a sound server may do: no server answers, and none was named.
#[cfg(target_os = "linux")]
fn is_for_others(config: &DeviceConfig, error: &DeviceError) -> bool {
    matches!(error, DeviceError::NoServer { .. }) && config.server.is_none()
}

/// Starts a thread of a backend.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), DeviceError> {
    let builder = thread::Builder::new().name(name.to_owned());
    // It ends with its connection.
    builder.spawn(run).map(drop).map_err(DeviceError::Thread)
}
