//! Where kaiwa reads and writes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use kaiwa_engine::models::Store;

use super::{Finding, Report};
use crate::{exit::Exit, settings};

/// `needed` are the models that a conversation would need.
pub(super) fn examine(
    needed: &[String],
    configuration: Option<&Path>,
    report: &mut Report,
) -> Result<(), Exit> {
    match Store::open_default() {
        Ok(store) => {
            let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
            let complete = store.missing(&needed).is_ok_and(|plan| plan.is_empty());
            report.tell(&model_store(store.root(), complete))?;
        }
        Err(error) => report.tell(&Finding::failure(
            "model store",
            error,
            "set KAIWA_MODELS_DIR to a folder of yours",
        ))?,
    }
    report.tell(&match settings::file(configuration) {
        Some(file) => configured(&file),
        None => Finding::note(
            "configuration",
            "there is no place for a configuration file",
            "set HOME or XDG_CONFIG_HOME, or name a file with KAIWA_CONFIG",
        ),
    })
}

/// The folder of models; `complete` if all that is needed is there.
fn model_store(root: &Path, complete: bool) -> Finding {
    let place = root.display();
    match (try_to_write(root), complete) {
        (Ok(()), _) => Finding::ok("model store", format_args!("{place} can be written")),
        (Err(error), true) => Finding::note(
            "model store",
            format_args!("{place} cannot be written ({error}); all that is needed is there"),
            "set KAIWA_MODELS_DIR to a folder of yours, to fetch other models",
        ),
        (Err(error), false) => Finding::problem(
            "model store",
            format_args!("{place} cannot be written ({error}), and models are missing"),
            "make it writable, or set KAIWA_MODELS_DIR to a folder of yours",
        ),
    }
}

/// The configuration file, which need not be there. That it can be read, and is understood, was
/// seen before.
fn configured(file: &Path) -> Finding {
    let place = file.display();
    let folder = file.parent().unwrap_or(file);
    match (file.exists(), try_to_write(folder)) {
        (true, Ok(())) => Finding::ok("configuration", format_args!("{place} is in force")),
        (false, Ok(())) => Finding::ok(
            "configuration",
            format_args!("no {place}: defaults are in force"),
        ),
        (_, Err(error)) => Finding::note(
            "configuration",
            format_args!("{} cannot be written: {error}", folder.display()),
            "make it writable, to keep settings and personas there",
        ),
    }
}

/// Writes a file into `folder` and removes it; where there is no such folder yet, into the one
/// that it would be made in.
fn try_to_write(folder: &Path) -> io::Result<()> {
    let folder = existing(folder);
    let path = folder.join(format!(".kaiwa-doctor-{}", process::id()));
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(path)
}

/// The nearest folder above, or this one, that is there.
fn existing(folder: &Path) -> PathBuf {
    let mut above = folder.ancestors().filter(|above| above.exists());
    // The way up from a relative path ends with the current folder, which has no name there.
    match above.next() {
        Some(above) if !above.as_os_str().is_empty() => above.to_owned(),
        Some(_) | None => ".".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    #[test]
    fn a_folder_that_is_not_there_yet_can_be_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("share/kaiwa/models");
        assert_eq!(model_store(&store, false).verdict, Verdict::Ok);
        let file = folder.path().join("config/kaiwa/config.toml");
        assert!(configured(&file).message.ends_with("defaults are in force"));
        fs::create_dir_all(file.parent().expect("a folder")).expect("it is made");
        fs::write(&file, "").expect("it is written");
        assert!(configured(&file).message.ends_with("is in force"));
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn what_cannot_be_written_matters_if_something_has_to_be() {
        let folder = tempfile::tempdir().expect("a folder");
        // Nobody, not even root, makes a folder in a file.
        let file = folder.path().join("file");
        fs::write(&file, "").expect("it is written");
        assert_eq!(model_store(&file, true).verdict, Verdict::Note);
        assert_eq!(model_store(&file, false).verdict, Verdict::Problem);
        assert_eq!(configured(&file.join("config.toml")).verdict, Verdict::Note);
    }
}
