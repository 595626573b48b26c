//! The test, where there is ALSA.

use std::fs;
use std::path::Path;
use std::process::Command;

use kaiwa_client::card::Frame;
use kaiwa_client::device::devices;
use kaiwa_client::{DeviceCard, DeviceConfig};

use super::sound::Daemon;
use super::tone::{run, tone_frames, whole_second};

/// Where Debian's package libasound2-plugins puts what makes PulseAudio a sound card.
const PLUGINS: &str = "/usr/lib";

pub(crate) fn main() {
    // Runners that give each test a process of its own ask for the names first.
    if std::env::args().any(|argument| argument == "--list") {
        if !std::env::args().any(|argument| argument == "--ignored") {
            println!("alsa: test");
        }
        return;
    }
    if std::env::args().nth(1).as_deref() == Some("talk") {
        return talk();
    }
    if !has_plugin() {
        eprintln!("skipped: no ALSA plugin for PulseAudio (libasound2-plugins)");
        return;
    }
    let Some(daemon) = Daemon::start() else {
        return;
    };
    daemon.speaker("front");
    daemon.microphone("desk", "front");
    daemon.control(&["set-default-sink", "front"]);
    daemon.control(&["set-default-source", "desk"]);
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = folder.path().join("asound.conf");
    let server = format!("unix:{}", daemon.socket().display());
    let device = format!("{{ type pulse server \"{server}\" }}\n");
    fs::write(
        &configuration,
        format!("pcm.!default {device}ctl.!default {device}"),
    )
    .expect("a configuration");
    let talked = Command::new(std::env::current_exe().expect("this program"))
        .arg("talk")
        .env("ALSA_CONFIG_PATH", &configuration)
        .env("PULSE_SERVER", "unix:/nonexistent/socket")
        .status()
        .expect("it starts");
    assert!(talked.success(), "{talked}");
    println!("alsa: 1 passed");
}

fn has_plugin() -> bool {
    let Ok(folders) = fs::read_dir(PLUGINS) else {
        return false;
    };
    folders.map_while(Result::ok).any(|folder| {
        let plugin = Path::new("alsa-lib/libasound_module_pcm_pulse.so");
        folder.path().join(plugin).exists()
    })
}

/// Plays a tone and hears it.
fn talk() {
    let config = DeviceConfig::default();
    let listed = devices(&config).expect("devices");
    assert!(
        listed.speakers.iter().any(|device| device.is_default),
        "{listed:?}"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut card = DeviceCard::open(&config).expect("a card");
        let mut whole = whole_second();
        run(&mut card, tone_frames(), |frame: &Frame, _| whole(frame)).await;
    });
}
