//! What is said, where it pauses and where it ends.

use std::path::Path;

use kaiwa_audio::WIRE_RATE_HZ;
use kaiwa_session::Millis;
use serde::{Deserialize, Serialize};

use crate::{
    bench::{
        speech::{self, CUT_OFF_MS, Clip, PauseMap, Speech, sound},
        statistics::Draw,
    },
    exit::{Code, Exit},
};

/// Silence that a session hears before an item and, at most, after it.
const BEFORE_MS: u64 = 300;
const AFTER_MS: u64 = 4000;

/// Full scale of the noise that stands for silence: -71 dBFS.
const NOISE: f64 = 0.0005;

/// Pauses that are made, in s: for thought, and between digits or letters.
const THOUGHT_S: [f64; 2] = [0.4, 2.0];
const DICTATION_S: [f64; 2] = [0.2, 1.5];

/// Sets of single digits and letters, which are turns only when they are joined.
const DIGITS: &str = "en_digits_fsdd";
const LETTERS: &str = "en_spelling_moonshine";

/// A set of single words.
const WORDS: &str = "en_short_words";

/// Telephone numbers, years and the like: so many digits.
const NUMBER_LENGTHS: [usize; 4] = [4, 5, 7, 10];

/// Names that have to be spelled.
const SPELLED: [&str; 8] = [
    "wyn", "kaiwa", "mroz", "jensen", "bqt", "szabo", "volkhard", "xiulan",
];

const SEED: u64 = 20_261_123;

/// How an item came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A recording of a sentence or more, with the pauses that the speaker made.
    Recorded,
    /// A recording of a single word.
    Word,
    /// A recording, cut where it is incomplete, with a pause for thought there.
    Thought,
    /// A number, digit by digit.
    Number,
    /// A name, letter by letter.
    Letters,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Recorded,
        Self::Word,
        Self::Thought,
        Self::Number,
        Self::Letters,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Word => "single words",
            Self::Thought => "pauses for thought",
            Self::Number => "dictated numbers",
            Self::Letters => "spelled letters",
        }
    }
}

/// One turn, as a session hears it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// At 24 kHz, silence before it included.
    audio: Vec<f32>,
    /// Where its speech ends, in ms of `audio`.
    pub(super) end_ms: Millis,
    /// How many pauses of 0.2 s or more it has.
    pub(super) pauses: usize,
}

impl Item {
    pub(super) fn new(
        kind: Kind,
        name: impl Into<String>,
        audio: Vec<f32>,
        end_ms: Millis,
        pauses: usize,
    ) -> Self {
        Self {
            kind,
            name: name.into(),
            audio,
            end_ms,
            pauses,
        }
    }

    /// The item and the silence after it in pieces of `size` samples.
    pub(super) fn chunks(&self, size: usize) -> impl Iterator<Item = Vec<f32>> {
        let mut draw = Draw::new(SEED);
        let after = self.end_ms + AFTER_MS;
        (0..samples(after).div_ceil(size)).map(move |index| {
            (index * size..(index + 1) * size)
                .map(|at| match self.audio.get(at) {
                    Some(sample) => *sample,
                    None => draw.between(-NOISE, NOISE) as f32,
                })
                .collect()
        })
    }

    /// Whether nobody is cut off who is taken to be done now.
    pub(super) fn is_over_at(&self, now: Millis) -> bool {
        now + CUT_OFF_MS >= self.end_ms
    }
}

/// Every item that can be made of the recordings, in a fixed order.
pub(super) fn all(folder: &Path) -> Result<Vec<Item>, Exit> {
    let pauses = PauseMap::read(folder)?;
    let clips: Vec<(Clip, Speech)> = speech::recordings(folder)?
        .into_iter()
        .filter(|clip| clip.language == "en")
        .filter_map(|clip| pauses.speech(&clip).map(|speech| (clip, speech)))
        .collect();
    // Each kind draws for itself, so that a further recording changes no pause of the others.
    let draw = |kind: Kind| Draw::new(SEED + kind as u64);
    let mut recorded = draw(Kind::Recorded);
    let mut items = Vec::new();
    for (clip, speech) in &clips {
        let kind = match clip.set.as_str() {
            DIGITS | LETTERS => continue,
            WORDS => Kind::Word,
            _ => Kind::Recorded,
        };
        let mut said = Said::new(&mut recorded);
        said.samples.extend(sound(&clip.path, WIRE_RATE_HZ)?);
        said.pauses = speech.pauses_s.len();
        said.end = samples(BEFORE_MS) + at(speech.end_s);
        items.push(said.into_item(kind, clip.file()));
    }
    items.extend(thoughts(folder, &clips, &mut draw(Kind::Thought))?);
    items.extend(numbers(&clips, &mut draw(Kind::Number))?);
    items.extend(names(&clips, &mut draw(Kind::Letters))?);
    if items.is_empty() {
        return Err(Exit::new(
            Code::Input,
            "no recording fits: none is English and in pause_map.jsonl",
        ));
    }
    Ok(items)
}

