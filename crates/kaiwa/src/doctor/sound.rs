//! What recorded sound says about a microphone and its way from the speaker.

use kaiwa_audio::{
    WIRE_RATE_HZ,
    echo::{Probe, ProbeEcho, VoiceOptions, VoiceProcessor},
    peak_dbfs, rms_dbfs, samples_to_ms,
};
use kaiwa_client::card::{Frame, TICK};

use super::Finding;

/// A magnitude that only a signal which was cut off reaches again and again.
const FULL: f32 = 0.999;
/// So many such samples in a second are no coincidence.
const CLIPPED: usize = 10;
/// A room without anybody speaking is softer, in dBFS.
const LOUD_DBFS: f32 = -35.0;
/// Softer than any microphone in a room, in dBFS.
const DEAD_DBFS: f32 = -90.0;
/// The canceller knows the echo when what is left of chirps is that much below it, in dB. Of
/// speech it takes off more: chirps are steeper than a voice, for which it may take them.
const REMOVED_DB: f32 = 10.0;
/// Or this near to what is heard without an echo, in dB.
const NEAR_SILENCE_DB: f32 = 3.0;

/// A tick of the sound card.
#[derive(Clone, Debug)]
pub(super) struct Tick {
    pub(super) played: Option<Box<Frame>>,
    pub(super) heard: Box<Frame>,
    /// Samples between what was played and what was audible, as the speaker says.
    pub(super) latency: u64,
}

/// Judges a second in which nothing was played.
pub(super) fn microphone(name: &str, rate_hz: u32, ticks: &[Tick]) -> Finding {
    let heard = samples(ticks);
    let level = rms_dbfs(&heard);
    if level < DEAD_DBFS {
        return Finding::problem(
            "microphone",
            format_args!("{name}, {rate_hz} Hz: it gives silence, without any noise of a room"),
            "see whether it is muted, by a switch or in the system's settings; another is chosen \
             with --mic (\"kaiwa devices\")",
        );
    }
    let message = format!(
        "{name}, {rate_hz} Hz: {level:.0} dBFS, the loudest {:.0} dBFS",
        peak_dbfs(&heard)
    );
    let clipped = heard.iter().filter(|sample| sample.abs() >= FULL).count();
    if clipped >= CLIPPED {
        Finding::problem(
            "microphone",
            format_args!("{message}; {clipped} samples are cut off"),
            "turn its input level down in the system's settings",
        )
    } else if level > LOUD_DBFS {
        Finding::note(
            "microphone",
            format_args!("{message}, which is loud"),
            "if nobody spoke, turn its level down or take out the noise with --noise far",
        )
    } else {
        Finding::ok("microphone", message)
    }
}

/// Judges whether a microphone that heard silence and then chirps hears the speaker, and what
/// `kaiwa talk` makes of it. `silence` are ticks without chirps, `chirps` those with.
pub(super) fn echo(options: VoiceOptions, silence: &[Tick], chirps: &[Tick]) -> Finding {
    let heard = samples(chirps);
    let Some(found) = Probe::new().find(&heard) else {
        return Finding::note(
            "echo",
            "the microphone does not hear the speaker",
            "nothing with headphones, where --no-aec makes you better understood; if you heard \
             no chirps either, turn the speaker up",
        );
    };
    let message = described(found);
    if !options.echo_cancellation {
        return Finding::note(
            "echo",
            format_args!("{message}, and --no-aec leaves it in"),
            "leave --no-aec out, unless you put on headphones",
        );
    }
    // The canceller has to get to know the room first.
    let settled = chirps.len() / 2;
    let cleaned = cleaned(options, &[silence, chirps].concat());
    let left = rms_dbfs(&samples(&cleaned[silence.len() + settled..]));
    let raw = rms_dbfs(&samples(&chirps[settled..]));
    let floor = rms_dbfs(&samples(silence));
    let removed = raw - left;
    if removed >= REMOVED_DB || left <= floor + NEAR_SILENCE_DB {
        let removed = match removed.is_finite() {
            true => format!("{removed:.0} dB of it are taken out"),
            false => "all of it is taken out".to_owned(),
        };
        Finding::ok("echo", format_args!("{message}; {removed}"))
    } else {
        Finding::note(
            "echo",
            format_args!("{message}; only {removed:.0} dB of it are taken out"),
            "turn the speaker down, move the microphone away from it, or use headphones",
        )
    }
}

fn described(found: ProbeEcho) -> String {
    let ms = samples_to_ms(found.delay as u64, WIRE_RATE_HZ);
    let level = match found.gain_db.round() as i32 {
        0 => "as loud as it was played".to_owned(),
        softer @ ..0 => format!("{} dB softer than it was played", -softer),
        louder => format!("{louder} dB louder than it was played"),
    };
    format!("the microphone hears the speaker after {ms} ms, {level}")
}

