//! The folder of recordings that the benchmarks read: sets with a `manifest.jsonl` each,
//! and one `pause_map.jsonl` with the start and end of speech in every file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kaiwa_audio::Clip as Recording;
use serde::{Deserialize, de::DeserializeOwned};

use crate::exit::{Code, Exit};

/// A turn that was taken to be over this much before the end of its speech was cut off. Less is
/// within what the ends are known to.
pub(crate) const CUT_OFF_MS: u64 = 100;

/// One recording and what is said in it.
#[derive(Clone, Debug)]
pub(crate) struct Clip {
    pub(crate) set: String,
    pub(crate) path: PathBuf,
    /// Empty where nobody wrote it down.
    pub(crate) text: String,
    pub(crate) language: String,
    pub(crate) seconds: f64,
}

impl Clip {
    /// `<set>/<file>`.
    pub(crate) fn file(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{}/{name}", self.set)
    }
}

/// The sound of a recording at `rate` Hz.
pub(crate) fn sound(path: &Path, rate: u32) -> Result<Vec<f32>, Exit> {
    let recording = Recording::open(path)
        .map_err(|error| Exit::new(Code::Input, format!("{}: {error}", path.display())))?;
    Ok(recording.resampled(rate).samples)
}

/// Where speech begins, pauses and ends in a recording, by ground truth of the corpus.
#[derive(Clone, Debug)]
pub(crate) struct Speech {
    pub(crate) start_s: f64,
    pub(crate) end_s: f64,
    pub(crate) longest_pause_s: f64,
    /// Start and end of each pause of 0.2 s or more.
    pub(crate) pauses_s: Vec<[f64; 2]>,
}

#[derive(Deserialize)]
struct ManifestLine {
    file: String,
    text: Option<String>,
    language: Option<String>,
    duration_s: f64,
}

#[derive(Deserialize)]
struct PauseLine {
    set: String,
    file: String,
    speech_start_s: f64,
    speech_end_s: f64,
    longest_pause_s: f64,
    internal_pauses_s: Vec<[f64; 2]>,
}

/// Every recording that has a text, set by set in the order of their names.
pub(crate) fn clips(folder: &Path) -> Result<Vec<Clip>, Exit> {
    let mut clips = recordings(folder)?;
    clips.retain(|clip| !clip.text.is_empty());
    Ok(clips)
}

/// Every recording, with or without a text, in the same order.
pub(crate) fn recordings(folder: &Path) -> Result<Vec<Clip>, Exit> {
    let unreadable = |error: std::io::Error| {
        Exit::new(Code::Input, format!("{}: {error}", folder.display()))
            .with_hint("--speech names a folder of recordings with a manifest.jsonl in each set")
    };
    let mut sets = fs::read_dir(folder)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.join("manifest.jsonl").is_file())
        .collect::<Vec<_>>();
    sets.sort();

    let mut clips = Vec::new();
    for set in sets {
        let name = set
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        for line in lines::<ManifestLine>(&set.join("manifest.jsonl"))? {
            clips.push(Clip {
                set: name.clone(),
                path: set.join(line.file),
                text: line.text.unwrap_or_default(),
                language: line.language.unwrap_or_else(|| "en".to_owned()),
                seconds: line.duration_s,
            });
        }
    }
    if clips.is_empty() {
        return Err(Exit::new(
            Code::Input,
            format!("{} holds no set with a manifest.jsonl", folder.display()),
        ));
    }
    Ok(clips)
}

/// Looks up where speech begins and ends.
pub(crate) struct PauseMap(Vec<PauseLine>);

impl PauseMap {
    pub(crate) fn read(folder: &Path) -> Result<Self, Exit> {
        lines(&folder.join("pause_map.jsonl")).map(Self)
    }

    pub(crate) fn speech(&self, clip: &Clip) -> Option<Speech> {
        let file = clip.path.file_name()?.to_str()?;
        let line = self
            .0
            .iter()
            .find(|line| line.set == clip.set && line.file == file)?;
        Some(Speech {
            start_s: line.speech_start_s,
            end_s: line.speech_end_s,
            longest_pause_s: line.longest_pause_s,
            pauses_s: line.internal_pauses_s.clone(),
        })
    }
}

/// Reads a file of JSON lines.
pub(crate) fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Exit> {
    let text = fs::read_to_string(path)
        .map_err(|error| Exit::new(Code::Input, format!("{}: {error}", path.display())))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                Exit::new(
                    Code::Input,
                    format!("{}:{}: {error}", path.display(), number + 1),
                )
            })
        })
        .collect()
}
