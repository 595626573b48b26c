//! A sound card made of files, streams and queues.

use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::mic::Mic;
use super::pace::{Pace, Ticks};
use super::recording::{Lost, Recording};
use super::speaker::Speaker;
use super::{CardError, Frame, MicState, SoundCard};

/// A [`SoundCard`] that hears a file, a stream or a queue, plays into a file, a stream or
/// nothing, and may record both.
#[derive(Debug)]
pub struct FileCard {
    mic: Mic,
    speaker: Speaker,
    recording: Recording,
    ticks: Ticks,
    /// What the speaker plays in the current tick.
    playing: Option<Box<Frame>>,
}

/// Puts a [`FileCard`] together.
#[derive(Debug)]
pub struct FileCardBuilder {
    mic: Mic,
    speaker: Speaker,
    record: Option<PathBuf>,
    lost: Option<Lost>,
    pace: Pace,
}

impl FileCard {
    /// A card without microphone and with a speaker that nobody hears.
    #[must_use]
    pub fn builder() -> FileCardBuilder {
        FileCardBuilder {
            mic: Mic::off(),
            speaker: Speaker::none(),
            record: None,
            lost: None,
            pace: Pace::RealTime,
        }
    }
}

impl FileCardBuilder {
    /// What the microphone hears.
    #[must_use]
    pub fn mic(mut self, mic: Mic) -> Self {
        self.mic = mic;
        self
    }

    /// What the speaker plays into.
    #[must_use]
    pub fn speaker(mut self, speaker: Speaker) -> Self {
        self.speaker = speaker;
        self
    }

    /// Records both sides into a stereo WAV, the user left, the assistant right, aligned
    /// to the sample by the card's clock. The file is playable at any moment.
    #[must_use]
    pub fn record(mut self, path: impl AsRef<Path>) -> Self {
        self.record = Some(path.as_ref().to_owned());
        self
    }

    /// Like [`record`](Self::record), but a recording that cannot be written any more ends
    /// without the card: `lost` is told why.
    #[must_use]
    pub fn record_while_possible(
        mut self,
        path: impl AsRef<Path>,
        lost: impl FnOnce(CardError) + Send + 'static,
    ) -> Self {
        self.lost = Some(Lost::new(lost));
        self.record(path)
    }

    /// How the clock runs.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// The card.
    ///
    /// # Errors
    ///
    /// When the recording cannot be created.
    pub fn build(self) -> Result<FileCard, CardError> {
        let recording = match &self.record {
            Some(path) => Recording::create(path, self.lost)?,
            None => Recording::default(),
        };
        Ok(FileCard {
            mic: self.mic,
            speaker: self.speaker,
            recording,
            ticks: Ticks::new(self.pace),
            playing: None,
        })
    }
}

impl SoundCard for FileCard {
    fn play(&mut self, frame: Option<&Frame>) -> Result<(), CardError> {
        self.ticks.begin();
        self.playing = frame.map(|frame| Box::new(*frame));
        self.speaker.play(frame)
    }

    async fn capture(&mut self, frame: &mut Frame) -> Result<(), CardError> {
        self.speaker.drained().await?;
        let due = match self.ticks.pace {
            Pace::RealTime => {
                let due = self.ticks.due();
                tokio::time::sleep_until(due).await;
                due
            }
            Pace::Fast => {
                // Lets the rest of the conversation run between two ticks.
                tokio::task::yield_now().await;
                Instant::now()
            }
        };
        self.mic.ready(due).await?;
        // From here on nothing waits, so a dropped future has taken nothing.
        self.mic.take(frame);
        self.recording.write(frame, self.playing.as_deref())
    }

    fn mic(&self) -> MicState {
        self.mic.state()
    }

    fn pace(&self) -> Pace {
        self.ticks.pace
    }

    fn position(&self) -> u64 {
        self.ticks.position()
    }

    async fn finish(&mut self) -> Result<(), CardError> {
        let recorded = self.recording.finish();
        self.speaker.finish().await.and(recorded)
    }
}

#[cfg(test)]
mod tests {
    use kaiwa_audio::Clip;
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::card::{MicQueue, TICK};

    fn clip(samples: Vec<f32>) -> Clip {
        Clip {
            samples,
            rate_hz: 24_000,
            channels: 1,
        }
    }

    async fn tick(card: &mut FileCard, played: Option<f32>) -> Frame {
        let mut heard = [f32::NAN; TICK];
        card.play(played.map(|x| [x; TICK]).as_ref())
            .expect("plays");
        card.capture(&mut heard).await.expect("captures");
        heard
    }

