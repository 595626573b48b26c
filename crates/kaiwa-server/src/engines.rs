use std::{fmt, sync::Arc};

use kaiwa_engine::{
    EndOfTurn, EngineError, LanguageModel, Synthesizer, Transcriber, VoiceActivity,
};

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

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engines").finish_non_exhaustive()
    }
}
