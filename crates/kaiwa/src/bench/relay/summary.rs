//! All of it together: the figures, printed and as a page.

use std::time::Duration;

use serde::Serialize;

use crate::{
    bench::{
        machine::Machine,
        report::{Headline, Page, Report, Section},
    },
    exit::Exit,
    output::line,
};

/// What a relay may add to the way there and back, in microseconds.
const TARGET_US: f64 = 1000.0;

#[derive(Serialize)]
pub(super) struct Summary {
    machine: Machine,
    pub(super) kinds: Vec<Measured>,
    /// Events that came back other than they were sent.
    pub(super) differing: usize,
    /// Events that did not come back in time, or not at all.
    pub(super) lost: usize,
}

/// Rounds of one kind of event, as they come.
pub(super) struct Kind {
    name: &'static str,
    direct: Vec<Duration>,
    relayed: Vec<Duration>,
}

/// The way of one kind of event there and back, in microseconds.
#[derive(Serialize)]
pub(super) struct Measured {
    name: &'static str,
    rounds: usize,
    direct_us: Percentiles,
    relayed_us: Percentiles,
    /// How far the relay shifts the distribution.
    added_us: Percentiles,
}

#[derive(Clone, Copy, Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
}

impl Kind {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            direct: Vec::new(),
            relayed: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, [direct, relayed]: [Duration; 2]) {
        self.direct.push(direct);
        self.relayed.push(relayed);
    }

    pub(super) fn done(self) -> Measured {
        let rounds = self.direct.len();
        let direct = Percentiles::of(self.direct);
        let relayed = Percentiles::of(self.relayed);
        Measured {
            name: self.name,
            rounds,
            direct_us: direct,
            relayed_us: relayed,
            added_us: Percentiles {
                p50: relayed.p50 - direct.p50,
                p90: relayed.p90 - direct.p90,
                p99: relayed.p99 - direct.p99,
            },
        }
    }
}

impl Percentiles {
    /// By the nearest rank.
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1);
            let time = times.get(rank - 1).copied().unwrap_or_default();
            time.as_secs_f64() * 1e6
        };
        Self {
            p50: at(50),
            p90: at(90),
            p99: at(99),
        }
    }

    fn cells(self) -> [String; 3] {
        [self.p50, self.p90, self.p99].map(|us| format!("{us:.0}"))
    }
}

impl Summary {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            kinds: Vec::new(),
            differing: 0,
            lost: 0,
        }
    }

    fn unchanged(&self) -> &'static str {
        match (self.differing, self.lost) {
            (0, 0) => "every event unchanged",
            (_, 0) => "events were CHANGED",
            _ => "events were LOST",
        }
    }
}

impl Report for Summary {
    fn print(&self) -> Result<(), Exit> {
        line(self.machine.line())?;
        for kind in &self.kinds {
            let [p50, p90, p99] = kind.added_us.cells();
            let [direct50, direct90, direct99] = kind.direct_us.cells();
            line(format_args!(
                "{}: over plain TCP, with one session, the relay shifts the median of the way there \
                 and back by {p50} µs, the p90 by {p90} µs and the p99 by {p99} µs; without it \
                 they are {direct50}, {direct90} and {direct99} µs ({} rounds each)",
                kind.name, kind.rounds
            ))?;
        }
        line(self.unchanged())
    }

    fn page(&self) -> Page {
        let headlines = self.kinds.iter().map(|kind| {
            Headline::at_most(
                format!(
                    "{}: shift of the p99 over plain TCP, one session",
                    kind.name
                ),
                kind.added_us.p99,
                TARGET_US,
                "µs",
                format!("{} rounds each, there and back", kind.rounds),
            )
        });
        let rows = self.kinds.iter().flat_map(|kind| {
            [
                ("direct", kind.direct_us),
                ("by the relay", kind.relayed_us),
                ("shift", kind.added_us),
            ]
            .map(|(way, us)| {
                let mut row = vec![kind.name.to_owned(), way.to_owned()];
                row.extend(us.cells());
                row
            })
        });
        let mut all: Vec<Headline> = headlines.collect();
        all.push(Headline::at_most(
            "events changed",
            self.differing as f64,
            0.0,
            "",
            "compared byte for byte",
        ));
        all.push(Headline::at_most(
            "events lost",
            self.lost as f64,
            0.0,
            "",
            "not back within 30 s",
        ));
        Page {
            title: "Relay".to_owned(),
            lead: "Two conversations with the same server on this machine, one direct and one \
                   through a relay with limits in force, whose events go there and back by turns."
                .to_owned(),
            headlines: all,
            sections: vec![Section::table(
                "There and back",
                "In microseconds.",
                &["event", "way", "p50", "p90", "p99"],
                rows.collect(),
            )],
            machine: self.machine.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_how_far_the_percentiles_move() {
        let mut kind = Kind::new("event");
        for us in 1..=100 {
            kind.add([Duration::from_micros(us), Duration::from_micros(us * 3)]);
        }
        let measured = kind.done();
        assert_eq!(measured.rounds, 100);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(near(measured.direct_us.p50, 50.0));
        assert!(near(measured.relayed_us.p99, 297.0));
        assert!(near(measured.added_us.p90, 180.0));
    }
}
