//! Echoes that were made and echoes that were recorded.

use std::path::{Path, PathBuf};

use super::*;
use crate::{Clip, WIRE_RATE_HZ, rms_dbfs};

/// Samples of a second.
const SECOND: usize = WIRE_RATE_HZ as usize;

/// Everything a processor is asked to do.
fn all_options() -> impl Iterator<Item = VoiceOptions> {
    let noises = [
        NoiseReduction::Off,
        NoiseReduction::Near,
        NoiseReduction::Far,
    ];
    (0..12).map(move |n| VoiceOptions {
        echo_cancellation: n & 1 > 0,
        gate: true,
        gain_control: n & 2 > 0,
        noise_reduction: noises[n / 4],
    })
}

/// Noise between -1 and 1, the same for the same seed.
fn noise(seed: u32) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// Something with the shape of speech: low-passed noise in syllables and words, -25 dBFS.
fn babble(seed: u32, seconds: usize) -> Vec<f32> {
    let mut draw = noise(seed);
    let mut samples = Vec::with_capacity(seconds * SECOND);
    let mut low = 0.0;
    while samples.len() < seconds * SECOND {
        // A syllable of 80 to 240 ms, a fifth of them a pause.
        let length = (3_840.0 + 1_920.0 * draw()) as usize;
        let tilt = 0.5 + 0.3 * draw();
        let loud = if draw() < -0.6 { 0.0 } else { 0.4 };
        for n in 0..length {
            low += (draw() - low) * tilt;
            let shape = (std::f32::consts::PI * n as f32 / length as f32).sin();
            samples.push(low * loud * shape);
        }
    }
    samples.truncate(seconds * SECOND);
    samples
}

/// Sends whole streams through a processor.
fn run(options: VoiceOptions, played: &[f32], heard: &[f32], delay: u64) -> (Vec<f32>, Vec<Heard>) {
    let mut processor = VoiceProcessor::new(options);
    let mut output = heard.to_vec();
    let (frames, _) = output.as_chunks_mut::<FRAME>();
    let (played, _) = played.as_chunks::<FRAME>();
    let mut verdicts = Vec::new();
    for (frame, played) in frames.iter_mut().zip(played) {
        verdicts.push(processor.process(Some(played), frame, delay));
    }
    output.truncate(verdicts.len() * FRAME);
    (output, verdicts)
}

