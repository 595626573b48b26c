//! Keeps the streams on the devices that are meant, whatever happens to the devices.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use pulseaudio::protocol::{Command, SubscriptionMask};

use super::stream::{self, NO_CHANNEL, Stream};
use super::wire::{Connection, Trouble};
use super::{Hearing, News};
use crate::device::told::Told;
use crate::device::{Choice, Device, DeviceConfig, DeviceError, Devices, Side};

/// How often the speaker's latency is measured.
const MEASURE: Duration = Duration::from_millis(200);
/// News come in bursts: a device that goes takes the default with it. So long without any more
/// and the devices are looked at.
const SETTLE: Duration = Duration::from_millis(20);
/// The longest burst that is waited for, in news.
const BURST: usize = 20;
/// How often a sound server that is gone is looked for.
const RETRY: Duration = Duration::from_secs(1);

/// The latency asked for at first, in ms from here to the ear: a tick, and as much for the
/// server and the device.
const LATENCY_MS: u32 = 40;
/// The most that is asked for after underruns; beyond this, conversation suffers more than sound.
const MOST_LATENCY_MS: u32 = 200;
/// What an underrun adds, in ms.
const MORE_MS: u32 = 10;
/// What a time without underruns takes away, in ms.
const LESS_MS: u32 = 5;
/// That time.
const CALM: Duration = Duration::from_secs(30);
/// After a change, underruns are its own for so long.
const NEW: Duration = Duration::from_millis(500);

pub(super) struct Follower {
    server: Option<PathBuf>,
    hearing: Hearing,
    news: Receiver<News>,
    /// `None` while the server is gone.
    connection: Option<Connection>,
    microphone: Follow,
    speaker: Follow,
    latency_ms: u32,
    /// When the latency last changed, or an underrun came.
    calm_since: Instant,
    measured: Instant,
}

/// One side's device and stream.
#[derive(Debug)]
struct Follow {
    told: Told,
    stream: Option<Stream>,
}

impl Follower {
    /// Connects and opens the devices.
    pub(super) fn start(
        config: &DeviceConfig,
        hearing: Hearing,
        news: Receiver<News>,
    ) -> Result<Self, DeviceError> {
        let follow = |side, choice| Follow {
            told: Told::new(side, choice),
            stream: None,
        };
        let now = Instant::now();
        let mut follower = Self {
            server: config.server.clone(),
            hearing,
            news,
            connection: None,
            microphone: follow(Side::Microphone, &config.microphone),
            speaker: follow(Side::Speaker, &config.speaker),
            latency_ms: LATENCY_MS,
            calm_since: now,
            measured: now,
        };
        let mut connection = follower.connect()?;
        let devices = stream::devices(&mut connection)?;
        let sides = [&mut follower.microphone.told, &mut follower.speaker.told];
        Told::begin(sides, &devices, &follower.hearing.line)?;
        follower.connection = Some(connection);
        follower.look()?;
        Ok(follower)
    }

