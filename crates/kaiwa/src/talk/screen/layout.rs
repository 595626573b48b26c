//! Where on the screen things are.

use ratatui::layout::Rect;

/// From these rows on there is room for everything.
const WHOLE: u16 = 11;
/// From these columns on both meters stand in one row.
const ABREAST: u16 = 100;

/// The parts of a screen. One without room has no height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Regions {
    /// What goes on, and with whom.
    pub(super) title: Rect,
    /// The user's meter and microphone.
    pub(super) microphone: Rect,
    /// The assistant's meter and speaker.
    pub(super) speaker: Rect,
    pub(super) upper_rule: Rect,
    pub(super) transcript: Rect,
    pub(super) lower_rule: Rect,
    /// What is typed.
    pub(super) line: Rect,
    /// The last turn in numbers, and all of them.
    pub(super) numbers: Rect,
    pub(super) keys: Rect,
}

impl Regions {
    /// For a screen of so many columns and rows. Where they are few, the transcript and the line
    /// are left.
    pub(super) fn of(columns: u16, rows: u16) -> Self {
        let row = |y: u16, height: u16| Rect::new(0, y.min(rows), columns, height);
        if rows < WHOLE {
            let title = u16::from(rows > 3);
            let line = u16::from(rows > 0);
            return Self {
                title: row(0, title),
                transcript: row(title, rows - title - line),
                line: row(rows - line, line),
                ..Self::default()
            };
        }
        let (microphone, speaker, top) = if columns < ABREAST {
            (row(1, 1), row(2, 1), 3)
        } else {
            let half = columns / 2;
            let left = Rect::new(0, 1, half, 1);
            (left, Rect::new(half, 1, columns - half, 1), 2)
        };
        Self {
            title: row(0, 1),
            microphone,
            speaker,
            upper_rule: row(top, 1),
            transcript: row(top + 1, rows - top - 5),
            lower_rule: row(rows - 4, 1),
            line: row(rows - 3, 1),
            numbers: row(rows - 2, 1),
            keys: row(rows - 1, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_within_the_screen_and_not_on_each_other() {
        for (columns, rows) in (0..30).flat_map(|rows| [(1, rows), (40, rows), (200, rows)]) {
            let all = Regions::of(columns, rows);
            let parts = [
                all.title,
                all.microphone,
                all.speaker,
                all.upper_rule,
                all.transcript,
                all.lower_rule,
                all.line,
                all.numbers,
                all.keys,
            ];
            let cells: u32 = parts.iter().map(|part| part.area()).sum();
            assert_eq!(
                cells,
                u32::from(columns) * u32::from(rows),
                "{columns}x{rows}"
            );
            for (index, part) in parts.iter().enumerate() {
                assert!(part.bottom() <= rows && part.right() <= columns, "{part:?}");
                for other in &parts[index + 1..] {
                    assert!(!part.intersects(*other), "{part:?} {other:?}");
                }
            }
        }
    }
}
