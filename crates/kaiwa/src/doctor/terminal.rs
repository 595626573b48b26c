//! What the terminal can do.

use std::{
    env,
    io::{self, IsTerminal},
};

use super::{Finding, Report};
use crate::{exit::Exit, talk};

/// Columns and rows below which the screen leaves something out (`docs/screen.md`).
const LEAST: (u16, u16) = (40, 11);

/// What is known of the terminal.
#[derive(Clone, Debug, Default)]
struct Facts {
    input: bool,
    output: bool,
    /// `TERM`.
    kind: Option<String>,
    no_color: bool,
    /// Columns and rows.
    size: Option<(u16, u16)>,
    /// Whether it tells when a key is let go of.
    releases: bool,
}

pub(super) fn examine(report: &mut Report) -> Result<(), Exit> {
    let (input, output) = (io::stdin().is_terminal(), io::stdout().is_terminal());
    let facts = Facts {
        input,
        output,
        kind: env::var("TERM").ok(),
        no_color: env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        size: crossterm::terminal::size().ok().filter(|_| output),
        releases: input && output && talk::tells_releases(),
    };
    report.tell_all(&findings(&facts))
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let missing = match (facts.input, facts.output) {
        (true, true) => None,
        (false, true) => Some("stdin is no terminal"),
        (true, false) => Some("stdout is no terminal"),
        (false, false) => Some("stdin and stdout are no terminals"),
    };
    if let Some(missing) = missing {
        return vec![Finding::note(
            "screen",
            format_args!("{missing}: kaiwa talk prints lines instead of a screen"),
            "run it at a terminal, unless lines are what you want",
        )];
    }
    if facts.kind.as_deref() == Some("dumb") {
        return vec![Finding::note(
            "screen",
            "TERM is dumb: kaiwa talk prints lines instead of a screen",
            "use another terminal, unless lines are what you want",
        )];
    }
    let colours = match facts.no_color {
        true => "without colours (NO_COLOR)",
        false => "in colours",
    };
    let screen = match facts.size {
        Some((columns, rows)) if columns < LEAST.0 || rows < LEAST.1 => Finding::note(
            "screen",
            format_args!("{columns} columns and {rows} rows, {colours}"),
            format_args!(
                "make it {} columns and {} rows or more, for meters and keys",
                LEAST.0, LEAST.1
            ),
        ),
        Some((columns, rows)) => Finding::ok(
            "screen",
            format_args!("{columns} columns and {rows} rows, {colours}"),
        ),
        None => Finding::note(
            "screen",
            "the terminal does not tell its size",
            "use --plain if the screen is garbled",
        ),
    };
    let keys = match facts.releases {
        true => "the terminal tells when a key is let go of: with --ptt, one is held down",
        false => "the terminal tells no releases: with --ptt, a key is pushed twice",
    };
    vec![screen, Finding::ok("keys", keys)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    fn whole() -> Facts {
        Facts {
            input: true,
            output: true,
            kind: Some("xterm".to_owned()),
            size: Some((80, 24)),
            ..Facts::default()
        }
    }

    fn told(facts: &Facts) -> String {
        let lines: Vec<String> = findings(facts).iter().map(Finding::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn a_terminal_is_told_by_what_it_can_do() {
        assert_eq!(
            told(&whole()),
            "ok       screen          80 columns and 24 rows, in colours\n\
             ok       keys            the terminal tells no releases: with --ptt, a key is pushed twice"
        );
        let facts = Facts {
            releases: true,
            no_color: true,
            ..whole()
        };
        assert!(told(&facts).contains("without colours (NO_COLOR)"));
        assert!(told(&facts).contains("one is held down"));
    }

    #[test]
    fn what_is_no_screen_is_noted() {
        for facts in [
            Facts {
                input: false,
                ..whole()
            },
            Facts {
                output: false,
                ..whole()
            },
            Facts {
                kind: Some("dumb".to_owned()),
                ..whole()
            },
            Facts {
                size: Some((39, 24)),
                ..whole()
            },
            Facts {
                size: Some((80, 10)),
                ..whole()
            },
            Facts {
                size: None,
                ..whole()
            },
        ] {
            assert_eq!(findings(&facts)[0].verdict, Verdict::Note, "{facts:?}");
        }
    }
}
