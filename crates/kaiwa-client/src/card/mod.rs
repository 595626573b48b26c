//! Sound cards: what captures the user and plays the assistant on one clock.

mod clean;
mod error;
mod file;
mod mic;
mod notice;
mod pace;
mod recording;
mod speaker;

use std::future::Future;

pub use self::clean::CleanCard;
pub use self::error::{CardError, CardErrorKind};
pub use self::file::{FileCard, FileCardBuilder};
pub use self::mic::{Mic, MicQueue};
pub use self::notice::{DeviceChange, DeviceNotice, Side};
pub use self::pace::Pace;
#[cfg(feature = "devices")]
pub(crate) use self::recording::{Lost, Recording};
pub use self::speaker::Speaker;

/// Samples of a tick: 20 ms at 24 kHz.
pub const TICK: usize = 480;
/// A tick in milliseconds.
pub const TICK_MS: u64 = 20;

/// 20 ms of mono sound at 24 kHz, full scale at ±1.0.
pub type Frame = [f32; TICK];

/// One clock for both directions.
///
/// Time is divided into ticks of 20 ms. [`play`](Self::play) begins a tick with what the
/// speaker plays in it, [`capture`](Self::capture) waits for the tick's end and gives
/// what the microphone heard in the same tick, so that frame *n* of both directions is
/// the same 20 ms. Positions are samples since the first tick.
///
/// A card of real devices counts its ticks by what the speaker asks for; what the speaker has
/// and has not made audible is its [`output_latency`](Self::output_latency).
pub trait SoundCard: Send + 'static {
    /// Begins the tick and plays `frame` in it; `None` is silence.
    ///
    /// # Errors
    ///
    /// When the output cannot take it.
    fn play(&mut self, frame: Option<&Frame>) -> Result<(), CardError>;

    /// Waits for the end of the tick that `play` began and fills `frame` with what was
    /// captured in it. Dropping the future and calling again loses nothing.
    ///
    /// # Errors
    ///
    /// When an input or output fails.
    fn capture(&mut self, frame: &mut Frame) -> impl Future<Output = Result<(), CardError>> + Send;

    /// What the microphone is doing.
    fn mic(&self) -> MicState;

    /// How the clock runs.
    fn pace(&self) -> Pace;

    /// Samples of the card's clock that have passed up to this moment; zero before the
    /// first tick. While the caller is late with its ticks, this is ahead of them, unless it
    /// is so late that the card goes on from now: then it is back at the end of the tick.
    fn position(&self) -> u64;

    /// Samples that were given to [`play`](Self::play) and are not audible yet.
    fn output_latency(&self) -> u64 {
        0
    }

    /// What has changed about the devices since the last call, oldest first; the card goes on.
    fn notice(&mut self) -> Option<DeviceNotice> {
        None
    }

    /// Completes the output and the recording.
    ///
    /// # Errors
    ///
    /// When what is left cannot be written.
    fn finish(&mut self) -> impl Future<Output = Result<(), CardError>> + Send;
}

/// What a microphone is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MicState {
    /// Its input has come to its end; from now on it gives silence.
    Ended,
    /// There is none.
    Off,
    /// It is open: it gives what there is, and silence while there is nothing.
    Open,
    /// It has more of a recording to give.
    Sounding,
}
