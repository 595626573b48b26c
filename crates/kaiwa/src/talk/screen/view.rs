//! The screen: a picture of the model, and of nothing else.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::{Color, Modifier, Style},
};

use super::{
    layout::Regions,
    model::{CELLS, Meter, Model, Phase, Talk},
    preparing::Preparing,
    wrap::{Kind, fitting, width},
};

/// Columns from which on numbers are said in full.
const WORDY: usize = 70;
/// Between two things in a row.
const GAP: &str = "   ";

/// Whether there may be colours. They say nothing that is not said in words, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Palette {
    Coloured,
    Plain,
}

impl Palette {
    /// As the environment wants it (<https://no-color.org>).
    pub(super) fn of_environment() -> Self {
        match std::env::var_os("NO_COLOR") {
            Some(value) if !value.is_empty() => Self::Plain,
            _ => Self::Coloured,
        }
    }

    fn of(self, kind: Kind) -> Style {
        let style = match kind {
            Kind::Assistant => Style::new().fg(Color::Green).bold(),
            Kind::Heard => Style::new(),
            Kind::Note => Style::new().fg(Color::Yellow),
            Kind::Unheard => Style::new()
                .fg(Color::DarkGray)
                .add_modifier(Modifier::DIM | Modifier::CROSSED_OUT),
            Kind::You => Style::new().fg(Color::Cyan).bold(),
        };
        self.only(style)
    }

    fn faint(self) -> Style {
        self.only(Style::new().fg(Color::DarkGray))
    }

    /// The style without what this palette has not.
    fn only(self, style: Style) -> Style {
        match self {
            Self::Coloured => style,
            Self::Plain => Style {
                fg: None,
                bg: None,
                ..style
            },
        }
    }
}

/// Draws the screen, and gives the cursor's place.
pub(super) fn draw(
    model: &Model,
    palette: Palette,
    area: Rect,
    buffer: &mut Buffer,
) -> Option<Position> {
    let regions = Regions::of(area.width, area.height);
    let phase = model.phase();
    title(model, &phase, regions.title, buffer);
    microphone(model, &phase, regions.microphone, buffer);
    speaker(model, &phase, regions.speaker, buffer);
    put(buffer, regions.upper_rule, &rule("", area), palette.faint());
    let below = transcript(model, palette, regions.transcript, buffer);
    let more = match below {
        0 => String::new(),
        1 => "one more row: PgDn".to_owned(),
        rows => format!("{rows} more rows: PgDn"),
    };
    put(
        buffer,
        regions.lower_rule,
        &rule(&more, area),
        palette.faint(),
    );
    put(
        buffer,
        regions.numbers,
        &numbers(model, regions.numbers),
        Style::new(),
    );
    put(
        buffer,
        regions.keys,
        &keys(model, regions.keys),
        palette.faint(),
    );
    line(model, regions.line, buffer)
}

fn title(model: &Model, phase: &Phase, area: Rect, buffer: &mut Buffer) {
    let mut said = format!("kaiwa: {}", words(phase, model.facts.talk));
    if let Phase::Preparing(Preparing::Fetching { done, total, .. }) = phase {
        let amount = amount(*done, *total);
        if width(&said) + width(&amount) < usize::from(area.width) {
            said = format!("{said} {amount}");
        }
    }
    put(buffer, area, &said, Style::new().bold());
    let Some(name) = &model.name else {
        return;
    };
    let taken = (width(&said) + GAP.len()) as u16;
    let room = area.width.saturating_sub(taken);
    let name = fitting(name, usize::from(room));
    let columns = width(name) as u16;
    let right = Rect {
        x: area.right() - columns,
        width: columns,
        ..area
    };
    put(buffer, right, name, Style::new());
}

/// What is going on, in words.
fn words(phase: &Phase, talk: Talk) -> String {
    match phase {
        Phase::Asking(name) => format!("may {name} be used?"),
        Phase::Connecting => "connecting".to_owned(),
        Phase::Ending => "ending".to_owned(),
        Phase::Hearing => "hearing you".to_owned(),
        Phase::Listening => "listening".to_owned(),
        Phase::Preparing(preparing) => match preparing {
            Preparing::Asking => "may it fetch models? y/n".to_owned(),
            Preparing::Checking(model) => format!("checking {model}"),
            Preparing::Connecting => "connecting".to_owned(),
            Preparing::Fetching { model, .. } => format!("fetching {model}"),
            Preparing::Loading => "loading models".to_owned(),
            Preparing::Waiting(model) => format!("waiting for {model}"),
        },
        Phase::Ready if talk == Talk::Freely => "ready; type".to_owned(),
        Phase::Ready => "ready; talk or type".to_owned(),
        Phase::Reconnecting => "reconnecting".to_owned(),
        Phase::Speaking => "speaking".to_owned(),
        Phase::Thinking => "thinking".to_owned(),
        Phase::Tool(name) => format!("using {name}"),
        Phase::Writing => "writing".to_owned(),
    }
}

fn microphone(model: &Model, phase: &Phase, area: Rect, buffer: &mut Buffer) {
    let marked = *phase == Phase::Hearing;
    let name = model.facts.microphone.as_deref();
    let covered = match (name, model.facts.talk, model.open) {
        (_, Talk::Freely, false) => Some("MUTED"),
        (None, ..) => Some("none"),
        (Some(_), _, false) => Some("closed"),
        (Some(_), _, true) => None,
    };
    let row = side("you", marked, &model.heard, covered, name, area);
    put(buffer, area, &row, Style::new());
}

fn speaker(model: &Model, phase: &Phase, area: Rect, buffer: &mut Buffer) {
    let marked = matches!(phase, Phase::Speaking | Phase::Writing);
    let name = model.facts.speaker.as_deref();
    let covered = name.is_none().then_some("none");
    let row = side("assistant", marked, &model.played, covered, name, area);
    put(buffer, area, &row, Style::new());
}

