//! What is done with the user's sound: turn detection, transcription, noise reduction.

use crate::session::Effort;
use crate::wire::{Maybe, Number, object, string_enum, union};

union! {
    /// How the end of the user's turn is found.
    pub enum TurnDetection {
        /// By silence.
        ServerVad(ServerVad),
        /// By what was said.
        SemanticVad(SemanticVad),
    }
}

impl TurnDetection {
    /// Whether a response is made by itself at the end of a turn (default true).
    pub fn creates_response(&self) -> bool {
        match self {
            Self::ServerVad(vad) => vad.create_response.copied().unwrap_or(true),
            Self::SemanticVad(vad) => vad.create_response.copied().unwrap_or(true),
            Self::Unknown(_) => true,
        }
    }

    /// Whether speech of the user cancels the running response (default true).
    pub fn interrupts_response(&self) -> bool {
        match self {
            Self::ServerVad(vad) => vad.interrupt_response.copied().unwrap_or(true),
            Self::SemanticVad(vad) => vad.interrupt_response.copied().unwrap_or(true),
            Self::Unknown(_) => true,
        }
    }
}

object! {
    /// Turn detection by silence.
    pub struct ServerVad = "server_vad" {
        /// How sure to be that there is speech, 0 to 1 (default 0.5).
        pub threshold: Maybe<Number>,
        /// How much sound before the detected start belongs to the turn, in ms (default 300).
        pub prefix_padding_ms: Maybe<u64>,
        /// How much silence ends the turn, in ms (sessions report 200 by default, the documentation says 500).
        pub silence_duration_ms: Maybe<u64>,
        /// After how much silence the model speaks up by itself, in ms, 5000 to 30000; null for never.
        pub idle_timeout_ms: Maybe<u64>,
        /// Whether a response is made by itself at the end of the turn (default true).
        pub create_response: Maybe<bool>,
        /// Whether speech of the user cancels the running response (default true).
        pub interrupt_response: Maybe<bool>,
    }
}

object! {
    /// Turn detection by what was said.
    pub struct SemanticVad = "semantic_vad" {
        /// How soon to take the turn (default auto).
        pub eagerness: Maybe<Eagerness>,
        /// Whether a response is made by itself at the end of the turn (default true).
        pub create_response: Maybe<bool>,
        /// Whether speech of the user cancels the running response (default true).
        pub interrupt_response: Maybe<bool>,
    }
}

string_enum! {
    /// How soon the model takes the turn.
    pub enum Eagerness {
        /// The same as medium.
        Auto = "auto",
        /// Waits at most 8 s.
        Low = "low",
        /// Waits at most 4 s.
        Medium = "medium",
        /// Waits at most 2 s.
        High = "high",
    }
}

object! {
    /// How the user's speech is transcribed.
    pub struct TranscriptionConfig {
        /// Name of the model.
        pub model: Maybe<String>,
        /// The language spoken, ISO 639-1.
        pub language: Maybe<String>,
        /// The languages that may be spoken, ISO 639-1, at least one.
        pub languages: Maybe<Vec<String>>,
        /// Words to expect.
        pub keywords: Maybe<Vec<String>>,
        /// Text that guides the model.
        pub prompt: Maybe<String>,
        /// How long to wait for more sound before committing to a text.
        pub delay: Maybe<Effort>,
    }
}

object! {
    /// How noise is reduced.
    pub struct NoiseReduction {
        /// Where the microphone is.
        pub kind as "type": Maybe<NoiseReductionKind>,
        /// How strongly.
        pub strength: Maybe<Number>,
    }
}

string_enum! {
    /// Where the microphone is.
    pub enum NoiseReductionKind {
        /// Close to the mouth: a headset.
        NearField = "near_field",
        /// Away from it: a laptop, a conference room.
        FarField = "far_field",
    }
}
