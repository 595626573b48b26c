//! Devices through cpal: CoreAudio on macOS, WASAPI on Windows, and ALSA on Linux (feature
//! `alsa`), where no sound server answers.
//!
//! cpal calls back from threads of the system's: the microphone's sound goes to the [`Line`] at
//! once, the speaker takes from a [`Queue`] that the card fills. One thread of ours, the
//! [`Follower`], holds the streams and keeps them on the devices that are meant. These systems
//! do not say when devices come: it looks every second while one is missing.

mod follow;
mod format;
mod queue;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

#[cfg(target_os = "linux")]
use cpal_alsa as cpal;

use cpal::traits::{DeviceTrait, HostTrait};

use self::follow::Follower;
use self::queue::Queue;
use super::backend::{Backend, spawn};
use super::line::Line;
use super::{Device, DeviceConfig, DeviceError, Devices, Side};
use crate::card::Frame;

/// News that may wait. What does not fit is found out by looking.
const NEWS: usize = 16;

/// What concerns the follower.
#[derive(Debug)]
enum News {
    /// A stream has ended by itself.
    Lost(Side),
    /// The card is dropped.
    Stop,
}

pub(super) fn open(config: &DeviceConfig, line: &Arc<Line>) -> Result<Running, DeviceError> {
    let (news, told) = sync_channel(NEWS);
    let queue = Arc::new(Queue::default());
    let (begun, beginning) = sync_channel(1);
    let (config, line) = (config.clone(), Arc::clone(line));
    let (to_play, report) = (Arc::clone(&queue), news.clone());
    // Some systems want their streams used by the thread that has made them.
    spawn("kaiwa-devices", move || {
        match Follower::start(cpal::default_host(), &config, line, to_play, report) {
            Ok(follower) => {
                let is_awaited = begun.send(Ok(())).is_ok();
                if is_awaited {
                    follower.run(&told);
                }
            }
            // Whoever does not wait for it does not want it.
            Err(error) => drop(begun.send(Err(error))),
        }
    })?;
    match beginning.recv() {
        Ok(outcome) => outcome.map(|()| Running { queue, news }),
        Err(_) => Err(DeviceError::Broken("its thread ended".to_owned())),
    }
}

pub(super) fn list(_: &DeviceConfig) -> Result<Devices, DeviceError> {
    devices(&cpal::default_host())
}

/// The card's end.
pub(super) struct Running {
    queue: Arc<Queue>,
    news: SyncSender<News>,
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
        // With a full queue of news it looks soon, and finds nobody at the other end.
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
    let default = |device: Option<H::Device>| Some(device?.id().ok()?.to_string());
    let usual = [
        default(host.default_input_device()),
        default(host.default_output_device()),
    ];
    let mut devices = Devices::default();
    for (number, found) in (0..).zip(found) {
        // One that has just gone says nothing.
        let Ok(id) = found.id() else { continue };
        let name = id.to_string();
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
        if found.supports_input() {
            let rate_hz = rate_hz(|| found.default_input_config());
            devices.microphones.push(device(&usual[0], rate_hz));
        }
        if found.supports_output() {
            let rate_hz = rate_hz(|| found.default_output_config());
            devices.speakers.push(device(&usual[1], rate_hz));
        }
    }
    Ok(devices)
}

/// The rate of a device. With ALSA nobody knows it before the device is opened, which takes it
/// away from others.
fn rate_hz(config: impl FnOnce() -> Result<cpal::SupportedStreamConfig, cpal::Error>) -> u32 {
    match cfg!(target_os = "linux") {
        true => 0,
        false => config().map_or(0, |config| config.sample_rate()),
    }
}
