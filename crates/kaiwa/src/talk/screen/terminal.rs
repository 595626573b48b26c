//! The terminal: taken over, and given back on every way out.

use std::{
    io::{self, Stdout},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    event::{
        DisableBracketedPaste, EnableBracketedPaste, KeyboardEnhancementFlags,
        PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
    },
    execute, terminal,
};
use ratatui::{Terminal, backend::CrosstermBackend};

use super::{
    model::Model,
    view::{self, Palette},
};
use crate::{
    exit::{Code, Exit},
    output,
};

/// Whether the terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether it was asked to tell when keys are let go of.
static TELLS: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours; dropped, it is as it was.
pub(super) struct Taken {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    palette: Palette,
}

/// Whether the terminal tells when a key is let go of. It is asked, and answers at once.
pub(crate) fn tells_releases() -> bool {
    terminal::supports_keyboard_enhancement().unwrap_or(false)
}

impl Taken {
    /// Takes the terminal over. What is said to stderr meanwhile waits.
    pub(super) fn new(releases: bool) -> Result<Self, Exit> {
        give_back_on_panic();
        // From here on, dropping it undoes what was done.
        TAKEN.store(true, Ordering::SeqCst);
        let taken = Self::take(releases);
        if taken.is_err() {
            give_back();
        }
        taken.map_err(unusable)
    }

    fn take(releases: bool) -> io::Result<Self> {
        output::hold();
        terminal::enable_raw_mode()?;
        execute!(
            io::stdout(),
            terminal::EnterAlternateScreen,
            EnableBracketedPaste
        )?;
        if releases {
            TELLS.store(true, Ordering::SeqCst);
            let flags = KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES
                | KeyboardEnhancementFlags::REPORT_EVENT_TYPES;
            execute!(io::stdout(), PushKeyboardEnhancementFlags(flags))?;
        }
        Ok(Self {
            terminal: Terminal::new(CrosstermBackend::new(io::stdout()))?,
            palette: Palette::of_environment(),
        })
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> Result<(u16, u16), Exit> {
        let size = self.terminal.size().map_err(unusable)?;
        Ok((size.width, size.height))
    }

    /// Shows the model. After a panic somewhere the terminal is no longer ours to draw on.
    pub(super) fn draw(&mut self, model: &Model) -> Result<(), Exit> {
        if !TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        let palette = self.palette;
        let drawn = self.terminal.draw(|frame| {
            let area = frame.area();
            let cursor = view::draw(model, palette, area, frame.buffer_mut());
            if let Some(cursor) = cursor {
                frame.set_cursor_position(cursor);
            }
        });
        drawn.map(|_| ()).map_err(unusable)
    }

    /// Forgets what is on the terminal, so that all of it is drawn anew.
    pub(super) fn clear(&mut self) -> Result<(), Exit> {
        self.terminal.clear().map_err(unusable)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, if it is ours.
pub(super) fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // Each is tried, whatever became of those before: half a terminal is better than none.
    if TELLS.swap(false, Ordering::SeqCst) {
        execute!(io::stdout(), PopKeyboardEnhancementFlags).ok();
    }
    execute!(
        io::stdout(),
        DisableBracketedPaste,
        terminal::LeaveAlternateScreen,
        crossterm::cursor::Show
    )
    .ok();
    terminal::disable_raw_mode().ok();
    output::release();
}

/// What a panic says is to be read, wherever it happens.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
    });
}

fn unusable(error: io::Error) -> Exit {
    Exit::new(
        Code::Output,
        format!("the terminal cannot be used for a screen: {error}"),
    )
    .with_hint("--plain prints lines instead")
}
