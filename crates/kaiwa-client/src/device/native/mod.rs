//! Devices through cpal: CoreAudio on macOS, WASAPI on Windows, and ALSA on Linux where no sound
//! server answers.
//!
//! cpal calls back from threads of the system's: the microphone's sound goes to the [`Line`] at
//! once, the speaker takes from a [`Queue`] that the card fills. One thread of ours, the
//! [`Follower`], holds the streams and keeps them on the devices that are meant. These systems
//! do not say when devices come: it looks every second while one is missing.

mod follow;
mod format;
mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait};

use self::follow::Follower;
use self::queue::Queue;
use super::backend::{Backend, spawn};
use super::line::Line;
use super::{Device, DeviceConfig, DeviceError, Devices, Side};
use crate::card::Frame;

/// News that may wait. What does not fit is found out by looking.
const NEWS: usize = 16;
/// How long the devices may take to open, permissions that are asked for included.
const OPENING: Duration = Duration::from_secs(30);

/// What concerns the follower.
#[derive(Debug)]
enum News {
    /// The stream of this number has ended by itself.
    Lost(Side, u32),
    /// The card is dropped.
    Stop,
}

pub(super) fn open(config: &DeviceConfig, line: &Arc<Line>) -> Result<Running, DeviceError> {
    let (news, told) = sync_channel(NEWS);
    let queue = Arc::new(Queue::default());
    let (begun, beginning) = sync_channel(1);
    let (config, line) = (config.clone(), Arc::clone(line));
    let stopped = Arc::new(AtomicBool::new(false));
    let (to_play, report, ends) = (Arc::clone(&queue), news.clone(), Arc::clone(&stopped));
    // Some systems want their streams used by the thread that has made them.
    spawn("kaiwa-devices", move || {
        match Follower::start(cpal::default_host(), &config, line, to_play, report) {
            Ok(follower) => {
                let is_awaited = begun.send(Ok(())).is_ok();
                if is_awaited {
                    follower.run(&told, &ends);
                }
            }
            // Whoever does not wait for it does not want it.
            Err(error) => drop(begun.send(Err(error))),
        }
    })?;
    match beginning.recv_timeout(OPENING) {
        Ok(outcome) => outcome.map(|()| Running {
            queue,
            news,
            stopped,
        }),
        Err(_) => Err(DeviceError::Broken("the devices do not open".to_owned())),
    }
}

pub(super) fn list() -> Result<Devices, DeviceError> {
    devices(&cpal::default_host())
}

/// The card's end.
pub(super) struct Running {
    queue: Arc<Queue>,
    news: SyncSender<News>,
    stopped: Arc<AtomicBool>,
}

impl Backend for Running {
    fn play(&self, frame: &Frame) {
        self.queue.push(frame);
    }

    fn play_silence(&self, samples: u64) {
        self.queue.push_silence(samples);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Only wakes it; with a full queue it is awake.
        if self.news.try_send(News::Stop).is_err() {
            tracing::trace!("the devices are being looked at");
        }
    }
}

/// The devices there are, by the system's names of them.
fn devices<H: HostTrait>(host: &H) -> Result<Devices, DeviceError> {
    let found = host
        .devices()
        .map_err(|error| DeviceError::Broken(error.to_string()))?;
    let usual = usual(host);
    let usual_names = [name(usual[0].as_ref()), name(usual[1].as_ref())];
    let mut devices = Devices::default();
    // ALSA's default has a name of its own, by which it does not list it.
    let [input, output] = usual;
    let listed = found.map(|device| {
        let sides = (device.supports_input(), device.supports_output());
        (device, sides)
    });
    let named = [(input, (true, false)), (output, (false, true))];
    let named = named
        .into_iter()
        .filter_map(|(device, sides)| Some((device?, sides)));
    for (number, (found, (hears, plays))) in (0..).zip(named.chain(listed)) {
        // One that has just gone says nothing.
        let Some(name) = name(Some(&found)) else {
            continue;
        };
        // ALSA's device that is none.
        if name == "alsa:null" {
            continue;
        }
        let is_new = |among: &[Device]| !among.iter().any(|device| device.name == name);
        let description = found.description().map_or_else(
            |_| name.clone(),
            |description| description.name().to_owned(),
        );
        let device = |usual: &Option<String>, rate_hz| Device {
            number,
            is_default: usual.as_ref() == Some(&name),
            name: name.clone(),
            description: description.clone(),
            is_monitor: false,
            is_muted: false,
            rate_hz,
        };
        if hears && is_new(&devices.microphones) {
            let rate_hz = rate_hz(|| found.default_input_config());
            devices.microphones.push(device(&usual_names[0], rate_hz));
        }
        if plays && is_new(&devices.speakers) {
            let rate_hz = rate_hz(|| found.default_output_config());
            devices.speakers.push(device(&usual_names[1], rate_hz));
        }
    }
    Ok(devices)
}

/// The default microphone and speaker.
fn usual<H: HostTrait>(host: &H) -> [Option<H::Device>; 2] {
    [host.default_input_device(), host.default_output_device()]
}

/// The system's name of a device.
fn name<D: DeviceTrait>(device: Option<&D>) -> Option<String> {
    Some(device?.id().ok()?.to_string())
}

/// The rate of a device. With ALSA nobody knows it before the device is opened, which takes it
/// away from others.
fn rate_hz(config: impl FnOnce() -> Result<cpal::SupportedStreamConfig, cpal::Error>) -> u32 {
    match cfg!(target_os = "linux") {
        true => 0,
        false => config().map_or(0, |config| config.sample_rate()),
    }
}
