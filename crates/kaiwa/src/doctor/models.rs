//! The files of the models that a conversation would need.

use std::{path::Path, time::Duration};

use kaiwa_engine::models::{FileState, ModelError, Store};

use super::{Finding, Report, blocking};
use crate::{
    cli::TalkArgs,
    engines,
    exit::Exit,
    output,
    talk::{self, Target},
};

/// How long the files of one model may be read.
const READING: Duration = Duration::from_secs(120);

/// The models of a conversation; none for an endpoint or a script.
pub(super) fn needed(talk: &TalkArgs, target: &Target) -> Result<Vec<String>, Exit> {
    match target {
        Target::Embedded => talk::wanted(talk)?.needed(),
        Target::Remote(_) => Ok(Vec::new()),
    }
}

pub(super) async fn examine(
    talk: &TalkArgs,
    target: &Target,
    report: &mut Report,
) -> Result<(), Exit> {
    let needed = needed(talk, target)?;
    if needed.is_empty() {
        return report.tell(&Finding::ok(
            "models",
            "none are needed: another server, or a script, answers",
        ));
    }
    let llm = talk::wanted(talk)?.engines.llm;
    if engines::is_file(&llm) {
        report.tell(&own(Path::new(&llm)))?;
    }
    for name in needed {
        let looked = name.clone();
        let found = blocking(READING, &name, move || look(&looked)).await;
        report.tell(&found.unwrap_or_else(|late| late))?;
    }
    Ok(())
}

/// A language model in a file of the user's own.
fn own(path: &Path) -> Finding {
    let name = path.display();
    match path.metadata() {
        Ok(file) if file.is_file() => Finding::ok(
            "language model",
            format_args!("{name}, {}", output::megabytes(file.len())),
        ),
        Ok(_) => Finding::problem(
            "language model",
            format_args!("{name} is no file"),
            NAME_ONE,
        ),
        Err(error) => Finding::problem(
            "language model",
            format_args!("{name} cannot be read: {error}"),
            NAME_ONE,
        ),
    }
}

const NAME_ONE: &str =
    "name a GGUF file that is there, or a model of \"kaiwa models list\", with --llm";

/// Reads and hashes a model.
fn look(name: &str) -> Finding {
    match Store::open_default().and_then(|store| examined(&store, name)) {
        Ok(finding) => finding,
        Err(error) => Finding::failure(name, error, "\"kaiwa models list\" tells what there is"),
    }
}

fn examined(store: &Store, name: &str) -> Result<Finding, ModelError> {
    let model = store.manifest().model(name)?;
    let checks = store.verify(name)?;
    let bad = checks.iter().find(|check| {
        matches!(
            check.state,
            FileState::WrongHash { .. } | FileState::WrongSize { .. }
        )
    });
    if let Some(bad) = bad {
        let how = match &bad.state {
            FileState::WrongSize { expected, actual } => {
                format!("has {actual} bytes instead of {expected}")
            }
            _ => "has another hash than it must have".to_owned(),
        };
        return Ok(Finding::problem(
            name,
            format_args!("{} {how}", bad.file),
            format_args!("\"kaiwa models pull {name}\" fetches it again"),
        ));
    }
    let missing: u64 = checks
        .iter()
        .filter(|check| check.state == FileState::Missing)
        .filter_map(|check| model.file(&check.file).ok())
        .map(|file| file.size)
        .sum();
    Ok(match missing {
        0 => Finding::ok(
            name,
            format_args!(
                "here, {}, as it was published",
                output::megabytes(model.bytes())
            ),
        ),
        bytes => Finding::note(
            name,
            format_args!(
                "not here: {} are fetched when a conversation begins",
                output::megabytes(bytes)
            ),
            format_args!("\"kaiwa models pull {name}\" fetches it now"),
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kaiwa_engine::models::Manifest;

    use super::*;
    use crate::doctor::finding::Verdict;

    /// A model of one file, whose bytes are "abc".
    const MANIFEST: &str = r#"
[[model]]
name = "letters"
role = "language-model"
description = "the first three"
licence = "none"
licence-source = "none"

[[model.file]]
name = "letters.bin"
size = 3
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
sources = [{ from = "url", url = "https://kaiwa.invalid/letters.bin" }]
"#;

    #[test]
    fn a_model_is_here_or_missing_or_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = Manifest::parse(MANIFEST).expect("a manifest");
        let store = Store::at(folder.path()).with_manifest(manifest);
        let look = || examined(&store, "letters").expect("it is known");
        assert_eq!(look().verdict, Verdict::Note, "{}", look());
        let path = folder.path().join("letters/letters.bin");
        fs::create_dir(folder.path().join("letters")).expect("a folder");
        for (bytes, verdict) in [
            ("abc", Verdict::Ok),
            ("abd", Verdict::Problem),
            ("ab", Verdict::Problem),
        ] {
            fs::write(&path, bytes).expect("it is written");
            assert_eq!(look().verdict, verdict, "{}", look());
        }
        assert!(examined(&store, "numbers").is_err());
    }

    #[test]
    fn a_language_model_of_ones_own_is_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("own.gguf");
        assert_eq!(own(&file).verdict, Verdict::Problem);
        assert_eq!(own(folder.path()).verdict, Verdict::Problem);
        fs::write(&file, "GGUF").expect("it is written");
        assert_eq!(own(&file).verdict, Verdict::Ok);
    }
}
