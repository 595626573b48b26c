//! The sums spent, in a file that outlives the process.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kaiwa_client::costs::Usd;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::runtime::Handle;

use super::{config::RelayError, keys::Key};

/// The version of the file.
const FORMAT: u32 = 1;

/// What is kept of a key.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Kept {
    /// The period `spent` is of.
    pub(super) period: String,
    /// With every digit, as text: a number would lose some.
    #[serde(serialize_with = "exact", deserialize_with = "amount")]
    pub(super) spent: Usd,
    /// Set aside for responses that had not ended.
    #[serde(serialize_with = "exact", deserialize_with = "amount")]
    pub(super) under_way: Usd,
    /// The dearest response.
    #[serde(serialize_with = "exact", deserialize_with = "amount")]
    pub(super) largest: Usd,
}

#[derive(Deserialize, Serialize)]
struct Contents {
    format: u32,
    /// By the name of the key.
    keys: BTreeMap<String, Kept>,
}

/// Writes the sums down, when there is a file for them.
pub(super) struct Book {
    path: Option<PathBuf>,
    keys: Vec<Arc<Key>>,
    /// Keys that the file has and the relay does not: they may come back.
    others: BTreeMap<String, Kept>,
    /// A write is about to begin, which will see everything up to now.
    queued: AtomicBool,
    /// One write at a time.
    writing: Mutex<()>,
}

impl Book {
    /// Goes on with what the file says, if there is one, and writes it anew, so that a place
    /// that cannot be written to is known before anything is spent.
    pub(super) fn open(
        path: Option<PathBuf>,
        keys: Vec<Arc<Key>>,
    ) -> Result<Arc<Self>, RelayError> {
        let mut others = BTreeMap::new();
        if let Some(path) = &path {
            others = read(path).map_err(|reason| RelayError::State {
                path: path.clone(),
                reason,
            })?;
        }
        for key in &keys {
            if let Some(kept) = others.remove(&key.name) {
                key.resume(kept);
            }
        }
        let book = Arc::new(Self {
            path,
            keys,
            others,
            queued: AtomicBool::new(false),
            writing: Mutex::new(()),
        });
        book.write().map_err(|error| RelayError::State {
            path: book.path.clone().unwrap_or_default(),
            reason: error.to_string(),
        })?;
        Ok(book)
    }

    /// Something has changed: has it written down soon, beside whatever else goes on.
    pub(super) fn changed(self: &Arc<Self>) {
        if self.path.is_none() {
            return;
        }
        // Sessions are dropped with their runtime, too, and then nothing more is written.
        if let Ok(runtime) = Handle::try_current()
            && !self.queued.swap(true, Ordering::AcqRel)
        {
            let book = Arc::clone(self);
            runtime.spawn_blocking(move || book.write_or_tell());
        }
    }

    /// Writes everything down now.
    pub(super) async fn close(self: &Arc<Self>) {
        let book = Arc::clone(self);
        // A write that panics has been told by the panic.
        let _ = tokio::task::spawn_blocking(move || book.write_or_tell()).await;
    }

    fn write_or_tell(&self) {
        if let Err(error) = self.write() {
            tracing::error!(%error, path = ?self.path, "the sums spent cannot be written down");
        }
    }

    fn write(&self) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever changes from here on is another write's.
        self.queued.store(false, Ordering::Release);
        let mut keys = self.others.clone();
        keys.extend(self.keys.iter().map(|key| (key.name.clone(), key.kept())));
        let contents = Contents {
            format: FORMAT,
            keys,
        };
        let mut text = serde_json::to_vec_pretty(&contents)?;
        text.push(b'\n');
        replace(path, &text)
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Kept>, String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.to_string()),
    };
    let contents: Contents = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    match contents.format {
        FORMAT => Ok(contents.keys),
        other => Err(format!(
            "it has format {other}, and format {FORMAT} is known"
        )),
    }
}

/// Puts a file in the place of what was there, whole or not at all, for its owner only.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&part, path)
}

fn exact<S: Serializer>(usd: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
    const UNITS: u64 = 1_000_000_000_000;
    let (dollars, rest) = (usd.units() / UNITS, usd.units() % UNITS);
    serializer.collect_str(&format_args!("{dollars}.{rest:012}"))
}

fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Usd, D::Error> {
    Usd::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::config::RelayKey;

    fn key(name: &str) -> Arc<Key> {
        let key = RelayKey {
            name: name.to_owned(),
            ..RelayKey::default()
        };
        Arc::new(Key::new(key, Usd::ZERO, Arc::new(|| 0)))
    }

    #[tokio::test]
    async fn sums_are_kept_to_the_last_digit_and_those_of_absent_keys_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spent.json");
        let (a, b) = (key("a"), key("b"));
        let book = Book::open(Some(path.clone()), vec![Arc::clone(&a), b]).unwrap();
        a.spend(Usd::from_units(1_000_000_000_001));
        book.close().await;

        let only_b = Book::open(Some(path.clone()), vec![key("b")]).unwrap();
        only_b.close().await;

        let a = key("a");
        Book::open(Some(path.clone()), vec![Arc::clone(&a)]).unwrap();
        assert_eq!(a.spent().0, Usd::from_units(1_000_000_000_001));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_before_anything_is_spent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("spent.json");
        for text in ["", "{}", "[]", r#"{"format":2,"keys":{}}"#] {
            fs::write(&file, text).unwrap();
            let error = Book::open(Some(file.clone()), vec![key("a")])
                .err()
                .unwrap();
            assert!(error.to_string().contains("spent.json"), "{error}");
            assert_eq!(
                fs::read_to_string(&file).unwrap(),
                text,
                "it is left as it was"
            );
        }
        let nowhere = folder.path().join("missing").join("spent.json");
        assert!(Book::open(Some(nowhere), vec![]).is_err());
    }
}