    #[tokio::test(start_paused = true)]
    async fn both_directions_share_their_ticks_in_the_recording() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut card = FileCard::builder()
            .mic(Mic::clip(clip(vec![0.5; TICK + 100])))
            .record(file.path())
            .build()
            .expect("a card");
        let start = Instant::now();
        assert_eq!(tick(&mut card, None).await, [0.5; TICK]);
        assert_eq!(card.mic(), MicState::Sounding);
        let second = tick(&mut card, Some(0.25)).await;
        assert_eq!((second[99], second[100]), (0.5, 0.0));
        assert_eq!(card.mic(), MicState::Ended);
        assert_eq!(start.elapsed().as_millis(), 40);
        card.finish().await.expect("finishes");
        let wav = Clip::open(file.path()).expect("playable");
        assert_eq!(wav.channels, 2);
        // The mean of both channels.
        assert_eq!(wav.samples[TICK - 1], 0.25);
        assert_eq!(wav.samples[TICK], 0.375);
        assert_eq!(wav.samples[TICK + 100], 0.125);
        assert_eq!(wav.samples.len(), 2 * TICK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_is_caught_up_and_a_long_one_forgiven() {
        let mut card = FileCard::builder().build().expect("a card");
        tick(&mut card, None).await;
        let start = Instant::now();
        tokio::time::advance(std::time::Duration::from_millis(100)).await;
        for _ in 0..6 {
            tick(&mut card, None).await;
        }
        assert_eq!(start.elapsed().as_millis(), 120);
        assert_eq!(card.position(), 7 * TICK as u64);
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        let later = Instant::now();
        tick(&mut card, None).await;
        assert_eq!(later.elapsed().as_millis(), 20);
        assert_eq!(card.position(), 8 * TICK as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_heard_whole_and_ends() {
        let mut bytes = Vec::new();
        kaiwa_audio::pcm::encode(&[0.5; TICK + 1], &mut bytes);
        let mut card = FileCard::builder()
            .mic(Mic::stream(std::io::Cursor::new(bytes)))
            .build()
            .expect("a card");
        assert_eq!(tick(&mut card, None).await, [0.5; TICK]);
        assert_eq!(card.mic(), MicState::Sounding);
        let second = tick(&mut card, None).await;
        assert_eq!((second[0], second[1]), (0.5, 0.0));
        assert_eq!(card.mic(), MicState::Ended);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_stalls_is_heard_as_silence() {
        let (_writer, reader) = tokio::io::duplex(64);
        let mut card = FileCard::builder()
            .mic(Mic::stream(reader))
            .build()
            .expect("a card");
        let start = Instant::now();
        assert_eq!(tick(&mut card, None).await, [0.0; TICK]);
        assert_eq!(start.elapsed().as_millis(), 220);
        // The tick after it is due already, and waits no longer than its own patience.
        assert_eq!(tick(&mut card, None).await, [0.0; TICK]);
        assert_eq!(start.elapsed().as_millis(), 240);
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_open_until_it_is_ended() {
        let (queue, mic) = Mic::queue();
        let mut card = FileCard::builder().mic(mic).build().expect("a card");
        assert_eq!(card.mic(), MicState::Open);
        assert_eq!(tick(&mut card, None).await, [0.0; TICK]);
        let clone: MicQueue = queue.clone();
        clone.push(&[0.5; TICK]);
        drop(clone);
        assert_eq!(card.mic(), MicState::Sounding);
        assert_eq!(tick(&mut card, None).await, [0.5; TICK]);
        assert_eq!(card.mic(), MicState::Open);
        drop(queue);
        assert_eq!(card.mic(), MicState::Ended);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_plays_everything_and_a_closed_one_says_so() {
        let (reader, writer) = tokio::io::duplex(1 << 16);
        let mut reader = reader;
        let mut card = FileCard::builder()
            .speaker(Speaker::stream(writer))
            .build()
            .expect("a card");
        tick(&mut card, Some(0.5)).await;
        tick(&mut card, None).await;
        let mut bytes = vec![0; 4 * TICK];
        reader.read_exact(&mut bytes).await.expect("two frames");
        assert_eq!(&bytes[..2], [0x00, 0x40]);
        assert_eq!(&bytes[2 * TICK..2 * TICK + 2], [0, 0]);
        drop(reader);
        card.play(None).expect("is queued");
        let error = card.capture(&mut [0.0; TICK]).await.expect_err("closed");
        assert!(matches!(error, CardError::OutputClosed), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_without_gaps_holds_only_what_was_played() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let speaker = Speaker::wav_without_gaps(file.path()).expect("a file");
        let mut card = FileCard::builder()
            .speaker(speaker)
            .pace(Pace::Fast)
            .build()
            .expect("a card");
        for played in [None, Some(0.5), None, Some(0.25)] {
            tick(&mut card, played).await;
        }
        card.finish().await.expect("finishes");
        let wav = Clip::open(file.path()).expect("playable");
        assert_eq!(wav.samples.len(), 2 * TICK);
        assert_eq!((wav.samples[0], wav.samples[TICK]), (0.5, 0.25));
    }
}
