//! `--record`: everything of one conversation in a folder, for `kaiwa inspect`.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use kaiwa_client::{FileCardBuilder, Moment, Pace, Trace};
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

/// A recording that is being written.
pub(crate) struct Recording {
    folder: PathBuf,
    moments: Lines,
    loss: Loss,
    /// The server's session has ended, and its journal with it.
    ended: Option<oneshot::Receiver<()>>,
}

impl Recording {
    /// Begins a recording in a folder, which is made where it is missing and must not hold
    /// one yet.
    pub(crate) fn create(folder: &Path, pace: Pace) -> Result<Self, Exit> {
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
        let about = About {
            format: FORMAT,
            kaiwa: env!("CARGO_PKG_VERSION").to_owned(),
            real_time: pace == Pace::RealTime,
        };
        let written = serde_json::to_writer(create(folder, ABOUT)?, &about);
        written.map_err(|error| {
            let path = folder.join(ABOUT);
            Exit::new(
                Code::Output,
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
        let loss = Loss::of("the recording");
        let moments = create(folder, MOMENTS)?;
        Ok(Self {
            moments: Lines::new(folder.join(MOMENTS), moments, loss.clone()),
            folder: folder.to_owned(),
            loss,
            ended: None,
        })
    }

    /// Has the card record both sides. A recording that cannot be written any more ends; the
    /// conversation does not.
    pub(crate) fn sound(&self, card: FileCardBuilder) -> Result<FileCardBuilder, Exit> {
        let path = self.folder.join(AUDIO);
        // Only to be private; the card writes into it.
        create(&self.folder, AUDIO)?;
        let loss = self.loss.clone();
        Ok(card.record_while_possible(&path, {
            let path = path.clone();
            move |error| loss.tell(&path, error)
        }))
    }

    /// Sees every event of the protocol, and shows it to another that wants to.
    pub(crate) fn trace(&self, mut other: Option<Trace>) -> Result<Trace, Exit> {
        let file = create(&self.folder, EVENTS)?;
        let mut lines = Lines::new(self.folder.join(EVENTS), file, self.loss.clone());
        Ok(Box::new(move |entry| {
            lines.write(&entry);
            if let Some(other) = &mut other {
                other(entry);
            }
        }))
    }

    /// Keeps the journal of the first session of a server in this process.
    pub(crate) fn journal(&mut self) -> Result<JournalObserver, Exit> {
        let file = create(&self.folder, SESSION)?;
        let lines = Lines::new(self.folder.join(SESSION), file, self.loss.clone());
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
        self.moments.write(moment);
    }

    /// Waits until the session in this process has written its last line.
    pub(crate) async fn complete(self) {
        if let Some(ended) = self.ended {
            // Its sender says nothing and is dropped; a server that hangs is not waited for.
            drop(tokio::time::timeout(PATIENCE, ended).await);
        }
    }

    /// The same, with sound that was recorded elsewhere.
    pub(crate) async fn complete_with(self, sound: &Path) -> Result<(), Exit> {
        let path = self.folder.join(AUDIO);
        let copied = create(&self.folder, AUDIO).and_then(|mut file| {
            let copied = File::open(sound).and_then(|mut sound| io::copy(&mut sound, &mut file));
            copied.map_err(|error| {
                let path = path.display();
                Exit::new(Code::Output, format!("cannot write {path}: {error}"))
            })
        });
        self.complete().await;
        copied.map(drop)
    }
}

fn create(folder: &Path, name: &str) -> Result<File, Exit> {
    let path = folder.join(name);
    create_private(&path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Exit::new(
            Code::Output,
            format!("{} holds a recording already", folder.display()),
        )
        .with_hint("name another folder with --record"),
        _ => Exit::new(
            Code::Output,
            format!("cannot write {}: {error}", path.display()),
        ),
    })
}
