//! A sound card whose microphone does not hear its speaker.

use kaiwa_audio::echo::{EchoStatistics, VoiceOptions, VoiceProcessor};

use super::{CardError, DeviceNotice, Frame, MicState, Pace, SoundCard};

/// A [`SoundCard`] with a [`VoiceProcessor`] behind its microphone: what the card plays is taken
/// out of what it captures, which comes [`VoiceProcessor::latency`] samples later.
#[derive(Debug)]
pub struct CleanCard<C> {
    card: C,
    processor: Box<VoiceProcessor>,
    /// What is played in the current tick.
    playing: Option<Box<Frame>>,
}

impl<C: SoundCard> CleanCard<C> {
    /// Listens through a processor with these options.
    #[must_use]
    pub fn new(card: C, options: VoiceOptions) -> Self {
        Self {
            card,
            processor: Box::new(VoiceProcessor::new(options)),
            playing: None,
        }
    }

    /// What is known of the echo.
    #[must_use]
    pub fn echo(&self) -> EchoStatistics {
        self.processor.statistics()
    }
}

impl<C: SoundCard> SoundCard for CleanCard<C> {
    fn play(&mut self, frame: Option<&Frame>) -> Result<(), CardError> {
        self.playing = frame.map(|frame| Box::new(*frame));
        self.card.play(frame)
    }

    async fn capture(&mut self, frame: &mut Frame) -> Result<(), CardError> {
        self.card.capture(frame).await?;
        // From here on nothing waits, so a dropped future has processed nothing. The delay of
        // the microphone is not known; the processor finds it.
        let delay = self.card.output_latency();
        self.processor
            .process(self.playing.as_deref(), frame, delay);
        Ok(())
    }

    fn mic(&self) -> MicState {
        self.card.mic()
    }

    fn pace(&self) -> Pace {
        self.card.pace()
    }

    fn position(&self) -> u64 {
        self.card.position()
    }

    fn output_latency(&self) -> u64 {
        self.card.output_latency()
    }

    fn notice(&mut self) -> Option<DeviceNotice> {
        let notice = self.card.notice();
        if notice.is_some() {
            // Another device hears another room.
            self.processor.reset();
        }
        notice
    }

    async fn finish(&mut self) -> Result<(), CardError> {
        self.card.finish().await
    }
}

#[cfg(test)]
mod tests {
    use kaiwa_audio::echo::EchoPath;

    use super::*;
    use crate::card::TICK;

    /// Its microphone hears its speaker, 60 ms later and 6 dB down, and in the end somebody.
    struct Room {
        /// All that will be heard of the speaker.
        echo: Vec<f32>,
        /// And of somebody else.
        voice: Vec<f32>,
        at: usize,
    }

    impl SoundCard for Room {
        fn play(&mut self, _frame: Option<&Frame>) -> Result<(), CardError> {
            Ok(())
        }

        async fn capture(&mut self, frame: &mut Frame) -> Result<(), CardError> {
            let range = self.at..self.at + TICK;
            for (sample, (echo, voice)) in frame
                .iter_mut()
                .zip(self.echo[range.clone()].iter().zip(&self.voice[range]))
            {
                *sample = echo + voice;
            }
            self.at += TICK;
            Ok(())
        }

        fn mic(&self) -> MicState {
            MicState::Open
        }

        fn pace(&self) -> Pace {
            Pace::RealTime
        }

        fn position(&self) -> u64 {
            self.at as u64
        }

        fn output_latency(&self) -> u64 {
            960
        }

        async fn finish(&mut self) -> Result<(), CardError> {
            Ok(())
        }
    }

    /// Noise that swells four times a second, as loud as speech; another for each seed.
    fn babble(samples: usize, mut seed: u32) -> Vec<f32> {
        let mut low = 0.0;
        (0..samples)
            .map(|n| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let white = (seed >> 8) as f32 / (1 << 23) as f32 - 1.0;
                low = 0.85 * low + 0.15 * white;
                let swell = (n as f32 / 24_000.0 * 4.0 * std::f32::consts::PI).sin();
                0.6 * low * swell * swell
            })
            .collect()
    }

    fn level(samples: &[f32]) -> f32 {
        let power = samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32;
        10.0 * power.max(1e-12).log10()
    }

    #[tokio::test]
    async fn the_microphone_hears_somebody_and_not_the_speaker() {
        const SECOND: usize = 24_000;
        let played = [babble(6 * SECOND, 1), vec![0.0; 2 * SECOND]].concat();
        let voice = [vec![0.0; 7 * SECOND], babble(SECOND, 2)].concat();
        let echo = EchoPath::new(1_440, -6.0, &[]).echo(&played);
        let room = Room {
            echo: echo.clone(),
            voice: voice.clone(),
            at: 0,
        };
        let mut card = CleanCard::new(room, VoiceOptions::default());
        let mut heard = Vec::new();
        let mut frame = [0.0; TICK];
        for tick in played.chunks(TICK) {
            let tick: &Frame = tick.try_into().expect("whole ticks");
            card.play(Some(tick)).expect("it plays");
            card.capture(&mut frame).await.expect("it captures");
            heard.extend_from_slice(&frame);
        }
        let echoing = 3 * SECOND..6 * SECOND;
        let (raw, clean) = (level(&echo[echoing.clone()]), level(&heard[echoing]));
        assert!(clean < raw - 25.0, "{raw} dB became {clean} dB");
        let speaking = 7 * SECOND + SECOND / 4..8 * SECOND;
        let (said, heard) = (level(&voice[speaking.clone()]), level(&heard[speaking]));
        assert!((said - heard).abs() < 3.0, "{said} dB became {heard} dB");
    }
}
