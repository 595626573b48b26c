//! From the files of a recording to what is in them.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
};

use kaiwa_server::journal::Line;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    exit::{Code, Exit},
    record::{ABOUT, About, EVENTS, FORMAT, MOMENTS, SESSION},
};

/// A recording, but for its sound.
pub(super) struct Recorded {
    /// The conversation's events.
    pub(super) moments: Vec<Value>,
    /// The protocol's events.
    pub(super) events: Vec<Traced>,
    /// The journal of the session; `None` for another machine's.
    pub(super) journal: Option<Vec<Line>>,
}

/// An event of the protocol.
#[derive(Debug, Deserialize)]
pub(super) struct Traced {
    /// Milliseconds since the conversation was started.
    pub(super) at_ms: f64,
    /// `sent` or `received`.
    pub(super) direction: String,
    pub(super) json: Value,
}

/// Says what a folder holds, if it is a recording that can be read.
pub(super) fn about(folder: &Path) -> Result<About, Exit> {
    let path = folder.join(ABOUT);
    let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Exit::new(
            Code::Input,
            format!("{} holds no recording", folder.display()),
        )
        .with_hint("\"kaiwa talk --record DIR\" makes one"),
        _ => unreadable(&path, error),
    })?;
    let about: About = serde_json::from_str(&text).map_err(|error| unreadable(&path, error))?;
    if about.format == FORMAT {
        return Ok(about);
    }
    let (found, kaiwa) = (about.format, about.kaiwa);
    Err(Exit::new(
        Code::Input,
        format!(
            "{} has format {found}, and this kaiwa reads format {FORMAT}",
            folder.display()
        ),
    )
    .with_hint(format!("it was made by kaiwa {kaiwa}")))
}

/// Everything but the sound.
pub(super) fn recorded(folder: &Path) -> Result<Recorded, Exit> {
    let has_journal = folder.join(SESSION).exists();
    Ok(Recorded {
        moments: lines(&folder.join(MOMENTS))?.collect::<Result<_, _>>()?,
        events: lines(&folder.join(EVENTS))?.collect::<Result<_, _>>()?,
        journal: has_journal
            .then(|| lines(&folder.join(SESSION))?.collect())
            .transpose()?,
    })
}

/// The lines of a file, one by one: journals are long.
///
/// A last line without its end is left out: whoever wrote it was stopped in the middle.
pub(super) fn lines<T: DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<T, Exit>> + use<'_, T>, Exit> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let mut file = BufReader::new(file);
    let mut number = 0;
    Ok(std::iter::from_fn(move || {
        number += 1;
        let mut line = Vec::new();
        match file.read_until(b'\n', &mut line) {
            Ok(_) if line.pop() == Some(b'\n') => {}
            Ok(_) => return None,
            Err(error) => return Some(Err(unreadable(path, error))),
        }
        let read = serde_json::from_slice(&line);
        Some(read.map_err(|error| unreadable(path, format_args!("line {number}: {error}"))))
    }))
}

pub(super) fn unreadable(path: &Path, error: impl std::fmt::Display) -> Exit {
    Exit::new(
        Code::Input,
        format!("cannot read {}: {error}", path.display()),
    )
}
