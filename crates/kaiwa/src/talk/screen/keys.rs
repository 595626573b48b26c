//! What keys mean.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key with its meaning on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Backspace,
    /// A character for the line.
    Char(char),
    Clear,
    Delete,
    DeleteWord,
    Down,
    End,
    Enter,
    /// Ctrl-D: deletes in the line, and ends the conversation where there is none.
    Finish,
    Home,
    Interrupt,
    Left,
    Mute,
    PageDown,
    PageUp,
    Paste(String),
    /// Ctrl-Z: back to the shell for a while.
    Pause,
    /// The screen is drawn anew.
    Redraw,
    Right,
    /// Ctrl-C.
    Stop,
    /// The key to push to talk.
    Talk,
    /// It was let go of; few terminals tell.
    TalkReleased,
    Up,
}

impl Key {
    /// What the terminal tells means; `None` for nothing that a key could.
    pub(super) fn told(event: Event) -> Option<Self> {
        match event {
            Event::Key(event) => Self::of(&event),
            Event::Paste(text) => Some(Self::Paste(text)),
            // Wherever a key is let go of from now on, it is not told here.
            Event::FocusLost => Some(Self::TalkReleased),
            Event::FocusGained | Event::Mouse(_) | Event::Resize(..) => None,
        }
    }

    /// What a key of the terminal means.
    fn of(event: &KeyEvent) -> Option<Self> {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        let alt = event.modifiers.contains(KeyModifiers::ALT);
        if event.kind == KeyEventKind::Release {
            // Whichever of the two keys is let go of first.
            let talks = matches!(event.code, KeyCode::Char(' ') | KeyCode::F(4));
            return talks.then_some(Self::TalkReleased);
        }
        let is_first = event.kind == KeyEventKind::Press;
        let key = match event.code {
            KeyCode::Char(' ') if control => Self::Talk,
            // AltGr is both of them in some terminals.
            KeyCode::Char(character) if control && !alt => match character.to_ascii_lowercase() {
                'a' => Self::Home,
                'c' => Self::Stop,
                'd' => Self::Finish,
                'e' => Self::End,
                'l' => Self::Redraw,
                't' => Self::Mute,
                'u' => Self::Clear,
                'w' => Self::DeleteWord,
                'z' => Self::Pause,
                _ => return None,
            },
            KeyCode::Char(_) if alt && !control => return None,
            KeyCode::Char(character) => Self::Char(character),
            KeyCode::Backspace if alt || control => Self::DeleteWord,
            KeyCode::Backspace => Self::Backspace,
            KeyCode::Delete => Self::Delete,
            KeyCode::Down => Self::Down,
            KeyCode::End => Self::End,
            KeyCode::Enter => Self::Enter,
            KeyCode::Esc => Self::Interrupt,
            KeyCode::F(2) => Self::Mute,
            KeyCode::F(4) => Self::Talk,
            KeyCode::Home => Self::Home,
            KeyCode::Left => Self::Left,
            KeyCode::PageDown => Self::PageDown,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::Right => Self::Right,
            KeyCode::Up => Self::Up,
            _ => return None,
        };
        // A key that is held down says so again and again: a switch is not to flicker. Most
        // terminals call each time a press; of these the model knows.
        let is_switch = matches!(key, Self::Mute | Self::Pause | Self::Stop | Self::Talk);
        (is_first || !is_switch).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: KeyCode, modifiers: KeyModifiers, kind: KeyEventKind) -> Option<Key> {
        Key::of(&KeyEvent::new_with_kind(code, modifiers, kind))
    }

    #[test]
    fn keys_mean_what_the_screen_says() {
        use KeyModifiers as With;
        for (code, modifiers, meaning) in [
            (KeyCode::Char('q'), With::NONE, Some(Key::Char('q'))),
            (KeyCode::Char('Q'), With::SHIFT, Some(Key::Char('Q'))),
            (KeyCode::Char('c'), With::CONTROL, Some(Key::Stop)),
            (KeyCode::Char('D'), With::CONTROL, Some(Key::Finish)),
            (KeyCode::Char('t'), With::CONTROL, Some(Key::Mute)),
            (KeyCode::Char('z'), With::CONTROL, Some(Key::Pause)),
            (
                KeyCode::Char('@'),
                With::CONTROL | With::ALT,
                Some(Key::Char('@')),
            ),
            (KeyCode::Char('f'), With::ALT, None),
            (KeyCode::Char('x'), With::CONTROL, None),
            (KeyCode::Char(' '), With::CONTROL, Some(Key::Talk)),
            (KeyCode::F(2), With::NONE, Some(Key::Mute)),
            (KeyCode::F(9), With::NONE, None),
            (KeyCode::Esc, With::NONE, Some(Key::Interrupt)),
        ] {
            assert_eq!(
                of(code, modifiers, KeyEventKind::Press),
                meaning,
                "{code:?}"
            );
        }
    }

    #[test]
    fn a_held_key_writes_on_and_does_not_switch_again() {
        let none = KeyModifiers::NONE;
        let held = |code| of(code, none, KeyEventKind::Repeat);
        assert_eq!(held(KeyCode::Char('a')), Some(Key::Char('a')));
        assert_eq!(held(KeyCode::F(2)), None);
        assert_eq!(held(KeyCode::F(4)), None);
        let released = |code| of(code, none, KeyEventKind::Release);
        assert_eq!(released(KeyCode::Char(' ')), Some(Key::TalkReleased));
        assert_eq!(released(KeyCode::Char('a')), None);
    }

    #[test]
    fn with_the_focus_goes_the_key_that_is_held() {
        assert_eq!(Key::told(Event::FocusLost), Some(Key::TalkReleased));
        assert_eq!(Key::told(Event::FocusGained), None);
        let pasted = Event::Paste("text".to_owned());
        assert_eq!(Key::told(pasted), Some(Key::Paste("text".to_owned())));
    }
}