fn mixed(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// `samples` at `dbfs`.
fn at_level(samples: &[f32], dbfs: f32) -> Vec<f32> {
    let gain = 10f32.powf((dbfs - rms_dbfs(samples)) / 20.0);
    samples.iter().map(|x| x * gain).collect()
}

fn without_gate() -> VoiceOptions {
    VoiceOptions {
        gate: false,
        ..VoiceOptions::default()
    }
}

/// The share of frames above -50 dBFS, of those that were so before.
fn aloud(output: &[f32], input: &[f32]) -> f64 {
    let loud = |samples: &[f32]| rms_dbfs(samples) > crate::AUDIBLE_DBFS;
    let before = input.chunks(FRAME).filter(|frame| loud(frame)).count();
    let after = output.chunks(FRAME).filter(|frame| loud(frame)).count();
    after as f64 / before.max(1) as f64
}

#[test]
fn an_echo_is_gone_after_two_seconds() {
    let played = babble(1, 8);
    for (delay, gain_db) in [(20, 0.0), (60, -5.0), (120, -10.0)] {
        let path = EchoPath::new(delay * SECOND / 1000, gain_db, &[]);
        let heard = path.echo(&played);
        let (output, _) = run(without_gate(), &played, &heard, 0);
        let erle = rms_dbfs(&heard[2 * SECOND..]) - rms_dbfs(&output[2 * SECOND..]);
        assert!(erle > 25.0, "{delay} ms, {gain_db} dB: {erle:.1} dB");
        let (gated, _) = run(VoiceOptions::default(), &played, &heard, 0);
        let left = aloud(&gated, &heard);
        assert!(left < 0.01, "{delay} ms, {gain_db} dB: {left:.3} aloud");
    }
}

#[test]
fn a_voice_alone_passes_whole() {
    let heard = babble(2, 6);
    let silence = vec![0.0; heard.len()];
    let (output, verdicts) = run(VoiceOptions::default(), &silence, &heard, 0);
    assert!(verdicts.iter().all(|heard| *heard == Heard::Passed));
    let lost = rms_dbfs(&heard[SECOND..]) - rms_dbfs(&output[SECOND..]);
    assert!(lost.abs() < 1.0, "{lost:.2} dB");
}

#[test]
fn a_voice_over_the_echo_passes() {
    let played = babble(3, 10);
    let echo = EchoPath::new(1_440, -6.0, &[]).echo(&played);
    let mut voice = babble(4, 10);
    voice[..5 * SECOND].fill(0.0);
    let (_, verdicts) = run(
        VoiceOptions::default(),
        &played,
        &mixed(&echo, &at_level(&voice, rms_dbfs(&echo) + 3.0)),
        0,
    );
    let passed = |frames: std::ops::Range<usize>| {
        let all = frames.len();
        let heard = verdicts[frames].iter();
        heard.filter(|heard| **heard == Heard::Passed).count() as f64 / all as f64
    };
    // Up to 0.1 s before it begins, and once it has.
    assert!(passed(0..245) < 0.02, "{:.2}", passed(0..245));
    assert!(passed(255..500) > 0.85, "{:.2}", passed(255..500));
}

#[test]
fn the_reference_waits_for_devices_that_hold_back() {
    // 0.8 s are beyond what the canceller finds by itself.
    let played = babble(5, 8);
    let heard = EchoPath::new(19_200, -3.0, &[]).echo(&played);
    let erle = |delay| {
        let (output, _) = run(without_gate(), &played, &heard, delay);
        rms_dbfs(&heard[4 * SECOND..]) - rms_dbfs(&output[4 * SECOND..])
    };
    let (known, unknown) = (erle(19_000), erle(0));
    assert!(known > 25.0 && unknown < known - 10.0, "{known} {unknown}");
}

#[test]
fn the_output_is_behind_by_the_latency_it_states() {
    // Bursts of noise, found again by where they are most alike.
    let mut draw = noise(6);
    let mut low = 0.0;
    let input: Vec<f32> = (0..2 * SECOND)
        .map(|n| {
            low += (draw() - low) * 0.3;
            if n % 12_000 < 3_000 { low * 0.2 } else { 0.0 }
        })
        .collect();
    let silence = vec![0.0; input.len()];
    for options in all_options() {
        let (output, _) = run(options, &silence, &input, 0);
        let alike = |shift: usize| -> f32 {
            let pairs = input[..input.len() - 500].iter().zip(&output[shift..]);
            pairs.map(|(a, b)| a * b).sum()
        };
        let found = (0..500).max_by(|a, b| alike(*a).total_cmp(&alike(*b)));
        let stated = VoiceProcessor::new(options).latency();
        assert!(
            found.is_some_and(|found| found.abs_diff(stated) <= 2),
            "{options:?}: {found:?}, stated {stated}"
        );
    }
}

#[test]
fn noise_is_reduced_as_wanted() {
    let mut draw = noise(7);
    let hiss: Vec<f32> = (0..5 * SECOND).map(|_| 0.01 * draw()).collect();
    let silence = vec![0.0; hiss.len()];
    let reduced = |noise_reduction| {
        let options = VoiceOptions {
            echo_cancellation: false,
            noise_reduction,
            ..VoiceOptions::default()
        };
        let (output, _) = run(options, &silence, &hiss, 0);
        rms_dbfs(&hiss[3 * SECOND..]) - rms_dbfs(&output[3 * SECOND..])
    };
    assert!(reduced(NoiseReduction::Off).abs() < 0.01);
    let (near, far) = (reduced(NoiseReduction::Near), reduced(NoiseReduction::Far));
    assert!(near > 9.0 && far > near + 3.0, "{near:.1} {far:.1}");
}

#[test]
fn a_quiet_voice_is_raised() {
    let voice = at_level(&babble(8, 8), -45.0);
    let silence = vec![0.0; voice.len()];
    let options = VoiceOptions {
        gain_control: true,
        ..VoiceOptions::default()
    };
    let (output, _) = run(options, &silence, &voice, 0);
    let gain = rms_dbfs(&output[4 * SECOND..]) - rms_dbfs(&voice[4 * SECOND..]);
    assert!(gain > 8.0, "{gain:.1} dB");
}

#[test]
fn the_same_frames_give_the_same_result() {
    let played = babble(9, 3);
    let heard = EchoPath::new(700, -3.0, &[]).echo(&played);
    for options in all_options() {
        assert_eq!(
            run(options, &played, &heard, 500),
            run(options, &played, &heard, 500)
        );
    }
}

#[test]
fn nothing_that_comes_in_does_harm() {
    for options in all_options() {
        let mut processor = VoiceProcessor::new(options);
        for (n, value) in [f32::NAN, f32::INFINITY, -1e30, f32::MIN_POSITIVE, 1.0]
            .into_iter()
            .cycle()
            .take(50)
            .enumerate()
        {
            let mut frame = [value; FRAME];
            let _ = processor.process(Some(&[-value; FRAME]), &mut frame, u64::MAX >> n);
            assert!(frame.iter().all(|x| x.abs() <= 1.0), "{options:?}, {value}");
        }
        let voice = babble(10, 2);
        let mut output = Vec::new();
        for frame in voice.as_chunks::<FRAME>().0 {
            let mut frame = *frame;
            let _ = processor.process(None, &mut frame, 0);
            output.extend(frame);
        }
        assert!(rms_dbfs(&output) > -40.0, "{options:?}");
    }
}

#[test]
fn statistics_know_the_echo() {
    let played = babble(11, 6);
    let heard = EchoPath::new(2_400, -6.0, &[]).echo(&played);
    let mut processor = VoiceProcessor::new(VoiceOptions::default());
    for (played, frame) in std::iter::zip(played.as_chunks().0, heard.as_chunks().0) {
        let _ = processor.process(Some(played), &mut frame.to_owned(), 1_200);
    }
    let said = processor.statistics();
    assert_eq!(said.frames, 300);
    assert!(said.silenced > 200, "{said:?}");
    assert!(said.erle_db.is_some_and(|db| db > 2.0), "{said:?}");
    // It looks for it a little early.
    assert!(
        said.delay.is_some_and(|n| n.abs_diff(2_400) < 400),
        "{said:?}"
    );
    processor.reset();
    assert_eq!(processor.statistics().frames, 0);
    assert_eq!(processor.statistics().delay, None);
}

/// The folder of recordings; says so when there is none.
fn speech_dir() -> Option<PathBuf> {
    let folder = std::env::var_os("KAIWA_SPEECH_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/speech"),
        PathBuf::from,
    );
    let found = folder.is_dir();
    if !found {
        println!("skipped: no speech data");
    }
    found.then_some(folder)
}

