//! Formats of sound, voices, modalities.

use crate::wire::{Maybe, either, object, string_enum, union};

union! {
    /// How samples are written. Always one channel.
    pub enum AudioFormat {
        /// Signed 16-bit little-endian samples at 24 000 Hz: 48 bytes per ms.
        Pcm(PcmFormat),
        /// G.711 µ-law at 8 000 Hz: 8 bytes per ms.
        Pcmu(PcmuFormat),
        /// G.711 A-law at 8 000 Hz: 8 bytes per ms.
        Pcma(PcmaFormat),
    }
}

impl AudioFormat {
    /// PCM at the protocol's only rate, 24 000 Hz.
    pub fn pcm() -> Self {
        Self::Pcm(PcmFormat {
            rate: Maybe::Value(24_000),
            ..PcmFormat::default()
        })
    }

    /// G.711 µ-law.
    pub fn pcmu() -> Self {
        Self::Pcmu(PcmuFormat::default())
    }

    /// G.711 A-law.
    pub fn pcma() -> Self {
        Self::Pcma(PcmaFormat::default())
    }

    /// Samples per second; `None` for an unknown format.
    pub fn sample_rate_hz(&self) -> Option<u32> {
        match self {
            Self::Pcm(_) => Some(24_000),
            Self::Pcmu(_) | Self::Pcma(_) => Some(8_000),
            Self::Unknown(_) => None,
        }
    }

    /// Bytes per millisecond; `None` for an unknown format.
    pub fn bytes_per_ms(&self) -> Option<u32> {
        match self {
            Self::Pcm(_) => Some(48),
            Self::Pcmu(_) | Self::Pcma(_) => Some(8),
            Self::Unknown(_) => None,
        }
    }
}

object! {
    /// Signed 16-bit little-endian samples.
    pub struct PcmFormat = "audio/pcm" {
        /// Samples per second. The protocol allows 24 000 only; absent means that.
        pub rate: Maybe<u32>,
    }
}

object! {
    /// G.711 µ-law.
    pub struct PcmuFormat = "audio/pcmu" {}
}

object! {
    /// G.711 A-law.
    pub struct PcmaFormat = "audio/pcma" {}
}

either! {
    /// A voice.
    pub enum Voice {
        /// By name: `alloy`, `marin`, or one of the server's own.
        Text => Named(String),
        /// A custom voice by id.
        Object => Custom(CustomVoice),
    }
    expected "a name or an object with an id"
}

impl From<&str> for Voice {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

object! {
    /// A custom voice.
    pub struct CustomVoice {
        /// Its id, `voice_` and more.
        pub id: String,
    }
}

string_enum! {
    /// What a response consists of.
    pub enum Modality {
        /// Text alone.
        Text = "text",
        /// Speech with its transcript.
        Audio = "audio",
    }
}
