//! A key that switches something, at a terminal that does not tell when it is let go of: held
//! down, such a key is pressed again and again.

/// The longest wait of a terminal before it repeats a key, in ms: the console's is 250, that of
/// X 660.
const LONGEST_DELAY_MS: u64 = 700;
/// The longest time from one repeat to the next, in ms: 20 to 50, and a network between.
const LONGEST_GAP_MS: u64 = 120;
/// Without a repeat for so long, in ms, the key was let go of.
const LET_GO_MS: u64 = 300;

/// Tells pushes from repeats. The second push within the longest delay may be either: what comes
/// within a gap after it decides.
#[derive(Debug, Default)]
pub(super) enum Switch {
    #[default]
    AtRest,
    /// Pushed once, at this time.
    Pushed(u64),
    /// Pushed again so soon that it may be a repeat.
    Perhaps(u64),
    /// Held down; the latest repeat came at this time.
    Held(u64),
}

/// What time tells of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// What held it down was let go of.
    LetGo,
    /// What was perhaps a repeat was a push.
    Pushed,
}

impl Switch {
    /// The key says that it is pressed, at `now_ms`. Whether that is a push; what [`Switch::known`]
    /// has to tell is to be asked for before.
    pub(super) fn press(&mut self, now_ms: u64) -> bool {
        let since = |at| now_ms.saturating_sub(at);
        *self = match *self {
            Self::Pushed(at) if since(at) <= LONGEST_DELAY_MS => Self::Perhaps(now_ms),
            Self::Perhaps(_) | Self::Held(_) => Self::Held(now_ms),
            Self::AtRest | Self::Pushed(_) => Self::Pushed(now_ms),
        };
        matches!(self, Self::Pushed(_))
    }

    /// What is known at `now_ms` that was not known before.
    pub(super) fn known(&mut self, now_ms: u64) -> Option<Known> {
        let since = |at| now_ms.saturating_sub(at);
        match *self {
            Self::Perhaps(at) if since(at) > LONGEST_GAP_MS => {
                *self = Self::Pushed(at);
                Some(Known::Pushed)
            }
            Self::Held(at) if since(at) > LET_GO_MS => {
                *self = Self::AtRest;
                Some(Known::LetGo)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of presses at these times, looked at every 10 ms: when there was a push, and
    /// when the key was known to be let go of.
    fn told(presses: impl IntoIterator<Item = u64>) -> (Vec<u64>, Vec<u64>) {
        let mut switch = Switch::default();
        let (mut pushes, mut releases) = (Vec::new(), Vec::new());
        let mut presses = presses.into_iter().peekable();
        for now_ms in (0..10_000).step_by(10) {
            match switch.known(now_ms) {
                Some(Known::Pushed) => pushes.push(now_ms),
                Some(Known::LetGo) => releases.push(now_ms),
                None => {}
            }
            if presses.next_if_eq(&now_ms).is_some() && switch.press(now_ms) {
                pushes.push(now_ms);
            }
        }
        (pushes, releases)
    }

    #[test]
    fn a_key_held_down_is_one_push_and_is_let_go_of_when_its_repeats_end() {
        for (delay, gap) in [(250, 20), (500, 30), (660, 40), (660, 120)] {
            let repeats = (0..).map(|n| delay + n * gap).take_while(|&at| at < 2000);
            let last = repeats.clone().last().unwrap_or_default();
            let presses = std::iter::once(0).chain(repeats);
            let released = last + LET_GO_MS + 10;
            assert_eq!(told(presses), (vec![0], vec![released]), "{delay} {gap}");
        }
    }

    #[test]
    fn pushes_are_pushes_however_soon_one_follows_another() {
        assert_eq!(told([0, 3000]), (vec![0, 3000], vec![]));
        assert_eq!(told([0, 1000, 1400]), (vec![0, 1000, 1530], vec![]));
        assert_eq!(told([0, 200, 400, 600]), (vec![0, 330, 530, 730], vec![]));
    }

    #[test]
    fn a_second_push_may_be_held_down() {
        let held = (0..40).map(|n| 900 + n * 30);
        let presses = [0, 400].into_iter().chain(held);
        assert_eq!(told(presses), (vec![0, 530], vec![2380]));
    }
}
