//! `kaiwa inspect`: a recording as one page, or gone through again.

mod clock;
mod jobs;
mod page;
mod read;
mod replay;
mod sound;
mod story;

use crate::{
    cli::InspectArgs,
    exit::{Code, Exit},
    output,
};

pub(crate) fn run(arguments: &InspectArgs) -> Result<(), Exit> {
    let folder = &arguments.recording;
    let about = read::about(folder)?;
    if arguments.replay {
        return output::line(replay::run(folder)?);
    }
    let sound = sound::Stereo::open(&folder.join(crate::record::AUDIO))?;
    let recorded = read::recorded(folder)?;
    let story = story::Story::of(&about, &sound, &recorded);
    let path = match &arguments.output {
        Some(path) => path.clone(),
        None => folder.join("index.html"),
    };
    let source = page::Source::of(&sound, folder, &path);
    crate::lines::replace_private(&path, page::html(&story, &source).as_bytes()).map_err(
        |error| {
            Exit::new(
                Code::Output,
                format!("cannot write {}: {error}", path.display()),
            )
            .with_hint("name another file with --output")
        },
    )?;
    if let page::Source::Beside(sound) = &source {
        output::note(format_args!(
            "The sound is too long to be in the page, which plays it from {sound}."
        ));
    }
    output::line(path.display())
}