#[derive(Deserialize)]
struct Cut {
    set: String,
    file: String,
    cut_s: f64,
    label: String,
}

/// The cuts that leave a turn incomplete, with a pause for thought. The complete ones are the
/// ends of the recordings.
fn thoughts(folder: &Path, clips: &[(Clip, Speech)], draw: &mut Draw) -> Result<Vec<Item>, Exit> {
    let mut items = Vec::new();
    for cut in speech::lines::<Cut>(&folder.join("turn_cuts.jsonl"))? {
        let name = format!("{}/{}", cut.set, cut.file);
        let found = clips.iter().find(|(clip, _)| clip.file() == name);
        let Some((clip, speech)) = found.filter(|_| cut.label == "incomplete") else {
            continue;
        };
        let audio = sound(&clip.path, WIRE_RATE_HZ)?;
        let (before, after) = audio.split_at(at(cut.cut_s).min(audio.len()));
        let mut said = Said::new(draw);
        said.samples.extend(before);
        let begun = said.samples.len();
        said.pause(THOUGHT_S, draw);
        let longer = said.samples.len() - begun;
        said.samples.extend(after);
        said.pauses += speech.pauses_s.len();
        said.end = samples(BEFORE_MS) + longer + at(speech.end_s);
        items.push(said.into_item(Kind::Thought, format!("{name} at {} s", cut.cut_s)));
    }
    Ok(items)
}

/// Numbers of each speaker who says all digits.
fn numbers(clips: &[(Clip, Speech)], draw: &mut Draw) -> Result<Vec<Item>, Exit> {
    const NAMES: [&str; 10] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ];
    let digits: Vec<_> = clips
        .iter()
        .filter(|(clip, _)| clip.set == DIGITS)
        .collect();
    // A file is named digit_speaker_take.wav.
    let speaker = |clip: &Clip| clip.file().split('_').rev().nth(1).map(str::to_owned);
    let mut speakers: Vec<String> = digits
        .iter()
        .filter_map(|(clip, _)| speaker(clip))
        .collect();
    speakers.sort();
    speakers.dedup();
    let mut items = Vec::new();
    for name in speakers {
        let of_digit = |digit: usize| {
            digits.iter().find(|(clip, _)| {
                clip.text == NAMES[digit] && speaker(clip).as_ref() == Some(&name)
            })
        };
        for length in NUMBER_LENGTHS {
            let number: Vec<usize> = (0..length).map(|_| draw.below(10)).collect();
            let Some(words) = number.iter().map(|&digit| of_digit(digit)).collect() else {
                continue;
            };
            let words: Vec<_> = words;
            let digits: String = number.iter().map(usize::to_string).collect();
            let said = Said::joined(words.into_iter().copied(), draw)?;
            items.push(said.into_item(Kind::Number, format!("{digits} by {name}")));
        }
    }
    Ok(items)
}

/// Names that are spelled, where every letter was recorded.
fn names(clips: &[(Clip, Speech)], draw: &mut Draw) -> Result<Vec<Item>, Exit> {
    let mut items = Vec::new();
    for name in SPELLED {
        let of_letter = |letter: char| {
            let is_it = |clip: &Clip| clip.set == LETTERS && clip.text.chars().eq([letter]);
            clips.iter().find(|(clip, _)| is_it(clip))
        };
        let Some(letters) = name.chars().map(of_letter).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let said = Said::joined(letters.into_iter(), draw)?;
        items.push(said.into_item(Kind::Letters, name.to_uppercase()));
    }
    Ok(items)
}

/// What has been said so far.
struct Said {
    samples: Vec<f32>,
    /// Where speech ends.
    end: usize,
    pauses: usize,
}

impl Said {
    fn new(draw: &mut Draw) -> Self {
        let mut said = Self {
            samples: Vec::new(),
            end: 0,
            pauses: 0,
        };
        said.silence(samples(BEFORE_MS), draw);
        said
    }

    /// The speech of each recording with pauses between.
    fn joined<'a>(
        parts: impl Iterator<Item = &'a (Clip, Speech)>,
        draw: &mut Draw,
    ) -> Result<Self, Exit> {
        let mut said = Self::new(draw);
        for (index, (clip, speech)) in parts.enumerate() {
            if index > 0 {
                said.pause(DICTATION_S, draw);
            }
            let audio = sound(&clip.path, WIRE_RATE_HZ)?;
            let end = at(speech.end_s).min(audio.len());
            said.samples
                .extend(&audio[at(speech.start_s).min(end)..end]);
            said.end = said.samples.len();
        }
        Ok(said)
    }

    fn pause(&mut self, [low, high]: [f64; 2], draw: &mut Draw) {
        let length = at(draw.between(low, high));
        self.silence(length, draw);
        self.pauses += 1;
    }

    fn silence(&mut self, length: usize, draw: &mut Draw) {
        self.samples
            .extend((0..length).map(|_| draw.between(-NOISE, NOISE) as f32));
    }

    fn into_item(self, kind: Kind, name: String) -> Item {
        let end_ms = self.end as u64 * 1000 / u64::from(WIRE_RATE_HZ);
        Item::new(kind, name, self.samples, end_ms, self.pauses)
    }
}

