//! Reports as one page of HTML that needs nothing else: no network, no script.

pub(crate) mod plot;

use std::{
    fmt::{self, Write},
    fs,
};

use serde::Serialize;

use super::{machine::Machine, statistics::Proportion};
use crate::{
    cli::ReportArgs,
    exit::{Code, Exit},
    output::{json_line, note},
};

/// What a benchmark found: as JSON, as lines and as a page.
pub(crate) trait Report: Serialize {
    /// Prints the lines.
    fn print(&self) -> Result<(), Exit>;

    fn page(&self) -> Page;
}

/// A report.
pub(crate) struct Page {
    pub(crate) title: String,
    /// What was measured and how, in a sentence or two.
    pub(crate) lead: String,
    pub(crate) headlines: Vec<Headline>,
    pub(crate) sections: Vec<Section>,
    pub(crate) machine: Machine,
}

/// A figure that matters, and what it was to be.
pub(crate) struct Headline {
    name: String,
    value: String,
    /// Its interval, or what it counts.
    detail: String,
    target: Option<Target>,
}

struct Target {
    text: String,
    /// How far off, where it is not met.
    missed: Option<String>,
}

/// A part of a report: a plot or a table.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Plot(plot::Svg),
    Table(Table),
}

/// Rows of text; the first column is left-aligned, the others as numbers are.
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Headline {
    /// A figure without a target.
    pub(crate) fn new(
        name: impl Into<String>,
        value: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            detail: detail.into(),
            target: None,
        }
    }

    /// A figure that is to be `bound` or less.
    pub(crate) fn at_most(
        name: impl Into<String>,
        value: f64,
        bound: f64,
        unit: &str,
        detail: impl Into<String>,
    ) -> Self {
        let missed = (value > bound).then(|| format!("{} {unit} over", short(value - bound)));
        Self {
            target: Some(Target {
                text: format!("at most {} {unit}", short(bound)),
                missed,
            }),
            ..Self::new(name, format!("{} {unit}", short(value)), detail)
        }
    }

    /// A share of what was counted that is to be `percent` or more.
    pub(crate) fn share_of_at_least(
        name: impl Into<String>,
        share: Proportion,
        percent: f64,
    ) -> Self {
        match share.of {
            0 => Self::unmeasured(name),
            _ => Self::at_least(name, 100.0 * share.rate, percent, "%", share.line()),
        }
    }

    /// A share of what was counted that is to be `percent` or less.
    pub(crate) fn share_of_at_most(
        name: impl Into<String>,
        share: Proportion,
        percent: f64,
    ) -> Self {
        match share.of {
            0 => Self::unmeasured(name),
            _ => Self::at_most(name, 100.0 * share.rate, percent, "%", share.line()),
        }
    }

    /// A figure of which there is nothing.
    pub(crate) fn unmeasured(name: impl Into<String>) -> Self {
        Self::new(name, "not measured", "")
    }

    /// A figure that was to be something and does not exist.
    pub(crate) fn never(
        name: impl Into<String>,
        target: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            target: Some(Target {
                text: target.into(),
                missed: Some("never".to_owned()),
            }),
            ..Self::new(name, "never", detail)
        }
    }

    /// A figure that is to be `bound` or more.
    pub(crate) fn at_least(
        name: impl Into<String>,
        value: f64,
        bound: f64,
        unit: &str,
        detail: impl Into<String>,
    ) -> Self {
        let missed = (value < bound).then(|| format!("{} {unit} short", short(bound - value)));
        Self {
            target: Some(Target {
                text: format!("at least {} {unit}", short(bound)),
                missed,
            }),
            ..Self::new(name, format!("{} {unit}", short(value)), detail)
        }
    }
}

impl Section {
    pub(crate) fn plot(title: impl Into<String>, note: impl Into<String>, svg: plot::Svg) -> Self {
        Self {
            title: title.into(),
            note: note.into(),
            body: Body::Plot(svg),
        }
    }

    pub(crate) fn table(
        title: impl Into<String>,
        note: impl Into<String>,
        head: &[&str],
        rows: Vec<Vec<String>>,
    ) -> Self {
        Self {
            title: title.into(),
            note: note.into(),
            body: Body::Table(Table {
                head: head.iter().map(|&name| name.to_owned()).collect(),
                rows,
            }),
        }
    }
}

