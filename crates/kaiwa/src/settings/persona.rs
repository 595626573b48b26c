//! Personas: who the assistant is, in a file of its own.
//!
//! A persona is Markdown. What stands between two lines of `---` at its beginning are options of
//! `talk`, one a line, as in `voice: marin`; the rest is what the assistant is told.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    file::{Entry, Table},
    judge, option,
};
use crate::exit::{Code, Exit};

/// Personas that need no file. One of the same name in the configuration goes before.
const BUILT_IN: [(&str, &str); 1] = [("haiku", include_str!("personas/haiku.md"))];

/// What a persona may decide beside the instructions.
const DECIDED: [&str; 5] = ["eagerness", "llm", "model", "turn", "voice"];

/// The line around the options.
const FENCE: &str = "---";

/// What the persona of this name says the options are.
pub(super) fn load(name: &str, folder: Option<&Path>) -> Result<Vec<Entry>, Exit> {
    let folder = folder.map(|folder| folder.join("personas"));
    if let Some(path) = folder.as_ref().filter(|_| is_plain(name)) {
        let path = path.join(format!("{name}.md"));
        match fs::read_to_string(&path) {
            Ok(text) => return parse(&path.display().to_string(), &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Exit::new(
                    Code::Usage,
                    format!("cannot read the persona {}: {error}", path.display()),
                )
                .with_hint("a persona is a text file that you may read"));
            }
        }
    }
    match BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
        Some((_, text)) => parse(&format!("built-in persona {name}"), text),
        None => Err(unknown(name, folder)),
    }
}

/// Whether a name can be no path out of the folder.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    !name.is_empty() && name.chars().all(plain)
}

fn unknown(name: &str, folder: Option<PathBuf>) -> Exit {
    let mut names: BTreeSet<String> = BUILT_IN
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let files = folder.as_ref().and_then(|folder| fs::read_dir(folder).ok());
    for file in files.into_iter().flatten().flatten() {
        let path = file.path();
        if path.extension().is_some_and(|extension| extension == "md")
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
        {
            names.insert(name.to_owned());
        }
    }
    let names: Vec<String> = names.into_iter().collect();
    let exit = Exit::new(
        Code::Usage,
        format!(
            "no persona is called {name:?}; known personas: {}",
            names.join(", ")
        ),
    );
    match folder {
        Some(folder) => exit.with_hint(format!("write one as NAME.md in {}", folder.display())),
        None => exit,
    }
}

/// Reads a persona that stands at `origin`.
fn parse(origin: &str, text: &str) -> Result<Vec<Entry>, Exit> {
    let refuse = |line: usize, what: &str| {
        Exit::new(Code::Usage, format!("{origin}:{line}: {what}"))
            .with_hint("docs/configuration.md shows a persona")
    };
    let mut entries = Vec::new();
    let mut told = text;
    if text.lines().next().map(str::trim_end) == Some(FENCE) {
        let mut is_closed = false;
        let mut read = 0;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            read += line.len();
            let (line, number) = (line.trim(), index + 1);
            if line == FENCE && index > 0 {
                is_closed = true;
                break;
            }
            if index == 0 || line.is_empty() {
                continue;
            }
            let pair = line.split_once(':');
            let (name, value) = pair.ok_or_else(|| refuse(number, "expected NAME: VALUE"))?;
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            let arg = option(Table::Talk, name).filter(|_| DECIDED.contains(&name));
            let arg = arg.ok_or_else(|| {
                let decided = DECIDED.join(", ");
                refuse(
                    number,
                    &format!("a persona does not decide \"{name}\" but {decided}"),
                )
            })?;
            judge(Table::Talk, &arg, value).map_err(|why| refuse(number, &why))?;
            entries.push(Entry {
                id: arg.get_id().to_string(),
                values: vec![value.to_owned()],
                origin: format!("{origin}:{number}"),
            });
        }
        if !is_closed {
            return Err(refuse(
                1,
                "the options have no end: a line of --- is missing",
            ));
        }
        told = text.get(read..).unwrap_or_default();
    }
    let told = told.trim();
    if told.is_empty() {
        return Err(refuse(1, "the persona says nothing: its text is missing"));
    }
    // As an option's value, @ at the beginning would name a file.
    let guard = if told.starts_with('@') { " " } else { "" };
    entries.push(Entry {
        id: "instructions".to_owned(),
        values: vec![format!("{guard}{told}")],
        origin: origin.to_owned(),
    });
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_persona_can_be_read() {
        for (name, _) in BUILT_IN {
            let entries = load(name, None).expect(name);
            assert!(entries.iter().any(|entry| entry.id == "instructions"));
        }
    }

    #[test]
    fn options_and_text_are_told_apart() {
        let text = "---\nvoice: \"cedar\"\n\nturn: server\n---\n\n@all, be brief.\n---\nAlways.\n";
        let entries = parse("p.md", text).expect("a persona");
        let shown: Vec<_> = entries
            .iter()
            .map(|entry| {
                (
                    entry.id.as_str(),
                    entry.values[0].as_str(),
                    entry.origin.as_str(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("voice", "cedar", "p.md:2"),
                ("turn", "server", "p.md:4"),
                ("instructions", " @all, be brief.\n---\nAlways.", "p.md"),
            ]
        );
        let bare = parse("p.md", "Be brief.").expect("a persona");
        assert_eq!(bare.len(), 1);
    }

    #[test]
    fn a_persona_that_cannot_be_used_says_why() {
        for (text, line, part) in [
            ("---\nvoice: a\n", 1, "no end"),
            ("---\nvoice\n---\nHi", 2, "NAME: VALUE"),
            ("---\n\nbudget: 5\n---\nHi", 3, "\"budget\""),
            ("---\nturn: never\n---\nHi", 2, "'never'"),
            ("---\nvoice: a\n---\n \n", 1, "says nothing"),
            ("", 1, "says nothing"),
        ] {
            let exit = parse("p.md", text).expect_err(text);
            assert_eq!(exit.code, Code::Usage);
            assert!(
                exit.message.starts_with(&format!("p.md:{line}: ")),
                "{exit}"
            );
            assert!(exit.message.contains(part), "{exit}");
        }
    }

    #[test]
    fn a_file_goes_before_the_built_in_and_a_name_is_no_path() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("personas")).expect("a folder");
        fs::write(folder.path().join("secret.md"), "Secret.").expect("written");
        for name in ["haiku", "pirate"] {
            let path = folder.path().join("personas").join(format!("{name}.md"));
            fs::write(path, "Mine.").expect("written");
        }
        let entries = load("haiku", Some(folder.path())).expect("a persona");
        assert_eq!(entries[0].values, ["Mine."]);
        for name in ["../secret", "nobody", ""] {
            let exit = load(name, Some(folder.path())).expect_err(name);
            assert!(
                exit.message.contains("known personas: haiku, pirate"),
                "{exit}"
            );
        }
    }
}
