//! Keeps the streams on the devices that are meant, whatever happens to the devices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Data, ErrorKind, StreamConfig, SupportedBufferSize, SupportedStreamConfig};
use kaiwa_audio::{Resampler, WIRE_RATE_HZ, pcm};

use super::queue::Queue;
use super::{News, devices, format, name, usual};
use crate::device::line::Line;
use crate::device::told::Told;
use crate::device::{Choice, DeviceConfig, DeviceError, Devices, Side};

/// How often devices are looked at while one is missing, and the default is asked for.
const LOOK: Duration = Duration::from_secs(1);
/// How long a device may give or take nothing before its system looks at it again; not all do.
const SILENT: Duration = Duration::from_secs(5);
/// What a system is to give and take at once, in ms: half a tick.
const PERIOD_MS: u32 = 10;
/// How often the speaker's latency is measured, a second.
const MEASURES: u64 = 5;

pub(super) struct Follower<H: HostTrait> {
    host: H,
    line: Arc<Line>,
    queue: Arc<Queue>,
    news: SyncSender<News>,
    microphone: Follow<H>,
    speaker: Follow<H>,
    /// The number of the next stream.
    next: u32,
}

/// One side's device and stream.
struct Follow<H: HostTrait> {
    told: Told,
    open: Option<Open<H>>,
}

struct Open<H: HostTrait> {
    /// The device's name.
    name: String,
    /// The stream's number.
    number: u32,
    /// It runs for as long as this is there.
    _stream: <H::Device as DeviceTrait>::Stream,
}

impl<H: HostTrait> Follower<H> {
    /// Opens the devices.
    pub(super) fn start(
        host: H,
        config: &DeviceConfig,
        line: Arc<Line>,
        queue: Arc<Queue>,
        news: SyncSender<News>,
    ) -> Result<Self, DeviceError> {
        let follow = |side, choice| Follow {
            told: Told::new(side, choice),
            open: None,
        };
        let mut follower = Self {
            host,
            line,
            queue,
            news,
            microphone: follow(Side::Microphone, &config.microphone),
            speaker: follow(Side::Speaker, &config.speaker),
            next: 0,
        };
        let devices = devices(&follower.host)?;
        let sides = [&mut follower.microphone.told, &mut follower.speaker.told];
        Told::begin(sides, &devices, &follower.line)?;
        let mut refusals = Vec::new();
        for side in [Side::Microphone, Side::Speaker] {
            if let Err(error) = follower.put(side, &devices) {
                let reason = error.to_string();
                let refused = DeviceError::Refused { side, reason };
                if matches!(follower.of(side).told.choice, Choice::Named(_)) {
                    return Err(refused);
                }
                tracing::warn!("{refused}");
                refusals.push(refused);
                let line = Arc::clone(&follower.line);
                follower.of(side).told.tell(&line, None, &devices);
            }
        }
        if follower.microphone.open.is_none()
            && follower.speaker.open.is_none()
            && let Some(refusal) = refusals.pop()
        {
            return Err(refusal);
        }
        Ok(follower)
    }

