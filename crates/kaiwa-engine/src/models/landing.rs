use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{ModelError, ModelFile, Progress};
use crate::Cancel;

/// Bytes between two reports of progress.
const SHOW_EVERY: u64 = 128 * 1024;

/// Who watches a pull and who may stop it.
pub(super) struct Watch<'a> {
    pub(super) progress: &'a mut dyn FnMut(Progress<'_>),
    pub(super) cancel: &'a Cancel,
}

impl Watch<'_> {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        if self.cancel.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        Ok(())
    }
}

/// A file on its way into the store: bytes go to `.NAME.part` and through the hash.
pub(super) struct Landing<'a> {
    file: &'a ModelFile,
    target: PathBuf,
    part: PathBuf,
    out: File,
    hasher: Sha256,
    done: u64,
    resumed: bool,
}

impl<'a> Landing<'a> {
    /// Opens the `.part` file in `dir`. With `resume` what it holds is kept and hashed.
    pub(super) fn open(
        dir: &Path,
        file: &'a ModelFile,
        resume: bool,
        watch: &Watch<'_>,
    ) -> Result<Self, ModelError> {
        let part = dir.join(format!(".{}.part", file.name));
        let out = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part)
            .map_err(|error| ModelError::io("open", &part, file.size, error))?;
        let mut landing = Self {
            file,
            target: dir.join(&file.name),
            part,
            out,
            hasher: Sha256::new(),
            done: 0,
            resumed: false,
        };
        let held = landing.out.metadata().map_or(0, |metadata| metadata.len());
        if resume && (1..=file.size).contains(&held) {
            landing.done = hash_into(&mut landing.hasher, &mut landing.out, watch, &landing.part)?;
            landing.resumed = true;
        } else {
            landing.restart()?;
        }
        Ok(landing)
    }

    /// Bytes that are there.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Whether some of the bytes were there before this pull.
    pub(super) fn resumed(&self) -> bool {
        self.resumed
    }

    /// Throws away what is there.
    pub(super) fn restart(&mut self) -> Result<(), ModelError> {
        self.hasher = Sha256::new();
        self.done = 0;
        self.resumed = false;
        self.out
            .set_len(0)
            .and_then(|()| self.out.seek(SeekFrom::Start(0)))
            .map(drop)
            .or_else(|error| {
                // Not a regular file (a device behind a link): nothing to cut.
                if error.kind() == io::ErrorKind::InvalidInput {
                    return Ok(());
                }
                Err(ModelError::io("empty", &self.part, self.file.size, error))
            })
    }

    /// Appends all of `reader`. An error of the reader comes back as the inner `Err`.
    pub(super) fn append(
        &mut self,
        reader: &mut dyn Read,
        origin: &str,
        watch: &mut Watch<'_>,
    ) -> Result<io::Result<()>, ModelError> {
        let mut buffer = vec![0; 256 * 1024];
        let mut shown = self.done;
        loop {
            watch.check()?;
            let count = match reader.read(&mut buffer) {
                Ok(0) => return Ok(Ok(())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(error)),
            };
            let total = self.done + count as u64;
            if total > self.file.size {
                self.discard();
                return Err(ModelError::WrongSize {
                    origin: origin.to_owned(),
                    expected: self.file.size,
                    actual: total,
                });
            }
            if let Err(error) = self.out.write_all(&buffer[..count]) {
                let left = self.file.size - self.done;
                self.discard();
                return Err(ModelError::io("write", &self.part, left, error));
            }
            self.hasher.update(&buffer[..count]);
            self.done = total;
            if total - shown >= SHOW_EVERY || total == self.file.size {
                shown = total;
                (watch.progress)(Progress::Bytes {
                    file: &self.file.name,
                    done: total,
                    total: self.file.size,
                });
            }
        }
    }

    /// Checks size and hash and gives the file its name.
    pub(super) fn finish(self, origin: &str) -> Result<(), ModelError> {
        if self.done != self.file.size {
            self.discard();
            return Err(ModelError::WrongSize {
                origin: origin.to_owned(),
                expected: self.file.size,
                actual: self.done,
            });
        }
        let actual = hex(&self.hasher.clone().finalize());
        if actual != self.file.sha256 {
            self.discard();
            return Err(ModelError::WrongHash {
                origin: origin.to_owned(),
                expected: self.file.sha256.clone(),
                actual,
            });
        }
        if let Err(error) = self.out.sync_all() {
            self.discard();
            return Err(ModelError::io("write", &self.part, self.file.size, error));
        }
        fs::rename(&self.part, &self.target)
            .map_err(|error| ModelError::io("write", &self.target, 0, error))?;
        // The rename is durable once the folder is; a system without that is no worse off.
        if let Some(dir) = self.target.parent().and_then(|dir| File::open(dir).ok()) {
            let _ = dir.sync_all();
        }
        Ok(())
    }

    /// Removes the `.part` file: it would only be in the way.
    fn discard(&self) {
        // Whether or not it works, the next pull empties or checks what is left.
        let _ = fs::remove_file(&self.part);
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if self.done == 0 {
            self.discard();
        }
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub(super) fn hash_file(path: &Path, watch: &Watch<'_>) -> Result<String, ModelError> {
    let mut file = File::open(path).map_err(|error| ModelError::io("open", path, 0, error))?;
    let mut hasher = Sha256::new();
    hash_into(&mut hasher, &mut file, watch, path)?;
    Ok(hex(&hasher.finalize()))
}

/// Hashes the rest of `reader`, the file at `path`; gives the number of bytes.
fn hash_into(
    hasher: &mut Sha256,
    reader: &mut dyn Read,
    watch: &Watch<'_>,
    path: &Path,
) -> Result<u64, ModelError> {
    let mut buffer = vec![0; 1024 * 1024];
    let mut bytes = 0;
    loop {
        watch.check()?;
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ModelError::io("read", path, 0, error)),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