/// A recording at 24 kHz, at most `seconds` of it.
fn recording(folder: &Path, name: &str, seconds: usize) -> Vec<f32> {
    let mut clip = Clip::open(folder.join(name))
        .unwrap()
        .resampled(WIRE_RATE_HZ);
    clip.samples.truncate(seconds * SECOND);
    clip.samples
}

#[test]
fn a_real_device_is_silent_while_only_the_far_end_speaks() {
    let Some(folder) = speech_dir() else { return };
    let played = recording(&folder, "aec_conditions/farend_singletalk_lpb.flac", 60);
    let heard = recording(&folder, "aec_conditions/farend_singletalk_mic.flac", 60);
    let (output, _) = run(without_gate(), &played, &heard, 0);
    let from = 5 * SECOND / 2;
    let erle = rms_dbfs(&heard[from..output.len()]) - rms_dbfs(&output[from..]);
    assert!(erle > 24.5, "{erle:.1} dB after 2.5 s");
    let (output, _) = run(VoiceOptions::default(), &played, &heard, 0);
    let left = aloud(&output, &heard);
    assert!(left < 0.02, "{left:.3} aloud");
}

#[test]
fn rooms_are_learnt_and_voices_in_them_pass() {
    let Some(folder) = speech_dir() else { return };
    let played = recording(&folder, "aec_conditions/farend_singletalk_lpb.flac", 60);
    // Its room is quiet; what follows is its voice alone, on a headset.
    let voice = recording(&folder, "aec_conditions/nearend_singletalk_mic.flac", 60);
    for (room, delay, gain_db) in [("rir1", 20, 0.0), ("rir3", 60, -5.0), ("rir4", 120, -10.0)] {
        let response = recording(&folder, &format!("noise_rir/{room}.wav"), 1);
        let path = EchoPath::new(delay * SECOND / 1000, gain_db, &response);
        let echo = path.echo(&played);
        let (output, _) = run(VoiceOptions::default(), &played, &echo, 0);
        let left = aloud(&output, &echo);
        assert!(left < 0.02, "{room}: {left:.3} aloud");

        let voice = at_level(&voice, rms_dbfs(&echo) + 6.0);
        let (output, verdicts) = run(VoiceOptions::default(), &played, &mixed(&echo, &voice), 0);
        let loud = |n: usize| rms_dbfs(&voice[n * FRAME..][..FRAME]) > rms_dbfs(&voice) - 10.0;
        let speech: Vec<usize> = (150..output.len() / FRAME).filter(|n| loud(*n)).collect();
        let passed = speech.iter().filter(|n| verdicts[**n] == Heard::Passed);
        let share = passed.count() as f64 / speech.len() as f64;
        assert!(share > 0.9, "{room}: {share:.2} of the voice passed");
    }
}

