//! `--record`: everything of one conversation in a folder, for `kaiwa inspect`.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use kaiwa_client::{DeviceCard, FileCardBuilder, Moment, Pace, Trace};
use kaiwa_server::JournalObserver;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{
    exit::{Code, Exit},
    lines::{Lines, Loss, create_private},
};

/// Says that a folder holds a recording, and of what kind.
pub(crate) const ABOUT: &str = "recording.json";
/// Both sides: the user left, the assistant right.
pub(crate) const AUDIO: &str = "audio.wav";
/// The conversation's events, as `--json` prints them.
pub(crate) const MOMENTS: &str = "moments.jsonl";
/// The protocol's events, as `--trace` writes them.
pub(crate) const EVENTS: &str = "events.jsonl";
/// The journal of the server's session; there is none of another machine's.
pub(crate) const SESSION: &str = "session.jsonl";

/// The version of this arrangement of files.
pub(crate) const FORMAT: u32 = 1;

/// How long the server in this process may take to end its session.
const PATIENCE: Duration = Duration::from_secs(3);

/// What [`ABOUT`] says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) format: u32,
    /// The version that recorded.
    pub(crate) kaiwa: String,
    /// Whether the conversation ran at the pace of speech; otherwise times mean little.
    pub(crate) real_time: bool,
}

/// A recording that is being written, or is to be.
pub(crate) struct Recording {
    folder: PathBuf,
    moments: Option<Lines>,
    loss: Loss,
    /// The server's session has ended, and its journal with it.
    ended: Option<oneshot::Receiver<()>>,
    /// Something was said or done that is worth keeping.
    begun: bool,
}

/// All files of a recording.
const PARTS: [&str; 5] = [ABOUT, AUDIO, MOMENTS, EVENTS, SESSION];

impl Recording {
    /// Makes room for a recording: a folder that does not hold one yet. Of one that is dropped
    /// before there is a conversation nothing stays, so that the folder can be used again.
    pub(crate) fn prepare(folder: &Path) -> Result<Self, Exit> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|error| {
            Exit::new(
                Code::Output,
                format!("cannot make the folder {}: {error}", folder.display()),
            )
            .with_hint("name another one with --record")
        })?;
        if PARTS.iter().any(|part| folder.join(part).exists()) {
            return Err(is_taken(folder));
        }
        Ok(Self {
            folder: folder.to_owned(),
            moments: None,
            loss: Loss::of("the recording"),
            ended: None,
            begun: false,
        })
    }

    /// Begins: there is somebody to talk to.
    pub(crate) fn begin(&mut self, pace: Pace) -> Result<(), Exit> {
        let about = About {
            format: FORMAT,
            kaiwa: env!("CARGO_PKG_VERSION").to_owned(),
            real_time: pace == Pace::RealTime,
        };
        let written = serde_json::to_writer(create(&self.folder, ABOUT)?, &about);
        written.map_err(|error| cannot_write(&self.folder.join(ABOUT), error))?;
        self.moments = Some(self.lines(MOMENTS)?);
        Ok(())
    }

    /// Has the card record both sides. A recording that cannot be written any more ends; the
    /// conversation does not.
    pub(crate) fn sound(&self, card: FileCardBuilder) -> Result<FileCardBuilder, Exit> {
        let path = self.folder.join(AUDIO);
        // Only to be private; the card writes into it.
        create(&self.folder, AUDIO)?;
        let loss = self.loss.clone();
        Ok(card.record_while_possible(path, move |error| loss.tell(error)))
    }

    /// The same for a card of devices.
    pub(crate) fn sound_of_devices(&self, card: DeviceCard) -> Result<DeviceCard, Exit> {
        create(&self.folder, AUDIO)?;
        let loss = self.loss.clone();
        let path = self.folder.join(AUDIO);
        Ok(card.record_while_possible(path, move |error| loss.tell(error))?)
    }

    /// Sees every event of the protocol, and shows it to another that wants to.
    pub(crate) fn trace(&self, mut other: Option<Trace>) -> Result<Trace, Exit> {
        let mut lines = self.lines(EVENTS)?;
        Ok(Box::new(move |entry| {
            lines.write(&entry);
            if let Some(other) = &mut other {
                other(entry);
            }
        }))
    }

    /// Keeps the journal of the first session of a server in this process.
    pub(crate) fn journal(&mut self) -> Result<JournalObserver, Exit> {
        let lines = self.lines(SESSION)?;
        let (end, ended) = oneshot::channel::<()>();
        self.ended = Some(ended);
        let unused = Mutex::new(Some((lines, end)));
        Ok(std::sync::Arc::new(move |_| {
            // A lock is poisoned by a panic of its holder, and there is nothing here to panic.
            let first = unused.lock().ok().and_then(|mut unused| unused.take());
            match first {
                Some((mut lines, end)) => Box::new(move |line| {
                    // The end is told by being dropped with the lines.
                    let _ = &end;
                    lines.write(line);
                }),
                None => Box::new(|_| {}),
            }
        }))
    }

    pub(crate) fn moment(&mut self, moment: &Moment) {
        if let Some(moments) = &mut self.moments {
            self.begun = true;
            moments.write(moment);
        }
    }

    /// Waits until the session in this process has written its last line.
    pub(crate) async fn complete(mut self) {
        if let Some(ended) = self.ended.take() {
            // Its sender says nothing and is dropped; a server that hangs is not waited for.
            drop(tokio::time::timeout(PATIENCE, ended).await);
        }
    }

    /// The same, with the sound of another file.
    pub(crate) async fn complete_with(self, sound: &Path) -> Result<(), Exit> {
        let path = self.folder.join(AUDIO);
        let copied = create(&self.folder, AUDIO).and_then(|mut file| {
            let copied = File::open(sound).and_then(|mut sound| io::copy(&mut sound, &mut file));
            copied.map_err(|error| cannot_write(&path, error))
        });
        self.complete().await;
        copied.map(drop)
    }

    fn lines(&self, name: &str) -> Result<Lines, Exit> {
        let file = create(&self.folder, name)?;
        Ok(Lines::new(self.folder.join(name), file, self.loss.clone()))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.begun {
            for part in PARTS {
                // It was found missing before, so it is ours, or not there.
                fs::remove_file(self.folder.join(part)).ok();
            }
        }
    }
}

fn create(folder: &Path, name: &str) -> Result<File, Exit> {
    let path = folder.join(name);
    create_private(&path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => is_taken(folder),
        _ => cannot_write(&path, error),
    })
}

fn is_taken(folder: &Path) -> Exit {
    Exit::new(
        Code::Output,
        format!("{} holds a recording already", folder.display()),
    )
    .with_hint("name another folder with --record")
}

fn cannot_write(path: &Path, error: impl std::fmt::Display) -> Exit {
    Exit::new(
        Code::Output,
        format!("cannot write {}: {error}", path.display()),
    )
}