/// Prints the figures, and writes their page where one is wanted.
pub(crate) fn publish(report: &impl Report, wanted: &ReportArgs) -> Result<(), Exit> {
    if wanted.json {
        json_line(report)?;
    } else {
        report.print()?;
    }
    let Some(path) = &wanted.html else {
        return Ok(());
    };
    fs::write(path, report.page().to_string()).map_err(|error| {
        Exit::new(
            Code::Output,
            format!("cannot write the report {}: {error}", path.display()),
        )
        .with_hint("--html takes a file in a folder that exists")
    })?;
    note(format_args!("The report is in {}.", path.display()));
    Ok(())
}

/// Text as it may stand anywhere in HTML, in attributes too.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A number without digits that say nothing.
pub(crate) fn short(value: f64) -> String {
    let text = match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = escape(&self.title);
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
             <p class=\"lead\">{}</p>\n<div class=\"headlines\">\n",
            include_str!("page.css"),
            escape(&self.lead)
        )?;
        for headline in &self.headlines {
            write!(f, "{headline}")?;
        }
        f.write_str("</div>\n")?;
        for Section { title, note, body } in &self.sections {
            write!(f, "<section>\n<h2>{}</h2>\n", escape(title))?;
            if !note.is_empty() {
                writeln!(f, "<p>{}</p>", escape(note))?;
            }
            match body {
                Body::Plot(svg) => writeln!(f, "{svg}")?,
                Body::Table(table) => write!(f, "{table}")?,
            }
            f.write_str("</section>\n")?;
        }
        write!(
            f,
            "<footer>{}</footer>\n</body>\n</html>\n",
            escape(&self.machine.line())
        )
    }
}

impl fmt::Display for Headline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<div class=\"headline\"><h3>{}</h3><b>{}</b><small>{}</small>",
            escape(&self.name),
            escape(&self.value),
            escape(&self.detail)
        )?;
        if let Some(Target { text, missed }) = &self.target {
            let (class, verdict) = match missed {
                None => ("met", "met".to_owned()),
                Some(by) => ("missed", format!("missed: {by}")),
            };
            write!(
                f,
                "<small class=\"{class}\">{}, {}</small>",
                escape(text),
                escape(&verdict)
            )?;
        }
        f.write_str("</div>\n")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, tag: &str, cells: &[String]| {
            f.write_str("<tr>")?;
            for cell in cells {
                write!(f, "<{tag}>{}</{tag}>", escape(cell))?;
            }
            f.write_char('\n')
        };
        f.write_str("<div class=\"wide\"><table>\n")?;
        row(f, "th", &self.head)?;
        for cells in &self.rows {
            row(f, "td", cells)?;
        }
        f.write_str("</table></div>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "<script>alert(\"it's & more\")</script>";

    #[test]
    fn nothing_that_is_shown_is_markup() {
        let bars = plot::Bars {
            unit: NASTY.to_owned(),
            parts: vec![NASTY.to_owned()],
            bars: vec![(NASTY.to_owned(), vec![3.0])],
        };
        let page = Page {
            title: NASTY.to_owned(),
            lead: NASTY.to_owned(),
            headlines: vec![
                Headline::new(NASTY, NASTY, NASTY),
                Headline::at_most(NASTY, 2.0, 1.0, NASTY, NASTY),
            ],
            sections: vec![
                Section::plot(NASTY, NASTY, bars.draw()),
                Section::table(NASTY, NASTY, &[NASTY], vec![vec![NASTY.to_owned()]]),
            ],
            machine: Machine::new(Some(1), vec![NASTY.to_owned()]),
        };
        let html = page.to_string();
        assert!(!html.contains("<script"), "{html}");
        let escaped = "&lt;script&gt;alert(&quot;it&#39;s &amp; more&quot;)&lt;/script&gt;";
        assert_eq!(html.matches(escaped).count(), 23, "{html}");
        assert!(!html.contains("http://") && !html.contains("https://"));
    }

    #[test]
    fn a_headline_says_whether_and_by_how_much() {
        for (headline, expected) in [
            (
                Headline::at_most("p50", 600.0, 600.0, "ms", ""),
                "at most 600 ms, met",
            ),
            (
                Headline::at_most("p50", 623.0, 600.0, "ms", ""),
                "at most 600 ms, missed: 23 ms over",
            ),
            (
                Headline::at_least("words", 97.5, 98.0, "%", ""),
                "at least 98 %, missed: 0.5 % short",
            ),
            (
                Headline::at_least("words", 98.0, 98.0, "%", ""),
                "at least 98 %, met",
            ),
        ] {
            let html = headline.to_string();
            assert!(html.contains(expected), "{html}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (0.904, "0.9"),
            (12.34, "12.3"),
            (100.0, "100"),
            (1234.5, "1234"),
            (-3.456, "-3.46"),
        ] {
            assert_eq!(short(value), expected);
        }
    }
}
