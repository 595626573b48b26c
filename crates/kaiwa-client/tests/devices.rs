//! A device card on a sound server of its own, whose devices come and go.

#![cfg(all(feature = "devices", target_os = "linux"))]

mod sound;
#[path = "sound/tone.rs"]
mod tone;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use kaiwa_client::card::TICK;
use kaiwa_client::device::devices;
use kaiwa_client::{Choice, DeviceCard, DeviceChange, DeviceConfig, MicState, Side, SoundCard};

use self::sound::Daemon;
use self::tone::{PATIENCE, run, tone, tone_frames, whole_second};

fn config(daemon: &Daemon, microphone: &str, speaker: &str) -> DeviceConfig {
    let mut config = DeviceConfig::default();
    config.microphone = choice(microphone);
    config.speaker = choice(speaker);
    config.server = Some(daemon.socket());
    config
}

fn choice(name: &str) -> Choice {
    name.parse().expect("a choice")
}

/// Plays a tone on a device, for as long as it lives.
struct Source(Child);

impl Source {
    fn tone(daemon: &Daemon, speaker: &str) -> Self {
        let mut command = daemon.pipe("pacat", speaker);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("pacat");
        let mut pipe = child.stdin.take().expect("its input");
        thread::spawn(move || {
            let second: Vec<u8> = (0..24_000)
                .flat_map(|n| ((tone(n) * 32_768.0) as i16).to_le_bytes())
                .collect();
            while pipe.write_all(&second).is_ok() {}
        });
        Self(child)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Records a device, for as long as it lives.
struct Recorder {
    child: Child,
    samples: Receiver<Vec<i16>>,
}

impl Recorder {
    /// Returns once there is sound, be it silence.
    fn of(daemon: &Daemon, source: &str) -> Self {
        let mut command = daemon.pipe("parec", source);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("parec");
        let mut pipe = child.stdout.take().expect("its output");
        let (send, samples) = sync_channel(10_000);
        thread::spawn(move || {
            let mut bytes = [0; 960];
            while pipe.read_exact(&mut bytes).is_ok() {
                let block = bytes
                    .chunks_exact(2)
                    .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
                    .collect();
                if send.send(block).is_err() {
                    return;
                }
            }
        });
        samples.recv_timeout(PATIENCE).expect("the recorder starts");
        Self { child, samples }
    }

    /// Waits for so many samples more.
    fn hear(&self, samples: usize) {
        let mut heard = 0;
        self.heard();
        while heard < samples {
            let block = self.samples.recv_timeout(PATIENCE);
            heard += block.expect("the recorder goes on").len();
        }
    }

    /// What was recorded since the last call.
    fn heard(&self) -> Vec<i16> {
        self.samples.try_iter().flatten().collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_microphone_is_heard_whole() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("room");
    daemon.microphone("desk", "room");
    let mut card = DeviceCard::open(&config(&daemon, "desk", "none")).expect("a card");
    assert_eq!(card.mic(), MicState::Open);
    let _source = Source::tone(&daemon, "room");
    let mut whole = whole_second();
    run(&mut card, || None, |frame, _| whole(frame)).await;
    assert!(card.input_waiting() < 60 * 24, "{}", card.input_waiting());
}

#[tokio::test]
async fn the_speaker_plays_in_order_and_without_gaps() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    let recorder = Recorder::of(&daemon, "front.monitor");
    let mut card = DeviceCard::open(&config(&daemon, "none", "front")).expect("a card");
    assert_eq!(card.mic(), MicState::Off);
    // Every sample is one more than the one before; it never is zero.
    let mut n = 0_u32;
    let count = move || {
        let frame =
            std::array::from_fn(|index| ((n + index as u32) % 30_000 + 1) as f32 / 32_768.0);
        n += TICK as u32;
        Some(frame)
    };
    let (mut last, mut run_length, mut backwards) = (0_i16, 0_usize, 0_usize);
    run(&mut card, count, |_, notice| {
        assert_eq!(notice, None);
        for sample in recorder.heard() {
            let follows = sample == last % 30_000 + 1;
            // After a gap it goes on with what came later.
            if !follows && sample != 0 && last != 0 && sample <= last {
                backwards += 1;
            }
            run_length = if follows { run_length + 1 } else { 0 };
            last = sample;
        }
        // Longer than the count, so that the wrap is seen.
        run_length > 48_000
    })
    .await;
    assert_eq!(backwards, 0);
    let latency = card.output_latency();
    assert!((1..=220 * 24).contains(&latency), "{latency}");
}

#[tokio::test]
async fn a_speaker_that_runs_out_is_given_more_ahead() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    let mut card = DeviceCard::open(&config(&daemon, "none", "front")).expect("a card");
    let recorder = Recorder::of(&daemon, "front.monitor");
    let mut latest = 0;
    let mut ticks = 0;
    loop {
        let late = async {
            run(&mut card, || None, |_, _| true).await;
            ticks += 1;
            if ticks % 50 == 0 {
                // A conversation that is late, by more than the speaker has.
                recorder.hear(150 * 24);
            }
        };
        late.await;
        latest = latest.max(card.output_latency());
        assert!(ticks < 1_500, "at {} ms after 30 s", latest / 24);
        // What was given in one tick at most is no growth.
        if ticks % 50 == 49 && card.output_latency() > (40 + 20 + 10) * 24 {
            return;
        }
    }
}

#[tokio::test]
async fn both_devices_share_the_speakers_clock() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    daemon.microphone("desk", "front");
    let mut card = DeviceCard::open(&config(&daemon, "desk", "front")).expect("a card");
    assert_eq!(card.position(), 0);
    let mut whole = whole_second();
    let mut ticks = 0;
    run(&mut card, tone_frames(), |frame, _| {
        ticks += 1;
        whole(frame)
    })
    .await;
    let position = card.position();
    assert!(position >= ticks * TICK as u64, "{position} after {ticks}");
}

