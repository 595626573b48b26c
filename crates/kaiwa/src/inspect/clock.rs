//! Three clocks, and how they are brought together.
//!
//! Sound and moments run by the card's clock, which starts when the session is ready; the
//! protocol's events by the client's, which starts with the conversation; the journal by the
//! server's, which starts with the session. Each event that is known by two of them ties them
//! together. Between happening and being seen there is a delay, never less than none: of all
//! differences between two clocks the smallest is the truest.

/// How to tell the time of one clock by another.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Clock {
    /// Both run alike.
    Shifted(f64),
    /// One does not run by itself, as a card's that is fed as fast as it takes: between two
    /// events it is told by how far the other has come. By the first clock, in order.
    Tied(Vec<(f64, f64)>),
}

impl Clock {
    /// From times of the same events by both clocks, this one's first.
    pub(super) fn new(ties: impl IntoIterator<Item = (f64, f64)>, run_alike: bool) -> Self {
        let ties = ties.into_iter();
        if run_alike {
            let shift = ties.map(|(here, there)| there - here).reduce(f64::min);
            return Self::Shifted(shift.unwrap_or(0.0));
        }
        let mut ties: Vec<_> = ties.collect();
        ties.sort_by(|one, other| one.0.total_cmp(&other.0));
        Self::Tied(ties)
    }

    /// A time of this clock by the other.
    pub(super) fn there(&self, here: f64) -> f64 {
        let ties = match self {
            Self::Shifted(shift) => return here + shift,
            Self::Tied(ties) => ties,
        };
        let next = ties.partition_point(|(at, _)| *at <= here);
        match (next.checked_sub(1).map(|last| ties[last]), ties.get(next)) {
            (None, None) => here,
            (None, Some(first)) => first.1,
            (Some(last), None) => last.1,
            (Some(last), Some(next)) => {
                let part = (here - last.0) / (next.0 - last.0);
                last.1 + part * (next.1 - last.1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_difference_is_the_truest() {
        let clock = Clock::new([(100.0, 152.0), (200.0, 251.0), (300.0, 390.0)], true);
        assert_eq!(clock.there(1000.0), 1051.0);
        assert_eq!(Clock::new([], true).there(7.0), 7.0);
    }

    #[test]
    fn a_clock_that_does_not_run_by_itself_is_told_by_what_happened() {
        let clock = Clock::new([(20.0, 3000.0), (10.0, 1000.0)], false);
        let told = [0.0, 10.0, 15.0, 20.0, 99.0].map(|at| clock.there(at));
        assert_eq!(told, [1000.0, 1000.0, 2000.0, 3000.0, 3000.0]);
        assert_eq!(Clock::new([], false).there(7.0), 7.0);
    }
}
