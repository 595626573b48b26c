//! Measures the sound path through a loop: clicks are played on a speaker, and a microphone
//! that hears nothing else gives them back.
//!
//! ```text
//! cargo run --release -p kaiwa-client --features devices --example device_latency
//! cargo run --release -p kaiwa-client --features devices --example device_latency MIC SPEAKER
//! ```
//!
//! Without names, a sound server of its own with a virtual loop is started, which takes
//! PulseAudio from the system's packages. The loop itself has no delay: the microphone gets a
//! sample when the speaker's mixer takes it, so what the speaker's device adds is not in the
//! way there and back, but in the speaker's figure.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for the terminal"
)]

#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "made for the tests")]
#[path = "../tests/sound/mod.rs"]
mod sound;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    measure::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("there are no devices here yet");
}

#[cfg(target_os = "linux")]
mod measure {
    use std::time::Instant;

    use kaiwa_client::card::TICK;
    use kaiwa_client::{DeviceCard, DeviceConfig, SoundCard};

    use super::sound::Daemon;

    /// Clicks to measure.
    const CLICKS: usize = 100;
    /// Ticks from one to the next: 300 ms.
    const APART: usize = 15;

    pub(super) fn run() -> Result<(), Box<dyn std::error::Error>> {
        let mut config = DeviceConfig::default();
        let names: Vec<String> = std::env::args().skip(1).collect();
        let daemon = match &names[..] {
            [microphone, speaker] => {
                config.microphone = microphone.parse()?;
                config.speaker = speaker.parse()?;
                None
            }
            _ => {
                let Some(daemon) = Daemon::start() else {
                    return Ok(());
                };
                daemon.speaker("loop");
                config.microphone = "loop.monitor".parse()?;
                config.speaker = "loop".parse()?;
                config.server = Some(daemon.socket());
                Some(daemon)
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(clicks(DeviceCard::open(&config)?))?;
        drop(daemon);
        Ok(())
    }

    async fn clicks(mut card: DeviceCard) -> Result<(), Box<dyn std::error::Error>> {
        let mut click = [0.0; TICK];
        click[0] = 0.9;
        let mut played: Option<Instant> = None;
        let (mut loops, mut speaker, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        let mut frame = [0.0; TICK];
        // Two seconds to settle.
        for tick in 1.. {
            let clicks = tick > 100 && tick % APART == 0;
            if clicks {
                played = Some(Instant::now());
            }
            card.play(clicks.then_some(&click))?;
            if clicks {
                // The click is the first sample of the last tick given.
                speaker.push(card.output_latency().saturating_sub(TICK as u64) as f64 / 24.0);
            }
            card.capture(&mut frame).await?;
            waiting.push(card.input_waiting() as f64 / 24.0);
            if let Some(at) = played
                && frame.iter().any(|sample| sample.abs() > 0.3)
            {
                loops.push(at.elapsed().as_secs_f64() * 1000.0);
                played = None;
                if loops.len() == CLICKS {
                    break;
                }
            }
        }
        row("there and back", &mut loops);
        row("handed over to audible", &mut speaker);
        row("heard and waiting", &mut waiting);
        Ok(())
    }

    fn row(name: &str, values: &mut [f64]) {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| values[((values.len() - 1) as f64 * part) as usize];
        println!(
            "{name:24} p50 {:5.1} ms   p95 {:5.1} ms   worst {:5.1} ms",
            at(0.5),
            at(0.95),
            at(1.0)
        );
    }
}