#[tokio::test]
async fn the_default_is_followed() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    daemon.speaker("back");
    daemon.microphone("desk", "front");
    daemon.microphone("headset", "back");
    daemon.control(&["set-default-sink", "front"]);
    daemon.control(&["set-default-source", "desk"]);
    let mut card = DeviceCard::open(&config(&daemon, "default", "default")).expect("a card");
    let listed = devices(&config(&daemon, "none", "none")).expect("a list");
    let default = |side| {
        let mut devices = listed.of(side).iter();
        devices
            .find(|device| device.is_default)
            .map(|device| device.name.clone())
    };
    assert_eq!(default(Side::Speaker).as_deref(), Some("front"));
    assert_eq!(default(Side::Microphone).as_deref(), Some("desk"));
    let mut whole = whole_second();
    run(&mut card, tone_frames(), |frame, _| whole(frame)).await;

    daemon.control(&["set-default-sink", "back"]);
    daemon.control(&["set-default-source", "headset"]);
    let mut told = Vec::new();
    let mut whole = whole_second();
    // The headset hears the other speaker only.
    run(&mut card, tone_frames(), |frame, notice| {
        told.extend(notice);
        let heard = whole(frame);
        heard && told.len() == 2
    })
    .await;
    told.sort_by_key(|notice| notice.side.to_string());
    assert_eq!(
        told.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "The microphone has changed; listening on headset.",
            "The speaker has changed; speaking through back.",
        ]
    );
}

#[tokio::test]
async fn devices_may_go_and_come_back() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    let speaker = daemon.speaker("front");
    let microphone = daemon.microphone("desk", "front");
    let mut card = DeviceCard::open(&config(&daemon, "desk", "front")).expect("a card");
    let mut whole = whole_second();
    run(&mut card, tone_frames(), |frame, _| whole(frame)).await;

    // The last devices there are: silence, and the clock goes on.
    daemon.unplug(&microphone);
    daemon.unplug(&speaker);
    let mut gone = Vec::new();
    let mut silent = 0;
    run(&mut card, tone_frames(), |frame, notice| {
        gone.extend(notice);
        silent = match frame.iter().all(|&sample| sample == 0.0) {
            true => silent + 1,
            false => 0,
        };
        silent >= 50 && gone.len() == 2
    })
    .await;
    assert!(
        gone.iter()
            .all(|notice| notice.change == DeviceChange::Gone)
    );
    assert!(gone.iter().all(|notice| notice.device.is_none()));
    assert_eq!(card.output_latency(), 0);

    daemon.speaker("front");
    daemon.microphone("desk", "front");
    let mut back = Vec::new();
    let mut whole = whole_second();
    run(&mut card, tone_frames(), |frame, notice| {
        back.extend(notice);
        whole(frame) && back.len() == 2
    })
    .await;
    assert!(
        back.iter()
            .all(|notice| notice.change == DeviceChange::Back)
    );
}