/// The ticks as `kaiwa talk` would hear them.
fn cleaned(options: VoiceOptions, ticks: &[Tick]) -> Vec<Tick> {
    let mut processor = VoiceProcessor::new(options);
    let mut cleaned = ticks.to_vec();
    for tick in &mut cleaned {
        processor.process(tick.played.as_deref(), &mut tick.heard, tick.latency);
    }
    cleaned
}

fn samples(ticks: &[Tick]) -> Vec<f32> {
    let mut samples = Vec::with_capacity(ticks.len() * TICK);
    for tick in ticks {
        samples.extend_from_slice(&*tick.heard);
    }
    samples
}

#[cfg(test)]
mod tests {
    use kaiwa_audio::echo::EchoPath;

    use super::*;
    use crate::doctor::finding::Verdict;

    /// Noise of so many dBFS, of so many ticks.
    fn room(ticks: usize, dbfs: f32) -> Vec<f32> {
        let mut seed = 3_u32;
        let amplitude = 10f32.powf(dbfs / 20.0) * 3f32.sqrt();
        (0..ticks * TICK)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                amplitude * ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0)
            })
            .collect()
    }

    fn ticks(heard: &[f32], played: Option<&[f32]>) -> Vec<Tick> {
        let frame = |samples: &[f32], n: usize| -> Box<Frame> {
            let samples = &samples[n * TICK..(n + 1) * TICK];
            Box::new(samples.try_into().expect("a tick"))
        };
        (0..heard.len() / TICK)
            .map(|n| Tick {
                played: played.map(|played| frame(played, n)),
                heard: frame(heard, n),
                latency: 960,
            })
            .collect()
    }

    /// A second of silence and four of chirps in a room that echoes so.
    fn echoing(delay: usize, gain_db: f32) -> (Vec<Tick>, Vec<Tick>) {
        let probe = Probe::new();
        let played: Vec<f32> = (0..200 * TICK).map(|n| probe.sample(n)).collect();
        let echo = EchoPath::new(delay, gain_db, &[]).echo(&played);
        let noise = room(250, -65.0);
        let (before, during) = noise.split_at(50 * TICK);
        let heard: Vec<f32> = echo.iter().zip(during).map(|(a, b)| a + b).collect();
        (ticks(before, None), ticks(&heard, Some(&played)))
    }

    #[test]
    fn a_microphone_is_judged_by_a_second_of_it() {
        let judge = |heard: &[f32]| microphone("Headset", 48_000, &ticks(heard, None));
        for (heard, verdict, words) in [
            (vec![0.0; 50 * TICK], Verdict::Problem, "it gives silence"),
            (room(50, -60.0), Verdict::Ok, "Headset, 48000 Hz: -60 dBFS"),
            (room(50, -30.0), Verdict::Note, "which is loud"),
            (
                room(50, -3.0).iter().map(|x| x.clamp(-1.0, 1.0)).collect(),
                Verdict::Problem,
                "cut off",
            ),
        ] {
            let finding = judge(&heard);
            assert_eq!(finding.verdict, verdict, "{finding}");
            assert!(finding.message.contains(words), "{finding}");
        }
    }

    #[test]
    fn an_echo_is_found_measured_and_taken_out() {
        let (silence, chirps) = echoing(1_920, -12.0);
        let finding = echo(VoiceOptions::default(), &silence, &chirps);
        assert_eq!(finding.verdict, Verdict::Ok, "{finding}");
        assert!(
            finding
                .message
                .starts_with("the microphone hears the speaker after 80 ms, 12 dB softer"),
            "{finding}"
        );
        let left_in = VoiceOptions {
            echo_cancellation: false,
            ..VoiceOptions::default()
        };
        let finding = echo(left_in, &silence, &chirps);
        assert_eq!(finding.verdict, Verdict::Note, "{finding}");
        assert!(finding.message.contains("--no-aec"), "{finding}");
    }

    #[test]
    fn an_echo_of_another_sound_than_was_played_is_not_taken_out() {
        let (silence, mut chirps) = echoing(1_920, -12.0);
        // As if the canceller did not know what was played.
        for tick in &mut chirps {
            tick.played = None;
        }
        let finding = echo(VoiceOptions::default(), &silence, &chirps);
        assert_eq!(finding.verdict, Verdict::Note, "{finding}");
        assert!(finding.message.contains("only"), "{finding}");
    }

    #[test]
    fn headphones_have_no_echo() {
        let (silence, _) = echoing(0, 0.0);
        let finding = echo(
            VoiceOptions::default(),
            &silence,
            &ticks(&room(200, -65.0), None),
        );
        assert_eq!(finding.verdict, Verdict::Note, "{finding}");
        assert!(finding.message.contains("does not hear"), "{finding}");
    }
}
