//! PulseAudio's protocol, which PipeWire speaks as well.
//!
//! A card has three threads: one reads what the server says (the microphone's sound and the
//! speaker's requests, which go to the [`Line`] at once), one writes, and the [`Follower`]
//! asks, waits, and keeps the streams on the devices that are meant.

mod follow;
mod stream;
mod wire;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use pulseaudio::protocol::Command;

use self::follow::Follower;
use self::stream::NO_CHANNEL;
use self::wire::{Connection, Player, Said};
use super::backend::{Backend, spawn};
use super::line::Line;
use super::{DeviceConfig, DeviceError, Devices, Side};
use crate::card::Frame;

/// News that may wait. What does not fit is found out by looking at the devices, which follows
/// any news, or by a question without an answer.
const NEWS: usize = 64;

pub(super) fn open(config: &DeviceConfig, line: &Arc<Line>) -> Result<Running, DeviceError> {
    let (news, told) = sync_channel(NEWS);
    let shared = Arc::new(Shared::default());
    let hearing = Hearing {
        line: Arc::clone(line),
        shared: Arc::clone(&shared),
        news: news.clone(),
    };
    let follower = Follower::start(config, hearing, told)?;
    spawn("kaiwa-devices", move || follower.run())?;
    Ok(Running { shared, news })
}

pub(super) fn list(config: &DeviceConfig) -> Result<Devices, DeviceError> {
    let mut connection = Connection::open(config.server.as_deref(), |_, _| {})?;
    Ok(stream::devices(&mut connection)?)
}

/// The card's end of a running connection.
pub(super) struct Running {
    shared: Arc<Shared>,
    news: SyncSender<News>,
}

impl Backend for Running {
    fn play(&self, frame: &Frame) {
        self.shared
            .with_player(|player, channel| player.play(channel, frame));
    }

    fn play_silence(&self, samples: u64) {
        self.shared
            .with_player(|player, channel| player.silence(channel, samples));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Only wakes it; with a full queue it is awake.
        if self.news.try_send(News::Changed).is_err() {
            tracing::trace!("the devices are being looked at");
        }
    }
}

/// What concerns the follower.
#[derive(Debug)]
enum News {
    /// Devices, or the default.
    Changed,
    /// The server ended a stream.
    Killed(Side),
    /// The connection broke.
    Lost,
    /// The server, or somebody, moved a stream to the device of this number.
    Moved(Side, u32),
    /// The speaker ran out of sound.
    Underrun,
}

/// What the threads share beside the line.
#[derive(Debug)]
struct Shared {
    /// The microphone's stream, or [`NO_CHANNEL`].
    mic: AtomicU32,
    /// The speaker's stream, or [`NO_CHANNEL`].
    speaker: AtomicU32,
    /// Samples that the speaker will ask for and that are no time passing: its buffer grew.
    grown: AtomicU64,
    player: Mutex<Option<Player>>,
    stopped: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            mic: AtomicU32::new(NO_CHANNEL),
            speaker: AtomicU32::new(NO_CHANNEL),
            grown: AtomicU64::new(0),
            player: Mutex::new(None),
            stopped: AtomicBool::new(false),
        }
    }
}

impl Shared {
    fn with_player(&self, play: impl FnOnce(&Player, u32)) {
        let channel = self.speaker.load(Ordering::Acquire);
        let player = self.player.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(player) = &*player
            && channel != NO_CHANNEL
        {
            play(player, channel);
        }
    }

    fn set_player(&self, player: Option<Player>) {
        *self.player.lock().unwrap_or_else(PoisonError::into_inner) = player;
    }
}

/// What the reading thread does with what it hears.
#[derive(Clone)]
struct Hearing {
    line: Arc<Line>,
    shared: Arc<Shared>,
    news: SyncSender<News>,
}

impl Hearing {
    fn hear(&self, player: &Player, said: Said<'_>) {
        match said {
            Said::Sound { channel, bytes } => {
                if channel == self.shared.mic.load(Ordering::Acquire) {
                    self.line.hear(bytes);
                }
            }
            Said::Command(command) => self.command(player, command),
            Said::Lost => self.tell(News::Lost),
        }
    }

    fn command(&self, player: &Player, command: &Command) {
        let speaker = self.shared.speaker.load(Ordering::Acquire);
        match command {
            Command::Request(request) if request.channel == speaker => {
                // Two bytes a sample.
                self.asked(player, speaker, u64::from(request.length / 2));
            }
            Command::Underflow(underflow) if underflow.channel == speaker => {
                self.tell(News::Underrun);
            }
            Command::PlaybackStreamKilled(channel) if *channel == speaker => {
                self.tell(News::Killed(Side::Speaker));
            }
            Command::RecordStreamKilled(channel)
                if *channel == self.shared.mic.load(Ordering::Acquire) =>
            {
                self.tell(News::Killed(Side::Microphone));
            }
            Command::PlaybackStreamMoved(moved) => {
                self.tell(News::Moved(Side::Speaker, moved.device_index));
            }
            Command::RecordStreamMoved(moved) => {
                self.tell(News::Moved(Side::Microphone, moved.device_index));
            }
            Command::SubscribeEvent(_) => self.tell(News::Changed),
            _ => {}
        }
    }

    /// The speaker asks for so many samples.
    fn asked(&self, player: &Player, channel: u32, samples: u64) {
        let grown = self.shared.grown.load(Ordering::Acquire).min(samples);
        if grown > 0 {
            self.shared.grown.fetch_sub(grown, Ordering::AcqRel);
            player.silence(channel, grown);
        }
        let rest = samples - grown;
        if rest > 0 && !self.line.ask(rest) {
            player.silence(channel, rest);
        }
    }

    fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            tracing::debug!("more happens to the devices than can be followed");
        }
    }
}
