//! What is known 200 ms and 500 ms after somebody stopped speaking: for every pause and
//! every end of turn of the speech sets, what Smart Turn and Whisper make of the turn so
//! far. One JSON object per line on standard output. An argument (`recorded`, `cut`,
//! `number`, `letters`) takes the samples of that origin only.
//!
//! ```text
//! KAIWA_MODELS_DIR=models KAIWA_SPEECH_DIR=speech cargo run -p kaiwa-engine \
//!     --no-default-features --features whisper --example turns > turns.jsonl
//! ```

use std::{
    collections::HashMap,
    env, fs,
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use kaiwa_audio::Clip;
use kaiwa_engine::{
    Cancel, ComputeBudget, EndOfTurn, SttOptions, Transcriber, smart_turn::SmartTurn,
    whisper::Whisper,
};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const RATE: f64 = 16_000.0;

/// Times after the last speech at which the session asks, in ms.
const JUDGED_AT_MS: [u64; 2] = [200, 500];

/// Audio before the first speech that belongs to a turn, in s.
const PREFIX_S: f64 = 0.3;

fn main() -> Result<(), Failure> {
    let folder = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .ok_or_else(|| format!("{name} is not set"))
    };
    let models = folder("KAIWA_MODELS_DIR")?;
    let speech = Speech::read(folder("KAIWA_SPEECH_DIR")?)?;
    let budget = ComputeBudget::new(None);
    let smart_turn = SmartTurn::load(models.join("smart-turn-v3.2"), budget.clone())?;
    let whisper = Whisper::load(&models.join("whisper-tiny.en"), budget)?;

    let mut samples = speech.pauses_and_ends()?;
    samples.extend(speech.cuts()?);
    samples.extend(speech.dictated()?);
    if let Some(origin) = env::args().nth(1) {
        samples.retain(|sample| sample.origin == origin);
    }
    let mut out = io::stdout().lock();
    for sample in samples {
        for judged_at_ms in JUDGED_AT_MS {
            // Whoever speaks again before is not asked about.
            if sample.pause_ms.is_some_and(|pause| pause < judged_at_ms) {
                continue;
            }
            let turn = sample.heard_after(judged_at_ms);
            let started = Instant::now();
            let complete = smart_turn.judge(&turn, &Cancel::new())?;
            let judge_ms = started.elapsed().as_millis();
            let started = Instant::now();
            let transcript = if sample.language == "en" {
                let options = SttOptions::default();
                let sink = &mut |_: kaiwa_engine::SttDelta<'_>| ControlFlow::Continue(());
                let transcript = whisper.transcribe(&turn, &options, &Cancel::new(), sink)?;
                Some(transcript.text)
            } else {
                None
            };
            let line = json!({
                "clip": sample.clip,
                "origin": sample.origin,
                "language": sample.language,
                "kind": if sample.pause_ms.is_some() { "pause" } else { "end" },
                "pause_ms": sample.pause_ms.filter(|&pause| pause < OPEN_MS),
                "judged_at_ms": judged_at_ms,
                "turn_ms": turn.len() / 16,
                "smart_turn": complete,
                "judge_ms": judge_ms,
                "transcript": transcript,
                "transcribe_ms": started.elapsed().as_millis(),
                "truth": sample.truth,
            });
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Stands for a pause of which only is known that it is one.
const OPEN_MS: u64 = 1_000_000;

/// A turn up to a pause or up to its end.
struct Sample {
    clip: String,
    origin: &'static str,
    language: String,
    /// `None` at the end of the turn.
    pause_ms: Option<u64>,
    truth: Option<String>,
    /// Begins shortly before the speech.
    audio: Vec<f32>,
    /// Where in `audio` the last speech ends.
    spoken: usize,
}

impl Sample {
    /// The turn up to so many milliseconds after its last speech. What the recording does
    /// not hold is faint noise.
    fn heard_after(&self, ms: u64) -> Vec<f32> {
        let length = self.spoken + ms as usize * 16;
        let mut turn = self.audio[..self.audio.len().min(length)].to_vec();
        let missing = length - turn.len();
        turn.extend(noise(missing));
        turn
    }
}

/// White noise at -71 dBFS, always the same.
fn noise(samples: usize) -> impl Iterator<Item = f32> {
    let mut state = 1_u32;
    (0..samples).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * 0.0005
    })
}

/// The recordings.
struct Speech {
    folder: PathBuf,
    map: Vec<Value>,
    languages: HashMap<String, (String, Option<String>)>,
}

fn lines(path: &Path) -> Result<Vec<Value>, Failure> {
    let text = fs::read_to_string(path)?;
    Ok(text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

fn seconds(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn at(seconds: f64) -> usize {
    (seconds * RATE) as usize
}

impl Speech {
    fn read(folder: PathBuf) -> Result<Self, Failure> {
        let map = lines(&folder.join("pause_map.jsonl"))?;
        let mut languages = HashMap::new();
        for entry in fs::read_dir(&folder)? {
            let set = entry?.path();
            let manifest = set.join("manifest.jsonl");
            if !manifest.is_file() {
                continue;
            }
            let name = set
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            for row in lines(&manifest)? {
                languages.insert(
                    format!("{name}/{}", text(&row, "file")),
                    (
                        text(&row, "language").to_owned(),
                        row["text"].as_str().map(Into::into),
                    ),
                );
            }
        }
        Ok(Self {
            folder,
            map,
            languages,
        })
    }

    fn audio(&self, clip: &str) -> Result<Vec<f32>, Failure> {
        Ok(Clip::open(self.folder.join(clip))?
            .resampled(16_000)
            .samples)
    }

    fn language(&self, clip: &str) -> String {
        self.languages
            .get(clip)
            .map_or_else(|| "en".into(), |(language, _)| language.clone())
    }

    /// Every pause inside a recording, and its end.
    fn pauses_and_ends(&self) -> Result<Vec<Sample>, Failure> {
        let mut samples = Vec::new();
        for row in &self.map {
            let clip = format!("{}/{}", text(row, "set"), text(row, "file"));
            let audio = self.audio(&clip)?;
            let start = at((seconds(&row["speech_start_s"]) - PREFIX_S).max(0.0));
            let mut push = |spoken: f64, next: Option<f64>| {
                let until = next.map_or(audio.len(), at).min(audio.len());
                samples.push(Sample {
                    clip: clip.clone(),
                    origin: "recorded",
                    language: self.language(&clip),
                    pause_ms: next.map(|next| ((next - spoken) * 1e3).round() as u64),
                    truth: self.languages.get(&clip).and_then(|(_, text)| text.clone()),
                    audio: audio[start..until].to_vec(),
                    spoken: at(spoken) - start,
                });
            };
            for pause in row["internal_pauses_s"].as_array().into_iter().flatten() {
                push(seconds(&pause[0]), Some(seconds(&pause[1])));
            }
            push(seconds(&row["speech_end_s"]), None);
        }
        Ok(samples)
    }

    /// Every cut that leaves an incomplete turn, with silence after it. The complete ones
    /// are the ends of the recordings.
    fn cuts(&self) -> Result<Vec<Sample>, Failure> {
        let mut samples = Vec::new();
        for row in lines(&self.folder.join("turn_cuts.jsonl"))? {
            if text(&row, "label") != "incomplete" {
                continue;
            }
            let clip = format!("{}/{}", text(&row, "set"), text(&row, "file"));
            let mut audio = self.audio(&clip)?;
            audio.truncate(at(seconds(&row["cut_s"])));
            samples.push(Sample {
                origin: "cut",
                language: text(&row, "language").to_owned(),
                pause_ms: Some(OPEN_MS),
                truth: Some(text(&row, "text_before").to_owned()),
                spoken: audio.len(),
                audio,
                clip,
            });
        }
        Ok(samples)
    }

    /// The speech of a recording without the silence around it.
    fn word(&self, clip: &str) -> Result<Vec<f32>, Failure> {
        let audio = self.audio(clip)?;
        let row = self
            .map
            .iter()
            .find(|row| clip == format!("{}/{}", text(row, "set"), text(row, "file")));
        let range = row.map_or(0..audio.len(), |row| {
            at(seconds(&row["speech_start_s"]))..at(seconds(&row["speech_end_s"])).min(audio.len())
        });
        Ok(audio[range].to_vec())
    }

    /// Numbers said in groups and words that are spelled, joined from single recordings.
    /// Every break between groups and between letters is a pause.
    fn dictated(&self) -> Result<Vec<Sample>, Failure> {
        const NUMBERS: [(&[&str], u64); 5] = [
            (&["415", "555", "0137"], 700),
            (&["02", "7946", "0958"], 1_000),
            (&["867", "5309"], 900),
            (&["4929", "1706", "3358", "2041"], 800),
            (&["9", "0", "2", "1", "0"], 500),
        ];
        const SPELLED: [(&str, u64); 6] = [
            ("KAIWA", 500),
            ("JENSEN", 700),
            ("MROZ", 900),
            ("XIU", 600),
            ("BQT", 1_200),
            ("VOLKHARD", 400),
        ];
        const NAMES: [&str; 10] = [
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
        ];
        let mut samples = Vec::new();
        for speaker in ["george", "jackson", "lucas", "petewarden"] {
            for (groups, pause_ms) in NUMBERS {
                let mut words = Vec::new();
                for group in groups {
                    let mut said = Vec::new();
                    for digit in group.chars() {
                        let digit = digit.to_digit(10).unwrap_or_default() as usize;
                        let clip = if speaker == "petewarden" {
                            format!("en_spelling_moonshine/{}_petewarden.flac", NAMES[digit])
                        } else {
                            format!("en_digits_fsdd/{digit}_{speaker}_7.wav")
                        };
                        if !said.is_empty() {
                            said.extend(noise(at(0.08)));
                        }
                        said.extend(self.word(&clip)?);
                    }
                    words.push(((*group).to_owned(), said));
                }
                joined(
                    &mut samples,
                    &format!("number/{speaker}"),
                    "number",
                    &words,
                    pause_ms,
                );
            }
        }
        for (word, pause_ms) in SPELLED {
            let mut letters = Vec::new();
            for letter in word.to_lowercase().chars() {
                let clip = format!("en_spelling_moonshine/{letter}_petewarden.flac");
                letters.push((letter.to_string(), self.word(&clip)?));
            }
            joined(
                &mut samples,
                &format!("letters/{word}"),
                "letters",
                &letters,
                pause_ms,
            );
        }
        Ok(samples)
    }
}

/// Adds a sample for every break between `words`, and one for the end.
fn joined(
    samples: &mut Vec<Sample>,
    clip: &str,
    origin: &'static str,
    words: &[(String, Vec<f32>)],
    pause_ms: u64,
) {
    let mut audio: Vec<f32> = noise(at(PREFIX_S)).collect();
    let mut truth = String::new();
    for (index, (word, said)) in words.iter().enumerate() {
        if index > 0 {
            audio.extend(noise(pause_ms as usize * 16));
            truth.push(' ');
        }
        audio.extend(said);
        truth.push_str(word);
        samples.push(Sample {
            clip: clip.to_owned(),
            origin,
            language: "en".to_owned(),
            pause_ms: (index + 1 < words.len()).then_some(pause_ms),
            truth: Some(truth.clone()),
            spoken: audio.len(),
            audio: audio.clone(),
        });
    }
}
