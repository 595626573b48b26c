//! Real sound devices: what there is, and a [`SoundCard`](crate::SoundCard) made of them.
//!
//! Linux speaks to PulseAudio, or to PipeWire in its place, over the server's socket; nothing
//! is linked. Other systems have no backend yet: [`devices`] and [`DeviceCard::open`] say so.
//! A backend implements one small trait (`backend.rs`).

mod backend;
mod card;
mod clock;
mod error;
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "used by the backends that there are")
)]
mod line;
mod list;
#[cfg(target_os = "linux")]
mod pulse;
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "used by the backends that there are")
)]
mod ring;

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