    /// Follows until the card is dropped.
    pub(super) fn run(mut self) {
        while !self.hearing.shared.stopped.load(Ordering::Acquire) {
            let patience = match self.connection {
                Some(_) => MEASURE.saturating_sub(self.measured.elapsed()),
                None => RETRY,
            };
            let outcome = match self.news.recv_timeout(patience) {
                Ok(news) => self.heed(news),
                Err(RecvTimeoutError::Timeout) if self.connection.is_none() => self.reconnect(),
                Err(RecvTimeoutError::Timeout) => self.measure(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(trouble) = outcome {
                tracing::debug!(?trouble, "the sound server is gone");
                self.disconnect();
            }
        }
    }

    fn connect(&self) -> Result<Connection, DeviceError> {
        let hearing = self.hearing.clone();
        let mut connection = Connection::open(self.server.as_deref(), move |player, said| {
            hearing.hear(player, said);
        })?;
        let changes = SubscriptionMask::SINK | SubscriptionMask::SOURCE | SubscriptionMask::SERVER;
        connection.tell(&Command::Subscribe(changes))?;
        self.hearing.shared.set_player(Some(connection.player()));
        Ok(connection)
    }

    fn reconnect(&mut self) -> Result<(), Trouble> {
        match self.connect() {
            Ok(connection) => {
                self.connection = Some(connection);
                self.look()
            }
            Err(error) => {
                tracing::debug!(%error, "the sound server is still gone");
                Ok(())
            }
        }
    }

    fn disconnect(&mut self) {
        self.connection = None;
        self.hearing.shared.set_player(None);
        for follow in [&mut self.microphone, &mut self.speaker] {
            follow.lose(&self.hearing);
            follow
                .told
                .tell(&self.hearing.line, None, &Devices::default());
        }
    }

    /// Heeds one piece of news and all that follows it at once.
    fn heed(&mut self, news: News) -> Result<(), Trouble> {
        if !self.note(news)? {
            return Ok(());
        }
        for _ in 0..BURST {
            let Ok(news) = self.news.recv_timeout(SETTLE) else {
                break;
            };
            self.note(news)?;
        }
        self.look()
    }

    /// Notes one piece of news, and says whether the devices are to be looked at.
    fn note(&mut self, news: News) -> Result<bool, Trouble> {
        match news {
            News::Changed => {}
            News::Killed(side) => {
                let hearing = self.hearing.clone();
                self.of(side).lose(&hearing);
            }
            News::Lost => return Err(Trouble::Lost("the connection broke".to_owned())),
            News::Moved(side, device) => {
                if let Some(stream) = &mut self.of(side).stream {
                    stream.device = device;
                }
                if side == Side::Microphone {
                    self.hearing.line.reset_mic();
                }
            }
            News::Underrun => {
                self.underrun()?;
                return Ok(false);
            }
        }
        Ok(self.connection.is_some())
    }

    fn of(&mut self, side: Side) -> &mut Follow {
        match side {
            Side::Microphone => &mut self.microphone,
            Side::Speaker => &mut self.speaker,
        }
    }

    /// Looks at the devices and puts the streams where they belong.
    fn look(&mut self) -> Result<(), Trouble> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let devices = stream::devices(connection)?;
        for follow in [&mut self.microphone, &mut self.speaker] {
            let opened = follow.look(connection, &self.hearing, &devices, self.latency_ms)?;
            if opened && follow.told.side == Side::Speaker {
                self.calm_since = Instant::now();
            }
        }
        self.measure()
    }

    /// The speaker ran out of sound: it gets more of it ahead.
    fn underrun(&mut self) -> Result<(), Trouble> {
        if self.calm_since.elapsed() < NEW || self.latency_ms >= MOST_LATENCY_MS {
            return Ok(());
        }
        self.set_latency(self.latency_ms + MORE_MS)
    }

    fn set_latency(&mut self, latency_ms: u32) -> Result<(), Trouble> {
        self.calm_since = Instant::now();
        self.latency_ms = latency_ms;
        tracing::debug!(latency_ms, "the speaker's latency changes");
        if let (Some(connection), Some(stream)) = (&mut self.connection, &mut self.speaker.stream) {
            let grown = match stream.set_latency(connection, latency_ms) {
                // The stream has just gone; news of it is on the way.
                Err(Trouble::Refused(_)) => 0,
                grown => grown?,
            };
            self.hearing.shared.grown.fetch_add(grown, Ordering::AcqRel);
        }
        Ok(())
    }

    fn measure(&mut self) -> Result<(), Trouble> {
        self.measured = Instant::now();
        if self.latency_ms > LATENCY_MS && self.calm_since.elapsed() >= CALM {
            self.set_latency(self.latency_ms - LESS_MS)?;
        }
        if let (Some(connection), Some(stream)) = (&mut self.connection, &self.speaker.stream) {
            match stream.latency(connection) {
                Ok(queued) => self.hearing.line.measure(queued),
                Err(Trouble::Refused(_)) => {}
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }
}

impl Follow {
    /// Puts the stream where it belongs, and says whether it was opened or moved.
    fn look(
        &mut self,
        connection: &mut Connection,
        hearing: &Hearing,
        devices: &Devices,
        latency_ms: u32,
    ) -> Result<bool, Trouble> {
        let meant = self.told.meant(devices);
        let mut opened = false;
        match (self.stream.take(), meant) {
            (None, None) => {}
            (Some(stream), None) => {
                self.lose(hearing);
                stream.delete(connection, self.told.side)?;
            }
            (None, Some(device)) => {
                self.open(connection, hearing, device, latency_ms)?;
                opened = true;
            }
            (Some(mut stream), Some(device)) => {
                let is_on = self.usable(devices, stream.device);
                // Somebody who moves the stream by hand means it.
                let stays = stream.meant == device.number && is_on;
                stream.meant = device.number;
                if stays || stream.device == device.number {
                    self.stream = Some(stream);
                } else {
                    opened = true;
                    match stream.move_to(connection, self.told.side, device.number) {
                        Ok(()) => self.stream = Some(stream),
                        Err(Trouble::Refused(error)) => {
                            tracing::debug!(%error, "a stream cannot be moved");
                            self.lose(hearing);
                            stream.delete(connection, self.told.side)?;
                            self.open(connection, hearing, device, latency_ms)?;
                        }
                        Err(lost) => return Err(lost),
                    }
                }
            }
        }
        let device = self.stream.as_ref().map(|stream| stream.device);
        let device = devices
            .of(self.told.side)
            .iter()
            .find(|found| Some(found.number) == device);
        self.told.tell(&hearing.line, device, devices);
        Ok(opened)
    }

    /// Whether a stream may stay on a device. The server may move a microphone's stream to a
    /// speaker's monitor, where the assistant would hear itself.
    fn usable(&self, devices: &Devices, number: u32) -> bool {
        let device = devices
            .of(self.told.side)
            .iter()
            .find(|device| device.number == number);
        device.is_some_and(|device| {
            !device.is_monitor || self.told.choice == Choice::Named(device.name.clone())
        })
    }

    fn open(
        &mut self,
        connection: &mut Connection,
        hearing: &Hearing,
        device: &Device,
        latency_ms: u32,
    ) -> Result<(), Trouble> {
        let shared = &hearing.shared;
        let opened = match self.told.side {
            Side::Microphone => Stream::record(connection, device.number).map(|stream| (stream, 0)),
            Side::Speaker => Stream::play(connection, device.number, latency_ms),
        };
        let (stream, silence) = match opened {
            Ok(opened) => opened,
            // The device went as soon as it had come; more news is on the way.
            Err(Trouble::Refused(error)) => {
                tracing::debug!(%error, "a device cannot be opened");
                return Ok(());
            }
            Err(lost) => return Err(lost),
        };
        match self.told.side {
            Side::Microphone => {
                hearing.line.reset_mic();
                shared.mic.store(stream.channel, Ordering::Release);
            }
            Side::Speaker => {
                shared.grown.store(0, Ordering::Release);
                connection.player().silence(stream.channel, silence);
                shared.speaker.store(stream.channel, Ordering::Release);
                hearing.line.reset_speaker(true);
                match stream.run(connection) {
                    Ok(()) | Err(Trouble::Refused(_)) => {}
                    Err(lost) => return Err(lost),
                }
            }
        }
        self.stream = Some(stream);
        Ok(())
    }

    /// The stream is gone.
    fn lose(&mut self, hearing: &Hearing) {
        self.stream = None;
        match self.told.side {
            Side::Microphone => {
                hearing.shared.mic.store(NO_CHANNEL, Ordering::Release);
                hearing.line.reset_mic();
            }
            Side::Speaker => {
                hearing.shared.speaker.store(NO_CHANNEL, Ordering::Release);
                hearing.line.reset_speaker(false);
            }
        }
    }
}
