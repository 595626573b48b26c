//! What a server decides about a session before it begins.

use serde::{Deserialize, Serialize};

use crate::{Millis, RateLimitConfig};

/// How a session begins and what bounds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionOptions {
    /// Name of the model, as the client asked for it. Fixed for the session.
    pub model: String,
    /// Seed of the identifiers. Two sessions with the same seed have the same identifiers.
    pub seed: u64,
    /// Unix time at which the session begins, in seconds; only `expires_at` rests on it.
    pub created_unix_seconds: u64,
    /// How long the session may last.
    pub max_session_ms: Millis,
    /// Instructions until the client gives its own.
    pub instructions: String,
    /// Voice until the client chooses another.
    pub voice: String,
    /// Voices a client may choose. Empty accepts every name.
    pub voices: Vec<String>,
    /// Silence that ends a turn, until the client says otherwise.
    pub silence_duration_ms: Millis,
    /// Silence after which a turn is transcribed and answered ahead of its end: what was made is
    /// sent if the turn is over, and dropped if the user goes on. `None` begins at the end, and
    /// takes every sound over the assistant's voice for an interruption.
    pub ahead_ms: Option<Millis>,
    /// Most audio that may wait in the input buffer. With turn detection a turn ends there;
    /// without, an append beyond it is refused.
    pub max_buffer_ms: Millis,
    /// Most bytes of audio kept for `conversation.item.retrieve`; the oldest items lose
    /// theirs first.
    pub max_kept_audio_bytes: usize,
    /// Most bytes of JSON of the items a client creates, images among them and audio not. An
    /// item beyond is refused; deleted ones make room.
    pub max_created_bytes: usize,
    /// What the session may use in a time. A response beyond it fails, and
    /// `rate_limits.updated` follows each response. Empty sets no limits and sends nothing.
    pub rate_limits: Vec<RateLimitConfig>,
}

impl Default for SessionOptions {
    /// An hour, server turn detection with half a second of silence, ten minutes of
    /// buffer, 64 MiB of kept audio and as much of created items.
    fn default() -> Self {
        Self {
            model: "kaiwa".to_owned(),
            seed: 0,
            created_unix_seconds: 0,
            max_session_ms: 60 * 60 * 1000,
            instructions: DEFAULT_INSTRUCTIONS.to_owned(),
            voice: "alloy".to_owned(),
            voices: Vec::new(),
            silence_duration_ms: 500,
            ahead_ms: Some(DEFAULT_AHEAD_MS),
            max_buffer_ms: 10 * 60 * 1000,
            max_kept_audio_bytes: 64 << 20,
            max_created_bytes: 64 << 20,
            rate_limits: Vec::new(),
        }
    }
}

/// Three frames: most gaps inside words are shorter, and an answer can be ready when half a second
/// has passed.
const DEFAULT_AHEAD_MS: Millis = 96;

/// Shapes answers for the ear: what is spoken cannot be skimmed. Short, because small models
/// lose the question over more, and because it is read before the first answer.
const DEFAULT_INSTRUCTIONS: &str =
    "You are a helpful voice assistant. Answer briefly in plain spoken words.";
