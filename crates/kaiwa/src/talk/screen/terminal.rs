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
        DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
        KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
    },
    execute, terminal,
};
use ratatui::{Terminal, backend::CrosstermBackend, layout::Rect};

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
/// Whether something panicked since the terminal was ours first.
static LOST: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours; dropped, it is as it was.
pub(super) struct Taken {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    palette: Palette,
    releases: bool,
}

/// Whether the terminal tells when a key is let go of. It is asked, and answers at once.
pub(crate) fn tells_releases() -> bool {
    terminal::supports_keyboard_enhancement().unwrap_or(false)
}

/// Whether something panicked, and the terminal was given back for that to be read.
pub(super) fn is_lost() -> bool {
    LOST.load(Ordering::SeqCst)
}

impl Taken {
    /// Takes the terminal over, with releases of keys if it can tell them. What is said to stderr
    /// meanwhile waits.
    pub(super) fn new(releases: bool) -> Result<Self, Exit> {
        give_back_on_panic();
        take(releases).map_err(unusable)?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()));
        Ok(Self {
            terminal: terminal.inspect_err(|_| give_back()).map_err(unusable)?,
            palette: Palette::of_environment(),
            releases,
        })
    }

    /// Takes the terminal over again, whoever had it meanwhile and whatever they made of it.
    pub(super) fn renew(&mut self) -> Result<(), Exit> {
        if is_lost() {
            return Ok(());
        }
        give_back();
        take(self.releases).map_err(unusable)?;
        self.clear()
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> Result<(u16, u16), Exit> {
        let size = self.terminal.size().map_err(unusable)?;
        Ok((size.width, size.height))
    }

    /// Shows the model. After a panic somewhere, and in a pause, the terminal is not ours to draw
    /// on.
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
        // `Terminal::clear` would ask where the cursor is and wait for an answer among the keys;
        // to be resized does the same without.
        let size = self.terminal.size();
        let cleared = size.and_then(|size| self.terminal.resize(Rect::from(size)));
        cleared.map_err(unusable)
    }
}

fn take(releases: bool) -> io::Result<()> {
    // From here on, giving it back undoes what was done.
    TAKEN.store(true, Ordering::SeqCst);
    let taken = set_up(releases);
    if taken.is_err() {
        give_back();
    }
    taken
}

fn set_up(releases: bool) -> io::Result<()> {
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
        // What is let go of elsewhere is told to others: then the focus tells.
        execute!(
            io::stdout(),
            PushKeyboardEnhancementFlags(flags),
            EnableFocusChange
        )?;
    }
    Ok(())
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
        execute!(
            io::stdout(),
            DisableFocusChange,
            PopKeyboardEnhancementFlags
        )
        .ok();
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
            LOST.store(true, Ordering::SeqCst);
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