fn at(seconds: f64) -> usize {
    (seconds * f64::from(WIRE_RATE_HZ)) as usize
}

fn samples(ms: u64) -> usize {
    kaiwa_audio::ms_to_samples(ms, WIRE_RATE_HZ) as usize
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kaiwa_audio::WavWriter;

    use super::*;

    /// A folder with ten digits of one speaker and one sentence that can be cut.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut map = String::new();
        let mut write = |set: &str, file: &str, text: &str, seconds: f64| {
            let set_folder = folder.path().join(set);
            fs::create_dir_all(&set_folder).unwrap();
            let mut wav = WavWriter::create(set_folder.join(file), 24_000, 1).unwrap();
            wav.write(&vec![0.25; at(seconds)]).unwrap();
            wav.finalize().unwrap();
            let manifest = set_folder.join("manifest.jsonl");
            let line = format!(
                "{{\"file\":\"{file}\",\"text\":\"{text}\",\"language\":\"en\",\"duration_s\":{seconds}}}\n"
            );
            let before = fs::read_to_string(&manifest).unwrap_or_default();
            fs::write(manifest, before + &line).unwrap();
            map += &format!(
                "{{\"set\":\"{set}\",\"file\":\"{file}\",\"speech_start_s\":0.1,\"speech_end_s\":{},\
                 \"internal_pauses_s\":[],\"longest_pause_s\":0}}\n",
                seconds - 0.1
            );
        };
        for (digit, name) in [
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
        ]
        .iter()
        .enumerate()
        {
            write(DIGITS, &format!("{digit}_ada_7.wav"), name, 0.5);
        }
        write("en_read", "sentence.wav", "a b c d", 2.0);
        fs::write(folder.path().join("pause_map.jsonl"), map).unwrap();
        let cuts = "{\"set\":\"en_read\",\"file\":\"sentence.wav\",\"cut_s\":1.0,\"label\":\"incomplete\"}\n\
                    {\"set\":\"en_read\",\"file\":\"sentence.wav\",\"cut_s\":1.9,\"label\":\"complete\"}\n";
        fs::write(folder.path().join("turn_cuts.jsonl"), cuts).unwrap();
        folder
    }

    #[test]
    fn items_are_made_by_the_recipes_and_the_same_each_time() {
        let folder = folder();
        let items = all(folder.path()).unwrap();
        let kinds: Vec<Kind> = items.iter().map(|item| item.kind).collect();
        let mut expected = vec![Kind::Recorded, Kind::Thought];
        expected.extend([Kind::Number; 4]);
        assert_eq!(kinds, expected);
        for (item, again) in items.iter().zip(all(folder.path()).unwrap()) {
            assert_eq!((&item.name, &item.audio), (&again.name, &again.audio));
        }

        let [recorded, thought, number, ..] = &items[..] else {
            unreachable!()
        };
        assert_eq!((recorded.end_ms, recorded.pauses), (300 + 1900, 0));
        let pause_ms = thought.end_ms - recorded.end_ms;
        assert!((400..2000).contains(&pause_ms), "{pause_ms}");
        assert_eq!(thought.pauses, 1);
        // Four digits of 0.3 s and three pauses of 0.2 to 1.5 s.
        assert_eq!(number.pauses, 3);
        let said_ms = number.end_ms - 300;
        assert!(
            (4 * 300 + 3 * 200..4 * 300 + 3 * 1500).contains(&said_ms),
            "{said_ms}"
        );
        let loud = number
            .audio
            .iter()
            .filter(|sample| sample.abs() > 0.1)
            .count();
        assert!(loud.abs_diff(at(1.2)) < 100, "{loud}");
    }

    #[test]
    fn silence_follows_for_as_long_as_any_turn_waits() {
        let item = Item::new(Kind::Recorded, "x", vec![0.5; 24_000], 1000, 0);
        let heard: Vec<f32> = item.chunks(480).flatten().collect();
        assert_eq!(heard.len(), samples(1000 + AFTER_MS));
        assert!(heard[24_000..].iter().all(|sample| sample.abs() < 0.001));
        assert!(item.is_over_at(900) && !item.is_over_at(899));
    }
}