/// One side: whether it speaks, its meter, its device.
fn side(
    who: &str,
    marked: bool,
    meter: &Meter,
    covered: Option<&str>,
    device: Option<&str>,
    area: Rect,
) -> String {
    let [wide, narrow] = CELLS;
    let cells = if area.width < 50 { narrow } else { wide };
    let bar = match covered {
        Some(word) => format!("{word:^cells$}"),
        None => format!("{:<cells$}", "|".repeat(meter.filled(cells))),
    };
    let mark = if marked { '>' } else { ' ' };
    format!("{mark} {who:<9} [{bar}] {}", device.unwrap_or_default())
}

/// A line across, with a word in it.
fn rule(word: &str, area: Rect) -> String {
    let columns = usize::from(area.width);
    if word.is_empty() {
        return "─".repeat(columns);
    }
    let rest = columns.saturating_sub(width(word) + 4);
    format!("── {word} {}", "─".repeat(rest))
}

/// The transcript; how many rows there are below what is seen of it.
fn transcript(model: &Model, palette: Palette, area: Rect, buffer: &mut Buffer) -> usize {
    let (rows, below) = model.seen(usize::from(area.width), usize::from(area.height));
    for (row, y) in rows.iter().zip(area.top()..area.bottom()) {
        let mut x = area.x;
        for (kind, text) in &row.0 {
            let room = usize::from(area.right().saturating_sub(x));
            (x, _) = buffer.set_stringn(x, y, text, room, palette.of(*kind));
        }
    }
    below
}

/// The line, and the cursor's place.
fn line(model: &Model, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    const PROMPT: &str = "> ";
    let prompt = PROMPT.len() as u16;
    if area.is_empty() || area.width <= prompt {
        return None;
    }
    put(buffer, area, PROMPT, Style::new().bold());
    let field = Rect {
        x: area.x + prompt,
        width: area.width - prompt,
        ..area
    };
    let (text, column) = model.line.window(usize::from(field.width));
    put(buffer, field, text, Style::new());
    Some(Position::new(field.x + column as u16, field.y))
}

/// The last turn in numbers, and what everything took.
fn numbers(model: &Model, area: Rect) -> String {
    if let Some(Preparing::Fetching { done, total, .. }) = model.preparing() {
        return progress(*done, *total);
    }
    let wordy = usize::from(area.width) >= WORDY;
    let mut parts = Vec::new();
    if let Some(ms) = model.latency_ms {
        let seconds = ms as f64 / 1000.0;
        parts.push(match wordy {
            true => format!("answered after {seconds:.2} s"),
            false => format!("{seconds:.2} s"),
        });
    }
    if let Some((seen, made)) = model.tokens {
        parts.push(match wordy {
            true => format!("{seen} tokens in, {made} out"),
            false => format!("{} tokens", seen.saturating_add(made)),
        });
    }
    if let Some(spent) = &model.spent {
        let most = if spent.exact { "" } else { "at most " };
        parts.push(match spent.unpriced.first() {
            Some(name) => format!("no price known for {name}"),
            None => format!("{most}{}", spent.usd),
        });
    }
    fit(&parts, area)
}

/// How much of a model is here: 41 of 75 MB.
fn amount(done: u64, total: u64) -> String {
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    format!("{} of {} MB", megabytes(done), megabytes(total))
}

/// The same with a bar.
fn progress(done: u64, total: u64) -> String {
    const CELLS: u64 = 24;
    let filled = (done.min(total) * CELLS)
        .checked_div(total)
        .unwrap_or(CELLS);
    let bar = "|".repeat(filled as usize);
    format!("[{bar:<24}] {}", amount(done, total))
}

/// The keys, the most useful first: as many as there is room for. Or why one did nothing.
fn keys(model: &Model, area: Rect) -> String {
    if let Some(hint) = &model.hint {
        return hint.clone();
    }
    if model.preparing() == Some(&Preparing::Asking) {
        let keys = ["y fetch", "n end", "PgUp scroll"].map(str::to_owned);
        return fit(&keys, area);
    }
    if let Some(name) = model.question() {
        let keys = [
            format!("y use {name}"),
            "n refuse".to_owned(),
            "Ctrl-C end".to_owned(),
        ];
        return fit(&keys, area);
    }
    let talk = match (model.facts.talk, model.open) {
        (Talk::Freely, _) if model.facts.microphone.is_none() => None,
        (Talk::Freely, true) => Some("F2 mute"),
        (Talk::Freely, false) => Some("F2 unmute"),
        (Talk::Holding, _) => Some("hold Ctrl-Space/F4 talk"),
        (Talk::Pushing, false) => Some("Ctrl-Space/F4 talk"),
        (Talk::Pushing, true) => Some("Ctrl-Space/F4 send"),
    };
    let keys = [
        Some("Ctrl-C end"),
        talk,
        Some("Esc interrupt"),
        Some("Enter send"),
        Some("PgUp scroll"),
    ];
    let keys: Vec<String> = keys.into_iter().flatten().map(str::to_owned).collect();
    fit(&keys, area)
}

/// As many parts as fit into a row.
fn fit(parts: &[String], area: Rect) -> String {
    let mut row = String::new();
    for part in parts {
        let gap = if row.is_empty() { "" } else { GAP };
        if width(&row) + gap.len() + width(part) > usize::from(area.width) {
            break;
        }
        row.push_str(gap);
        row.push_str(part);
    }
    row
}

/// Writes into the first row of an area, which may be empty.
fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    if !area.is_empty() {
        buffer.set_stringn(area.x, area.y, text, usize::from(area.width), style);
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
