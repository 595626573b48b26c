use std::sync::Arc;

use super::{
    Script, ScriptedEndOfTurn, ScriptedLanguageModel, ScriptedSynthesizer, ScriptedTranscriber,
    ScriptedVoiceActivity,
};

/// Makes the engines that play a [`Script`].
#[derive(Clone, Debug, Default)]
pub struct ScriptedEngines {
    script: Script,
}

impl ScriptedEngines {
    /// Engines that play `script`.
    pub fn new(script: Script) -> Self {
        Self { script }
    }

    /// A detector for one stream.
    pub fn voice_activity(&self) -> ScriptedVoiceActivity {
        ScriptedVoiceActivity::new(self.script.0.vad.threshold)
    }

    /// A judge of pauses that begins with the first judgement.
    pub fn end_of_turn(&self) -> ScriptedEndOfTurn {
        ScriptedEndOfTurn::new(Arc::clone(&self.script.0))
    }

    /// A transcriber that begins with the first transcript.
    pub fn transcriber(&self) -> ScriptedTranscriber {
        ScriptedTranscriber::new(Arc::clone(&self.script.0))
    }

    /// A language model in which every conversation begins with the first reply.
    pub fn language_model(&self) -> ScriptedLanguageModel {
        ScriptedLanguageModel::new(Arc::clone(&self.script.0))
    }

    /// A voice.
    pub fn synthesizer(&self) -> ScriptedSynthesizer {
        ScriptedSynthesizer::new(Arc::clone(&self.script.0))
    }
}