    /// Follows until the card is dropped.
    pub(super) fn run(mut self, told: &Receiver<News>, ends: &AtomicBool) {
        while !ends.load(Ordering::Acquire) {
            match told.recv_timeout(LOOK) {
                Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(News::Lost(side, number)) => {
                    // Not if that stream is gone already.
                    if self.of(side).open.as_ref().map(|open| open.number) == Some(number) {
                        self.lose(side);
                        self.look();
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.is_elsewhere() => self.look(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn of(&mut self, side: Side) -> &mut Follow<H> {
        match side {
            Side::Microphone => &mut self.microphone,
            Side::Speaker => &mut self.speaker,
        }
    }

    /// Whether a side is not on the device that is meant, as far as can be said without asking
    /// for all devices: a device is missing, or the default is another.
    fn is_elsewhere(&self) -> bool {
        let sides = [&self.microphone, &self.speaker];
        sides
            .into_iter()
            .zip(usual(&self.host))
            .any(|(follow, usual)| {
                let on = follow.open.as_ref().map(|open| open.name.as_str());
                match (&follow.told.choice, on) {
                    (Choice::None, _) => false,
                    (_, None) => true,
                    (Choice::Named(meant), Some(on)) => meant != on,
                    (Choice::Default, Some(on)) => {
                        name(usual.as_ref()).is_some_and(|usual| usual != on)
                    }
                }
            })
    }

    /// Looks at the devices and puts the streams where they belong.
    fn look(&mut self) {
        // What cannot be listed now is listed in a second.
        let devices = devices(&self.host).unwrap_or_default();
        for side in [Side::Microphone, Side::Speaker] {
            if let Err(error) = self.put(side, &devices) {
                tracing::debug!(%error, %side, "a device cannot be opened");
            }
            let line = Arc::clone(&self.line);
            let follow = self.of(side);
            let name = follow.open.as_ref().map(|open| open.name.as_str());
            let mut all = devices.of(side).iter();
            let device = all.find(|device| Some(device.name.as_str()) == name);
            follow.told.tell(&line, device, &devices);
        }
    }

    /// Puts a side's stream on the device that is meant.
    fn put(&mut self, side: Side, devices: &Devices) -> Result<(), cpal::Error> {
        let follow = self.of(side);
        let on = follow.open.as_ref().map(|open| open.name.clone());
        let meant = follow.told.meant(devices).map(|device| device.name.clone());
        if on == meant {
            return Ok(());
        }
        if on.is_some() {
            self.lose(side);
        }
        let Some(meant) = meant else { return Ok(()) };
        let named = usual(&self.host).into_iter().flatten();
        let mut all = named.chain(self.host.devices()?);
        let found = all.find(|device| name(Some(device)).as_ref() == Some(&meant));
        let device = found.ok_or(ErrorKind::DeviceNotAvailable)?;
        self.next = self.next.wrapping_add(1);
        let number = self.next;
        let opened = match side {
            Side::Microphone => self.record(&device, number),
            Side::Speaker => self.play(&device, number),
        };
        let started = opened.and_then(|stream| {
            if side == Side::Speaker {
                // From here on what is asked for is owed.
                self.line.reset_speaker(true);
            }
            stream.play().map(|()| stream)
        });
        match started {
            Ok(stream) => {
                self.of(side).open = Some(Open {
                    name: meant,
                    number,
                    _stream: stream,
                });
                Ok(())
            }
            Err(error) => {
                self.lose(side);
                Err(error)
            }
        }
    }

    /// A stream is gone, or has to go.
    fn lose(&mut self, side: Side) {
        self.of(side).open = None;
        match side {
            Side::Microphone => self.line.reset_mic(),
            Side::Speaker => {
                self.line.reset_speaker(false);
                self.queue.begin(0);
            }
        }
    }

    fn record(&self, device: &H::Device, number: u32) -> Result<StreamOf<H>, cpal::Error> {
        let config = device.default_input_config()?;
        self.line.reset_mic();
        built(&config, |config, format| {
            let line = Arc::clone(&self.line);
            let channels = usize::from(config.channels).max(1);
            let mut resampler = Resampler::new(config.sample_rate, WIRE_RATE_HZ);
            // Nothing grows in the callback that a period of this length does not.
            let room = config.sample_rate as usize / 5;
            let mut mono = Vec::with_capacity(room);
            let mut heard = Vec::with_capacity(room);
            let mut bytes = Vec::with_capacity(2 * room);
            let hear = move |data: &Data, _: &cpal::InputCallbackInfo| {
                mono.clear();
                heard.clear();
                bytes.clear();
                format::mix(data, channels, &mut mono);
                resampler.process(&mono, &mut heard);
                pcm::encode(&heard, &mut bytes);
                line.hear(&bytes);
            };
            let lost = self.lost(Side::Microphone, number);
            device.build_input_stream_raw(config, format, hear, lost, Some(SILENT))
        })
    }

    fn play(&self, device: &H::Device, number: u32) -> Result<StreamOf<H>, cpal::Error> {
        let config = device.default_output_config()?;
        built(&config, |config, format| {
            let (line, queue) = (Arc::clone(&self.line), Arc::clone(&self.queue));
            queue.begin(config.sample_rate);
            let channels = usize::from(config.channels).max(1);
            let rate = u64::from(config.sample_rate);
            let mut mono = Vec::with_capacity(config.sample_rate as usize / 5);
            let mut since = rate;
            let speak = move |data: &mut Data, info: &cpal::OutputCallbackInfo| {
                let frames = data.len() / channels;
                let asked = queue.asked(frames);
                mono.clear();
                // Before the first tick the card gives nothing, and what waits goes on waiting.
                match asked > 0 && !line.ask(asked) {
                    true => mono.resize(frames, 0.0),
                    false => queue.take(frames, &mut mono),
                }
                format::spread(&mono, channels, data);
                since += frames as u64;
                if since * MEASURES >= rate {
                    since = 0;
                    let at = info.timestamp();
                    let ahead = at.playback.saturating_duration_since(at.callback);
                    let device = ahead.as_micros() as u64 * u64::from(WIRE_RATE_HZ) / 1_000_000;
                    line.measure(queue.len() + asked + device);
                }
            };
            let lost = self.lost(Side::Speaker, number);
            device.build_output_stream_raw(config, format, speak, lost, Some(SILENT))
        })
    }

    /// What is done about an error of a stream.
    fn lost(&self, side: Side, number: u32) -> impl FnMut(cpal::Error) + Send + 'static {
        let news = self.news.clone();
        let mut is_told = false;
        move |error| match error.kind() {
            // The stream goes on.
            ErrorKind::Xrun | ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged => {
                tracing::debug!(%error, %side, "news of a device");
            }
            _ if is_told => {}
            _ => {
                tracing::debug!(%error, %side, "a device is lost");
                is_told = news.try_send(News::Lost(side, number)).is_ok();
            }
        }
    }
}

type StreamOf<H> = <<H as HostTrait>::Device as DeviceTrait>::Stream;

/// Builds a stream with short periods, or, where the device has none, with its own.
fn built<S>(
    supported: &SupportedStreamConfig,
    build: impl Fn(StreamConfig, cpal::SampleFormat) -> Result<S, cpal::Error>,
) -> Result<S, cpal::Error> {
    let format = supported.sample_format();
    let own = StreamConfig {
        buffer_size: BufferSize::Default,
        ..supported.config()
    };
    let wanted = supported.sample_rate() * PERIOD_MS / 1000;
    let short = match *supported.buffer_size() {
        SupportedBufferSize::Range { min, max } => wanted.clamp(min, max.max(min)),
        SupportedBufferSize::Unknown => wanted,
    };
    let config = StreamConfig {
        buffer_size: BufferSize::Fixed(short),
        ..own
    };
    build(config, format).or_else(|error| {
        tracing::debug!(%error, "a device takes no short periods");
        build(own, format)
    })
}