#[test]
fn a_voice_as_loud_as_the_echo_comes_through() {
    let Some(folder) = speech_dir() else { return };
    let played = recording(&folder, "aec_conditions/farend_singletalk_lpb.flac", 60);
    let voices = ["testing_routine.wav", "1272-128104-0000_mrquilter.wav"]
        .map(|name| recording(&folder, &format!("en_librispeech/{name}"), 6));
    let (mut loud, mut through, mut without) = (0, 0, 0);
    for (room, delay, gain_db) in [("rir1", 20, 0.0), ("rir3", 60, -5.0), ("rir4", 120, -10.0)] {
        let response = recording(&folder, &format!("noise_rir/{room}.wav"), 1);
        let path = EchoPath::new(delay * SECOND / 1000, gain_db, &response);
        for voice in &voices {
            // After five seconds of echo alone.
            let begun = 5 * SECOND;
            let length = begun + voice.len();
            let played: Vec<f32> = played.iter().copied().cycle().take(length).collect();
            let echo = path.echo(&played);
            let mut said = vec![0.0; begun];
            said.extend(at_level(voice, rms_dbfs(&echo)));
            let heard = mixed(&echo, &said);
            let (given, _) = run(VoiceOptions::default(), &played, &heard, 0);
            let (cancelled, _) = run(without_gate(), &played, &heard, 0);
            let late = VoiceProcessor::new(VoiceOptions::default()).latency();
            let level = rms_dbfs(&said[begun..]);
            for n in begun / FRAME..given.len() / FRAME - 1 {
                let frame =
                    |samples: &[f32], late: usize| rms_dbfs(&samples[n * FRAME + late..][..FRAME]);
                let said = frame(&said, 0);
                if said > level - 10.0 {
                    loud += 1;
                    through += usize::from(frame(&given, late) > said - 10.0);
                    without += usize::from(frame(&cancelled, late) > said - 10.0);
                }
            }
        }
    }
    let share = |of: usize| of as f64 / f64::from(loud);
    println!(
        "{:.3} of a voice, {:.3} by the suppressor",
        share(through),
        share(without)
    );
    assert!(share(through) > 0.85, "{:.3}", share(through));
    assert!(
        share(through) > share(without) + 0.05,
        "{:.3}",
        share(without)
    );
}
