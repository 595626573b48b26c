//! Files of JSON, one object a line, written while a conversation goes on.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::Serialize;

use crate::output;

/// Whether writing has failed. Clones know the same, so that lines which belong together end
/// together, and a person is told once.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    what: &'static str,
    happened: Arc<AtomicBool>,
}

impl Loss {
    /// Nothing has failed yet. `what` is lost then, as in "the recording".
    pub(crate) fn of(what: &'static str) -> Self {
        Self {
            what,
            happened: Arc::default(),
        }
    }

    /// Writing has failed: says so, the first time.
    pub(crate) fn tell(&self, why: impl fmt::Display) {
        if !self.happened.swap(true, Ordering::Relaxed) {
            output::note(format_args!("kaiwa: {} ends here: {why}", self.what));
        }
    }

    fn happened(&self) -> bool {
        self.happened.load(Ordering::Relaxed)
    }
}

/// A file of lines. One that cannot be written ends; whoever writes goes on.
pub(crate) struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
    loss: Loss,
}

impl Lines {
    /// Writes into `file`, which is at `path`.
    pub(crate) fn new(path: PathBuf, file: File, loss: Loss) -> Self {
        Self {
            path,
            file: BufWriter::new(file),
            loss,
        }
    }

    pub(crate) fn write(&mut self, line: &impl Serialize) {
        if self.loss.happened() {
            return;
        }
        if let Err(error) = self.try_write(line) {
            let path = self.path.display();
            self.loss.tell(format_args!("cannot write {path}: {error}"));
        }
    }

    fn try_write(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, line)?;
        self.file.write_all(b"\n")?;
        // Whoever looks while the conversation goes on, or after it broke down, sees whole lines.
        self.file.flush()
    }
}

/// Makes a new file that nobody else on the machine may read: it holds what people said.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a whole file that nobody else may read, in the place of what was there. If that
/// fails, what was there stays.
pub(crate) fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    // What is left of an earlier try.
    fs::remove_file(&part).ok();
    let written = create_private(&part).and_then(|mut file| file.write_all(bytes));
    let replaced = written.and_then(|()| fs::rename(&part, path));
    if replaced.is_err() {
        fs::remove_file(&part).ok();
    }
    replaced
}
