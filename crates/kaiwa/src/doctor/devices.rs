//! Microphone and speaker, opened and used as `kaiwa talk` does it.

use std::time::Duration;

use kaiwa_audio::{
    WIRE_RATE_HZ,
    echo::{Probe, VoiceOptions},
    samples_to_ms,
};
use kaiwa_client::{
    CardError, Choice, DeviceCard, DeviceConfig, DeviceError, MicState, Side, SoundCard,
    card::TICK,
    device::{self, Device, Devices},
};

use super::{
    Finding, Report, blocking,
    drift::Drift,
    sound::{self, Tick},
    within,
};
use crate::{cli::TalkArgs, exit::Exit, talk};

/// How long the sound server may take to answer, and to open the devices.
const ANSWER: Duration = Duration::from_secs(5);
const OPENING: Duration = Duration::from_secs(10);
/// How long the recording may take, which has 5.5 s.
const RECORDING: Duration = Duration::from_secs(20);

/// Ticks before anything is judged: half a second, in which streams start.
const SETTLING: usize = 25;
/// Ticks of the room alone: a second.
const LISTENING: usize = 50;
/// Ticks of chirps: four seconds, ten chirps.
const CHIRPING: usize = 200;
/// More between kaiwa and the ear is noted, in ms: conversation suffers from it.
const SLOW_MS: u64 = 200;

pub(super) async fn examine(talk: &TalkArgs, report: &mut Report) -> Result<(), Exit> {
    let config = talk::device_config(talk);
    if (&config.microphone, &config.speaker) == (&Choice::None, &Choice::None) {
        return report.tell(&Finding::ok("devices", "none are asked for"));
    }
    let of = config.clone();
    let listed = match blocking(ANSWER, "sound server", move || device::devices(&of)).await {
        Ok(Ok(listed)) => listed,
        Ok(Err(error)) => return report.tell(&unusable(&error)),
        Err(late) => return report.tell(&late),
    };
    report.tell(&Finding::ok(
        "sound server",
        format_args!(
            "it answers; microphones: {}, speakers: {}",
            listed
                .microphones
                .iter()
                .filter(|it| !it.is_monitor)
                .count(),
            listed.speakers.len()
        ),
    ))?;
    let of = config.clone();
    let mut card = match blocking(OPENING, "devices", move || DeviceCard::open(&of)).await {
        Ok(Ok(card)) => card,
        Ok(Err(error)) => return report.tell(&unusable(&error)),
        Err(late) => return report.tell(&late),
    };
    match within(RECORDING, "devices", record(&mut card)).await {
        Ok(Ok(recorded)) => {
            report.tell_all(&recorded.findings(&config, &listed, talk::voice(talk)))
        }
        Ok(Err(error)) => report.tell(&Finding::failure(
            "devices",
            error,
            "try again, or choose others with --mic and --speaker",
        )),
        Err(late) => report.tell(&late),
    }
}

fn unusable(error: &DeviceError) -> Finding {
    Finding::failure(
        "devices",
        error,
        "\"kaiwa devices\" lists what there is; without any, type",
    )
}

/// What the devices did for some seconds.
struct Recorded {
    silence: Vec<Tick>,
    chirps: Vec<Tick>,
    drift: Drift,
    /// Whether there was a microphone, and what the speaker asked for, in samples.
    has_microphone: bool,
    asked: u64,
    /// Devices that went, came or changed meanwhile.
    notices: Vec<String>,
}

async fn record(card: &mut DeviceCard) -> Result<Recorded, CardError> {
    let probe = Probe::new();
    let mut recorded = Recorded {
        silence: Vec::new(),
        chirps: Vec::new(),
        drift: Drift::default(),
        has_microphone: card.mic() == MicState::Open,
        asked: 0,
        notices: Vec::new(),
    };
    for tick in 0..SETTLING + LISTENING + CHIRPING {
        let chirping = tick.checked_sub(SETTLING + LISTENING);
        let played =
            chirping.map(|tick| Box::new(std::array::from_fn(|n| probe.sample(tick * TICK + n))));
        card.play(played.as_deref())?;
        let mut heard = Box::new([0.0; TICK]);
        card.capture(&mut heard).await?;
        let latency = card.output_latency();
        recorded.drift.note(&card.clocks());
        while let Some(notice) = card.notice() {
            recorded.notices.push(notice.to_string());
        }
        if tick >= SETTLING {
            let ticks = match chirping {
                Some(_) => &mut recorded.chirps,
                None => &mut recorded.silence,
            };
            ticks.push(Tick {
                played,
                heard,
                latency,
            });
        }
    }
    recorded.asked = card.clocks().speaker.samples;
    card.finish().await?;
    Ok(recorded)
}

impl Recorded {
    fn findings(
        &self,
        config: &DeviceConfig,
        listed: &Devices,
        options: VoiceOptions,
    ) -> Vec<Finding> {
        let found = |side, choice: &Choice| listed.find(side, choice).ok().flatten();
        let microphone = found(Side::Microphone, &config.microphone);
        let speaker = found(Side::Speaker, &config.speaker);
        let mut findings = vec![
            match microphone {
                _ if config.microphone == Choice::None => none_asked_for("microphone"),
                Some(device) if device.is_muted => muted("microphone", device),
                Some(device) if self.has_microphone => {
                    sound::microphone(&device.description, device.rate_hz, &self.silence)
                }
                _ => absent("microphone"),
            },
            match speaker {
                _ if config.speaker == Choice::None => none_asked_for("speaker"),
                Some(device) if device.is_muted => muted("speaker", device),
                Some(device) => self.speaker(device),
                None => absent("speaker"),
            },
        ];
        if microphone.is_some() && speaker.is_some() {
            findings.push(sound::echo(options, &self.silence, &self.chirps));
            findings.extend(self.drift.finding());
        }
        findings.extend(self.notices.iter().map(|notice| {
            let notice = notice.trim_end_matches('.');
            Finding::note("devices", notice, "leave them as they are, and look again")
        }));
        findings
    }

    /// Samples between kaiwa and the ear: the median, since a busy machine is late at times.
    fn latency(&self) -> u64 {
        let ticks = self.silence.iter().chain(&self.chirps);
        let mut latencies: Vec<u64> = ticks.map(|tick| tick.latency).collect();
        latencies.sort_unstable();
        latencies.get(latencies.len() / 2).copied().unwrap_or(0)
    }

    fn speaker(&self, device: &Device) -> Finding {
        let nominal = ((SETTLING + LISTENING + CHIRPING) * TICK) as u64;
        let Device {
            description,
            rate_hz,
            ..
        } = device;
        if self.asked < nominal / 2 {
            return Finding::problem(
                "speaker",
                format_args!("{description}, {rate_hz} Hz: it does not play"),
                "choose another with --speaker (\"kaiwa devices\"), or restart the sound server",
            );
        }
        let ms = samples_to_ms(self.latency(), WIRE_RATE_HZ);
        let message = format!("{description}, {rate_hz} Hz: {ms} ms from kaiwa to the ear");
        match ms > SLOW_MS {
            true => Finding::note(
                "speaker",
                message,
                "a speaker on a cable is faster than one without",
            ),
            false => Finding::ok("speaker", message),
        }
    }
}

fn none_asked_for(about: &str) -> Finding {
    Finding::ok(about, "none is asked for")
}

fn absent(about: &str) -> Finding {
    Finding::problem(about, "there is none", "plug one in, and look again")
}

fn muted(about: &str, device: &Device) -> Finding {
    Finding::problem(
        about,
        format_args!("{} is muted", device.description),
        "turn it on in the system's settings",
    )
}
