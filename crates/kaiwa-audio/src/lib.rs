//! The signal side of a conversation: PCM and G.711, resampling, WAV and FLAC
//! files, levels and the arithmetic between samples and milliseconds.
//!
//! Everything here is deterministic: no devices, no sockets, no threads, no clock.
//! Inside kaiwa audio is mono `f32` with full scale at ±1.0.

mod clock;
pub mod echo;
pub mod file;
mod format;
pub mod g711;
mod level;
mod noise;
pub mod pcm;
mod resample;

pub use clock::{ms_to_samples, samples_to_ms};
pub use file::{Clip, FileError, FileErrorKind, WavWriter};
pub use format::{AudioDecoder, Format};
pub use level::{AUDIBLE_DBFS, first_above, last_above, peak_dbfs, rms_dbfs};
pub use noise::NoiseReducer;
pub use pcm::PcmDecoder;
pub use resample::Resampler;

/// The rate of the Realtime protocol's `audio/pcm`, in Hz, and of all audio between
/// a sound card and a link.
pub const WIRE_RATE_HZ: u32 = 24_000;
