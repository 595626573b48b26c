use crate::{EngineError, VoiceActivity};

/// 32 ms at 16 000 Hz, as Silero takes.
const FRAME: usize = 512;

/// Tells speech by loudness. It has no memory.
#[derive(Clone, Debug)]
pub struct ScriptedVoiceActivity {
    threshold: f32,
}

impl ScriptedVoiceActivity {
    pub(super) fn new(threshold: f32) -> Self {
        Self { threshold }
    }
}

impl VoiceActivity for ScriptedVoiceActivity {
    fn frame_samples(&self) -> usize {
        FRAME
    }

    fn push(&mut self, frame: &[f32]) -> Result<f32, EngineError> {
        if frame.len() != FRAME {
            return Err(EngineError::invalid_input(format_args!(
                "expected a frame of {FRAME} samples, found {}",
                frame.len()
            )));
        }
        Ok(probability(frame, self.threshold))
    }

    fn reset(&mut self) {}
}

/// rms² / (rms² + threshold²): 0.0 for silence, 0.5 at the threshold.
pub(super) fn probability(frame: &[f32], threshold: f32) -> f32 {
    let power = frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32;
    // A threshold is more than 0, so the quotient is a number; not so for samples that are
    // none, and those are no speech.
    let probability = power / (power + threshold * threshold);
    if probability.is_nan() {
        0.0
    } else {
        probability
    }
}

#[cfg(test)]
mod tests {
    use crate::scripted::{Script, ScriptedEngines};

    use super::*;

    fn engines(script: &str) -> ScriptedEngines {
        ScriptedEngines::new(Script::parse(script).unwrap())
    }

    #[test]
    fn probability_follows_loudness() {
        let mut vad = engines("[vad]\nthreshold = 0.1\n").voice_activity();
        assert_eq!(vad.push(&[0.0; 512]).unwrap(), 0.0);
        assert!((vad.push(&[0.1; 512]).unwrap() - 0.5).abs() < 1e-5);
        assert!((vad.push(&[-0.3; 512]).unwrap() - 0.9).abs() < 1e-5);
        assert_eq!(vad.push(&[f32::NAN; 512]).unwrap(), 0.0);
    }

    #[test]
    fn a_frame_of_another_length_is_refused() {
        let error = ScriptedEngines::default()
            .voice_activity()
            .push(&[0.0; 480]);
        assert_eq!(
            error.unwrap_err().message(),
            "expected a frame of 512 samples, found 480"
        );
    }
}