#[tokio::test]
async fn another_device_stands_in_while_a_named_one_is_gone() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    daemon.microphone("desk", "front");
    let headset = daemon.microphone("headset", "front");
    daemon.control(&["set-default-source", "desk"]);
    let mut card = DeviceCard::open(&config(&daemon, "headset", "front")).expect("a card");
    let mut told = Vec::new();
    daemon.unplug(&headset);
    let mut whole = whole_second();
    run(&mut card, tone_frames(), |frame, notice| {
        told.extend(notice.map(|notice| notice.to_string()));
        whole(frame) && !told.is_empty()
    })
    .await;
    assert_eq!(told, ["The microphone is gone; listening on desk."]);

    daemon.microphone("headset", "front");
    told.clear();
    let mut whole = whole_second();
    run(&mut card, tone_frames(), |frame, notice| {
        told.extend(notice.map(|notice| notice.to_string()));
        whole(frame) && !told.is_empty()
    })
    .await;
    assert_eq!(told, ["The microphone is back; listening on headset."]);
}

#[tokio::test]
async fn a_sound_server_that_dies_leaves_the_clock_running_and_is_found_again() {
    let Some(mut daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    daemon.microphone("desk", "front");
    let mut card = DeviceCard::open(&config(&daemon, "default", "default")).expect("a card");
    let mut whole = whole_second();
    run(&mut card, tone_frames(), |frame, _| whole(frame)).await;

    daemon.kill();
    let (mut gone, mut ticks) = (0, 0);
    run(&mut card, tone_frames(), |_, notice| {
        gone += usize::from(notice.is_some_and(|notice| notice.change == DeviceChange::Gone));
        ticks += 1;
        gone == 2 && ticks > 50
    })
    .await;

    daemon.restart();
    daemon.speaker("front");
    daemon.microphone("desk", "front");
    let mut back = Vec::new();
    let mut whole = whole_second();
    run(&mut card, tone_frames(), |frame, notice| {
        back.extend(notice.map(|notice| notice.to_string()));
        whole(frame) && back.len() == 2
    })
    .await;
    back.sort();
    assert_eq!(
        back,
        [
            "The microphone is back; listening on desk.",
            "The speaker is back; speaking through front.",
        ]
    );
}

#[test]
fn what_is_missing_is_said_in_a_sentence() {
    let mut nowhere = DeviceConfig::default();
    nowhere.server = Some(Path::new("/nonexistent/native").to_owned());
    let error = DeviceCard::open(&nowhere)
        .expect_err("no server")
        .to_string();
    assert!(
        error.starts_with("no sound server answers (/nonexistent/native: "),
        "{error}"
    );
    assert!(error.contains("start PulseAudio or PipeWire"), "{error}");
    assert_eq!(devices(&nowhere).expect_err("no server").to_string(), error);

    let Some(daemon) = Daemon::start() else {
        return;
    };
    let error = DeviceCard::open(&config(&daemon, "default", "default"));
    let error = error.expect_err("no devices").to_string();
    assert!(
        error.starts_with("there is no microphone and no speaker"),
        "{error}"
    );
    daemon.speaker("front");
    let error = DeviceCard::open(&config(&daemon, "none", "rear"));
    let error = error.expect_err("no such speaker").to_string();
    assert_eq!(
        error,
        "there is no speaker \"rear\"; `kaiwa devices` lists what there is"
    );
    let mut card = DeviceCard::open(&config(&daemon, "default", "default")).expect("a card");
    let notice = card
        .notice()
        .expect("no microphone but the speaker's monitor");
    assert_eq!((notice.side, notice.device), (Side::Microphone, None));
}
