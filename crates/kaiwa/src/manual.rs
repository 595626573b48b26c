//! Shell completions and manual pages, made from the command line's own grammar.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use clap_complete::Shell;
use clap_mangen::Man;

use crate::{
    exit::{Code, Exit},
    settings::grammar,
};

/// Prints completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut grammar(), "kaiwa", &mut script);
    print(&script)
}

/// Prints the manual page, or writes one for every command into a folder.
pub(crate) fn pages(folder: Option<&Path>) -> Result<(), Exit> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        Man::new(grammar()).render(&mut page).map_err(unwritten)?;
        return print(&page);
    };
    let written =
        fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(grammar(), folder));
    written.map_err(unwritten)
}

fn print(bytes: &[u8]) -> Result<(), Exit> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // `kaiwa man | head` is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritten(error)),
        _ => Ok(()),
    }
}

fn unwritten(error: io::Error) -> Exit {
    Exit::new(Code::Output, format!("the page cannot be written: {error}"))
}
