//! A recording gone through again.

use std::path::Path;

use kaiwa_server::journal::{Line, Replay};

use super::read::{lines, unreadable};
use crate::{
    exit::{Code, Exit},
    record::SESSION,
};

/// Gives a fresh session what the recorded one was given: one line about what came of it.
pub(super) fn run(folder: &Path) -> Result<String, Exit> {
    let path = folder.join(SESSION);
    if !path.exists() {
        return Err(Exit::new(
            Code::Input,
            format!("{} has no journal of a session", folder.display()),
        )
        .with_hint("only a conversation with the server inside kaiwa can be replayed"));
    }
    let mut lines = lines::<Line>(&path)?;
    let Some(Line::Head(head)) = lines.next().transpose()? else {
        return Err(unreadable(&path, "it does not begin with its head"));
    };
    let recorded_by = head.kaiwa.clone();
    let differs = |difference| {
        let exit = Exit::new(Code::Failure, format!("the replay differs at {difference}"));
        match recorded_by == env!("CARGO_PKG_VERSION") {
            true => exit,
            false => exit.with_hint(format!("it was recorded by kaiwa {recorded_by}")),
        }
    };
    let mut replay = Replay::new(*head).map_err(differs)?;
    for line in lines {
        replay.take(line?).map_err(differs)?;
    }
    let done = replay.finish();
    let (inputs, events, jobs) = (done.inputs, done.events, done.jobs);
    let how_far = match done.complete {
        true => "",
        false => ", up to where the recording stops",
    };
    Ok(format!(
        "replayed {inputs} inputs: the same {events} events and {jobs} orders to engines{how_far}"
    ))
}
