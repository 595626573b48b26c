use std::{fmt, sync::Arc};

use kaiwa_engine::{
    EndOfTurn, EngineError, LanguageModel, Synthesizer, Transcriber, VoiceActivity,
};
use kaiwa_session::Millis;

/// Makes one voice activity detector for one session. Called on the session's detector
/// thread when its first frame of audio arrives, and again after a detector panicked.
pub type VoiceActivityFactory =
    Arc<dyn Fn() -> Result<Box<dyn VoiceActivity>, EngineError> + Send + Sync>;

/// The engines all sessions of a server share.
#[derive(Clone)]
pub struct Engines {
    /// Makes a voice activity detector per session.
    pub voice_activity: VoiceActivityFactory,
    /// Judges from the voice whether a turn is over, for `semantic_vad`; without it the words
    /// decide.
    pub end_of_turn: Option<Arc<dyn EndOfTurn>>,
    /// Turns the user's turns into text.
    pub transcriber: Arc<dyn Transcriber>,
    /// Writes the answers.
    pub language_model: Arc<dyn LanguageModel>,
    /// Speaks the answers.
    pub synthesizer: Arc<dyn Synthesizer>,
}

/// Engines with a name, by which clients ask for them as for a model.
#[derive(Clone)]
pub struct Profile {
    /// The name.
    pub name: String,
    /// The engines.
    pub engines: Engines,
    /// Voices a client may choose, as [`SessionOptions::voices`](kaiwa_session::SessionOptions).
    pub voices: Vec<String>,
    /// Silence after which a turn is answered ahead of its end, as
    /// [`SessionOptions::ahead_ms`](kaiwa_session::SessionOptions).
    pub ahead_ms: Option<Millis>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.name)
            .field("voices", &self.voices)
            .field("ahead_ms", &self.ahead_ms)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engines").finish_non_exhaustive()
    }
}
