//! `kaiwa devices` and `kaiwa doctor` on a sound server of their own.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "in tests a failed unwrap is the message"
)]

mod common;
#[path = "../../kaiwa-client/tests/sound/mod.rs"]
#[allow(dead_code, reason = "made for the tests of the card")]
mod sound;

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    thread,
};

use common::{Bench, Ended, run};
use serde_json::Value;
use sound::Daemon;

/// A command that knows this sound server and no other.
fn kaiwa(bench: &Bench, daemon: &Daemon) -> Command {
    let mut command = bench.kaiwa();
    command.env(
        "PULSE_SERVER",
        format!("unix:{}", daemon.socket().display()),
    );
    command
}

/// Soft noise on a speaker, for as long as it lives.
struct Room(Child);

impl Room {
    fn of(daemon: &Daemon, speaker: &str) -> Self {
        let mut command = daemon.pipe("pacat", speaker);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        thread::spawn(move || {
            let mut seed = 1_u32;
            let second: Vec<u8> = (0..24_000)
                .flat_map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // -56 dBFS.
                    ((seed >> 24) as i16 - 128).to_le_bytes()
                })
                .collect();
            while pipe.write_all(&second).is_ok() {}
        });
        let room = Self(child);
        // It begins to play when it has found the server.
        let mut recorder = daemon.pipe("parec", &format!("{speaker}.monitor"));
        let mut recorder = Self(recorder.stdout(Stdio::piped()).spawn().unwrap());
        let mut heard = recorder.0.stdout.take().unwrap();
        let mut sound = [0; 960];
        while sound == [0; 960] {
            heard.read_exact(&mut sound).unwrap();
        }
        room
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The finding about something.
#[track_caller]
fn about<'a>(findings: &'a [Value], about: &str) -> &'a Value {
    let mut findings = findings.iter();
    let found = findings.find(|finding| finding["about"] == about);
    found.unwrap_or_else(|| panic!("nothing about {about}"))
}

#[test]
fn devices_are_listed_for_people_and_programs() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    daemon.microphone("desk", "front");
    daemon.control(&["set-default-source", "desk"]);
    let bench = Bench::new();
    let listed = run(kaiwa(&bench, &daemon).arg("devices"))
        .with_code(0)
        .stdout;
    assert!(listed.contains("Microphones (--mic)"), "{listed}");
    assert!(listed.contains("desk  (default)\n"), "{listed}");
    assert!(listed.contains("(hears what a speaker plays)"), "{listed}");

    let ended = run(kaiwa(&bench, &daemon).args(["devices", "--json"])).with_code(0);
    let listed = ended.events().remove(0);
    let desk = listed["microphones"]
        .as_array()
        .unwrap()
        .iter()
        .find(|device| device["name"] == "desk")
        .unwrap();
    assert_eq!(
        (&desk["default"], &desk["monitor"], &desk["muted"]),
        (&true.into(), &false.into(), &false.into())
    );
    assert_eq!(listed["speakers"][0]["name"], "front");
    assert_eq!(listed["speakers"][0]["rate_hz"], 24_000);
}

#[test]
fn a_named_device_that_is_not_there_ends_it() {
    let bench = Bench::new();
    let mut nowhere = bench.kaiwa();
    nowhere
        .env("PULSE_SERVER", "/nonexistent/native")
        .arg("devices");
    let ended = run(&mut nowhere).with_code(9);
    assert!(ended.stderr.contains("no sound server"), "{}", ended.stderr);

    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    let mut talk = kaiwa(&bench, &daemon);
    talk.args([
        "talk",
        "--engine",
        "scripted",
        "--text",
        "hi",
        "--speaker",
        "rear",
    ]);
    let ended = run(&mut talk).with_code(9);
    assert!(
        ended.stderr.contains("there is no speaker \"rear\""),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_doctor_hears_the_room_and_the_speaker_in_it() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    daemon.microphone("desk", "front");
    let _room = Room::of(&daemon, "front");
    let bench = Bench::new();
    let mut doctor = kaiwa(&bench, &daemon);
    doctor.args(["doctor", "--only", "devices", "--json"]);
    let ended = run(&mut doctor).with_code(0);
    let findings = ended.events();
    assert!(findings.iter().all(|finding| finding["check"] == "devices"));
    assert_eq!(about(&findings, "microphone")["verdict"], "ok");
    assert_eq!(about(&findings, "speaker")["verdict"], "ok");
    let echo = about(&findings, "echo")["message"].as_str().unwrap();
    assert!(
        echo.starts_with("the microphone hears the speaker after "),
        "{echo}"
    );
    let clocks = about(&findings, "clocks")["message"].as_str().unwrap();
    assert!(clocks.contains(" ppm "), "{clocks}");
}

#[test]
fn the_doctor_says_what_is_wrong_with_devices() {
    let bench = Bench::new();
    let examined = |command: &mut Command, code: i32| -> Ended {
        run(command.args(["doctor", "--only", "devices"])).with_code(code)
    };
    let ended = examined(bench.kaiwa().env("PULSE_SERVER", "/nonexistent/native"), 1);
    assert!(
        ended
            .stdout
            .starts_with("problem  devices         no sound server answers"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains(" To do: start PulseAudio"),
        "{}",
        ended.stdout
    );
    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    daemon.microphone("desk", "front");
    daemon.control(&["set-source-mute", "desk", "1"]);
    let ended = examined(&mut kaiwa(&bench, &daemon), 1);
    assert!(
        ended.stdout.contains("desk is muted. To do: "),
        "{}",
        ended.stdout
    );
    daemon.control(&["set-source-mute", "desk", "0"]);
    let ended = examined(&mut kaiwa(&bench, &daemon), 1);
    assert!(
        ended.stdout.contains("it gives silence"),
        "{}",
        ended.stdout
    );
    let mut none = kaiwa(&bench, &daemon);
    none.args([
        "doctor",
        "--only",
        "devices",
        "--",
        "--mic",
        "none",
        "--speaker",
        "none",
    ]);
    let ended = run(&mut none).with_code(0);
    assert!(
        ended.stdout.contains("none are asked for"),
        "{}",
        ended.stdout
    );
}
