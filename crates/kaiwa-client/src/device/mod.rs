//! Real sound devices: what there is, and a [`SoundCard`](crate::SoundCard) made of them.
//!
//! Linux speaks to PulseAudio, or to PipeWire in its place, over the server's socket; nothing
//! is linked. With the feature `native` it takes ALSA's devices where no such server answers, and macOS and
//! Windows have those of their sound systems. A backend implements one small trait (`backend.rs`).

mod backend;
mod card;
mod clock;
mod error;
mod line;
mod list;
#[cfg(feature = "native")]
mod native;
#[cfg(target_os = "linux")]
mod pulse;
mod ring;
mod told;

pub use self::card::{DeviceCard, DeviceConfig};
pub use self::error::DeviceError;
pub use self::line::{DeviceClocks, Reading};
pub use self::list::{Choice, Device, Devices};
pub use crate::card::{DeviceChange, DeviceNotice, Side};

/// The devices there are. Of `config` only the server matters.
///
/// # Errors
///
/// When no sound server answers.
pub fn devices(config: &DeviceConfig) -> Result<Devices, DeviceError> {
    backend::list(config)
}
