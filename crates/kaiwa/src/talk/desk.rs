//! What a person at the screen and the sound card know of each other: whether the microphone is
//! open, and how loud both sides are.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use kaiwa_client::{
    CardError, DeviceNotice, MicState, Pace, SoundCard,
    card::{Frame, TICK},
};

/// Between the screen and the card. Its values stand alone: no order between them matters.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// The microphone is silenced.
    closed: Arc<AtomicBool>,
    /// Whether a closed microphone sends nothing, instead of silence.
    push_to_talk: bool,
    heard: Loudest,
    played: Loudest,
}

/// The largest magnitude since somebody looked. Magnitudes of floats are in the order of their
/// bits.
#[derive(Debug, Default)]
struct Loudest(AtomicU32);

impl Desk {
    /// With an open microphone; with push-to-talk, a closed one.
    pub(super) fn new(push_to_talk: bool) -> Self {
        Self {
            closed: Arc::new(AtomicBool::new(push_to_talk)),
            push_to_talk,
            ..Self::default()
        }
    }

    /// Opens or closes the microphone.
    pub(super) fn open_microphone(&self, open: bool) {
        self.closed.store(!open, Ordering::Relaxed);
    }

    /// True while the microphone is closed.
    pub(super) fn closed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.closed)
    }

    /// The largest magnitudes since the last call, full scale at 1.0: of what the microphone
    /// heard, and of what the speaker played.
    pub(super) fn loudest(&self) -> (f32, f32) {
        (self.heard.take(), self.played.take())
    }
}

impl Loudest {
    fn note(&self, frame: &Frame) {
        let peak = frame.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
        self.0.fetch_max(peak.to_bits(), Ordering::Relaxed);
    }

    fn take(&self) -> f32 {
        f32::from_bits(self.0.swap(0, Ordering::Relaxed))
    }
}

/// A card at a desk.
#[derive(Debug)]
pub(super) struct AtDesk<C> {
    pub(super) card: C,
    pub(super) desk: Arc<Desk>,
}

impl<C> AtDesk<C> {
    fn is_closed(&self) -> bool {
        self.desk.closed.load(Ordering::Relaxed)
    }
}

impl<C: SoundCard> SoundCard for AtDesk<C> {
    fn play(&mut self, frame: Option<&Frame>) -> Result<(), CardError> {
        if let Some(frame) = frame {
            self.desk.played.note(frame);
        }
        self.card.play(frame)
    }

    async fn capture(&mut self, frame: &mut Frame) -> Result<(), CardError> {
        self.card.capture(frame).await?;
        if self.is_closed() {
            *frame = [0.0; TICK];
        }
        self.desk.heard.note(frame);
        Ok(())
    }

    fn mic(&self) -> MicState {
        match self.card.mic() {
            // Between two turns nothing is sent that would have to be part of one.
            MicState::Open if self.desk.push_to_talk && self.is_closed() => MicState::Off,
            mic => mic,
        }
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
        self.card.notice()
    }

    async fn finish(&mut self) -> Result<(), CardError> {
        self.card.finish().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Always hears the same.
    struct Humming;

    impl SoundCard for Humming {
        fn play(&mut self, _frame: Option<&Frame>) -> Result<(), CardError> {
            Ok(())
        }

        async fn capture(&mut self, frame: &mut Frame) -> Result<(), CardError> {
            *frame = [-0.5; TICK];
            Ok(())
        }

        fn mic(&self) -> MicState {
            MicState::Open
        }

        fn pace(&self) -> Pace {
            Pace::RealTime
        }

        fn position(&self) -> u64 {
            0
        }

        async fn finish(&mut self) -> Result<(), CardError> {
            Ok(())
        }
    }

    fn seated(push_to_talk: bool) -> (AtDesk<Humming>, Arc<Desk>) {
        let desk = Arc::new(Desk::new(push_to_talk));
        let card = AtDesk {
            card: Humming,
            desk: Arc::clone(&desk),
        };
        (card, desk)
    }

    #[tokio::test]
    async fn a_muted_microphone_gives_silence_and_goes_on() {
        let (mut card, desk) = seated(false);
        let mut frame = [0.0; TICK];
        card.capture(&mut frame).await.expect("it captures");
        assert_eq!((frame[0], desk.loudest()), (-0.5, (0.5, 0.0)));
        desk.open_microphone(false);
        card.capture(&mut frame).await.expect("it captures");
        assert_eq!((frame, desk.loudest()), ([0.0; TICK], (0.0, 0.0)));
        // The server needs the silence to end the turn.
        assert_eq!(card.mic(), MicState::Open);
    }

    #[tokio::test]
    async fn with_push_to_talk_nothing_is_sent_between_turns() {
        let (mut card, desk) = seated(true);
        assert_eq!(card.mic(), MicState::Off);
        desk.open_microphone(true);
        let mut frame = [0.0; TICK];
        card.capture(&mut frame).await.expect("it captures");
        assert_eq!((frame[0], card.mic()), (-0.5, MicState::Open));
        card.play(Some(&[0.25; TICK])).expect("it plays");
        card.play(None).expect("it plays");
        assert_eq!(desk.loudest(), (0.5, 0.25));
        assert_eq!(desk.loudest(), (0.0, 0.0));
    }
}
