use std::path::Path;

use super::speaker::Wav;
use super::{CardError, Frame};

/// A stereo recording of both sides, the user left, the assistant right; or none.
#[derive(Default)]
pub(crate) struct Recording(Option<Open>);

struct Open {
    wav: Wav,
    /// Who is told of its failure in the card's place.
    lost: Option<Lost>,
}

/// Whoever is told that a recording has ended before its time.
pub(crate) struct Lost(Box<dyn FnOnce(CardError) + Send>);

impl Lost {
    pub(crate) fn new(tell: impl FnOnce(CardError) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }
}

impl Recording {
    pub(crate) fn create(path: &Path, lost: Option<Lost>) -> Result<Self, CardError> {
        let wav = Wav::create(path, 2, true)?;
        Ok(Self(Some(Open { wav, lost })))
    }

    /// Adds a tick of both sides.
    pub(crate) fn write(&mut self, heard: &Frame, played: Option<&Frame>) -> Result<(), CardError> {
        if let Some(open) = &mut self.0
            && let Err(error) = open.wav.write_stereo(heard, played)
        {
            match open.lost.take() {
                Some(Lost(tell)) => tell(error),
                None => return Err(error),
            }
            self.0 = None;
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> Result<(), CardError> {
        match self.0.take() {
            None => Ok(()),
            Some(Open { wav, lost }) => match (wav.finalize(), lost) {
                (Err(error), Some(Lost(tell))) => {
                    tell(error);
                    Ok(())
                }
                (finished, _) => finished,
            },
        }
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recording")
    }
}

impl std::fmt::Debug for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lost")
    }
}
