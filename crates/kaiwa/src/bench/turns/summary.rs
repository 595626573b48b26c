//! All items together: the curve, printed and as a page.

use kaiwa_session::Millis;
use serde::Serialize;

use super::{
    drive::{Stop, Taking},
    ears::Costs,
    items::{Item, Kind},
};
use crate::{
    bench::{
        machine::Machine,
        report::{
            Headline, Page, Report, Section,
            plot::{Axis, Chart, Point, Series},
        },
        statistics::{Distribution, Proportion},
    },
    exit::Exit,
    output::line,
};

/// The share of turns that may be cut off, for one figure out of a curve.
const ACCEPTED: f64 = 0.05;

/// The wait that is aimed at for that share, in ms.
const TARGET_MS: f64 = 850.0;

/// What became of one item under one way to take turns.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    #[serde(skip)]
    kind: Kind,
    #[serde(skip)]
    pauses: usize,
    /// When the turn was taken to be over and was not, in ms before its end.
    cut_off_before_end_ms: Vec<Millis>,
    /// From the end of speech until the turn was taken to be over; `None` if it never was.
    wait_ms: Option<Millis>,
}

impl Outcome {
    pub(super) fn new(item: &Item, stops: &[Stop]) -> Self {
        let (over, cut): (Vec<Millis>, Vec<_>) = stops
            .iter()
            .map(|stop| stop.decided_ms)
            .partition(|decided| item.is_over_at(*decided));
        Self {
            kind: item.kind,
            pauses: item.pauses,
            cut_off_before_end_ms: cut.iter().map(|decided| item.end_ms - decided).collect(),
            wait_ms: over.first().map(|over| over.saturating_sub(item.end_ms)),
        }
    }
}

/// All items under one way to take turns.
pub(super) struct Run {
    pub(super) taking: Taking,
    pub(super) outcomes: Vec<Outcome>,
}

#[derive(Serialize)]
pub(super) struct Summary {
    machine: Machine,
    /// How long the engines took, which every job is taken to have taken.
    engines: Costs,
    /// Wait for 5 % of turns cut off, in ms, by kind of item; `null` where it is never so few.
    wait_at_5_percent_ms: Vec<Wanted>,
    curve: Vec<CurvePoint>,
    items: Vec<Row>,
}

/// The silence that is waited for when so many turns are cut off.
#[derive(Serialize)]
struct Wanted {
    items: &'static str,
    server_vad: Option<f64>,
    semantic: Option<f64>,
}

/// One way to take turns.
#[derive(Serialize)]
struct CurvePoint {
    name: String,
    #[serde(skip)]
    semantic: bool,
    /// Of all items, then of each kind.
    figures: Vec<Figures>,
}

#[derive(Clone, Serialize)]
struct Figures {
    items: &'static str,
    /// Turns that were cut off at least once.
    false_cutoffs: Proportion,
    /// Ends inside of turns, of all pauses of 0.2 s or more.
    ends_per_pause: Proportion,
    /// After the end of speech.
    wait_ms: Option<Distribution>,
    /// Turns whose end nobody noticed.
    unnoticed: usize,
    /// The mean wait with which a fixed silence cuts off as few.
    fixed_silence_ms: Option<f64>,
}

/// One item under the semantic ways.
#[derive(Serialize)]
struct Row {
    name: String,
    kind: Kind,
    pauses: usize,
    /// In the order of the curve.
    outcomes: Vec<Outcome>,
}

const ALL: &str = "all";

impl Summary {
    pub(super) fn new(machine: Machine, engines: Costs, items: &[Item], runs: Vec<Run>) -> Self {
        let kinds: Vec<Option<Kind>> = std::iter::once(None)
            .chain(Kind::ALL.map(Some))
            .filter(|kind| {
                items
                    .iter()
                    .any(|item| kind.is_none_or(|kind| item.kind == kind))
            })
            .collect();
        let mut curve: Vec<CurvePoint> = runs
            .iter()
            .map(|run| CurvePoint {
                name: run.taking.name(),
                semantic: matches!(run.taking, Taking::Semantic(_)),
                figures: kinds.iter().map(|kind| figures(run, *kind)).collect(),
            })
            .collect();
        for index in 0..kinds.len() {
            let fixed: Vec<_> = curve
                .iter()
                .filter(|point| !point.semantic)
                .filter_map(|point| point.figures[index].point())
                .collect();
            for point in curve.iter_mut().filter(|point| point.semantic) {
                let figures = &mut point.figures[index];
                figures.fixed_silence_ms =
                    wait_at(figures.false_cutoffs.rate, fixed.iter().copied());
            }
        }
        let wait_at_5_percent_ms = kinds
            .iter()
            .enumerate()
            .map(|(index, kind)| {
                let wanted = |semantic: bool| {
                    let points = curve.iter().filter(|point| point.semantic == semantic);
                    wait_at(
                        ACCEPTED,
                        points.filter_map(|point| point.figures[index].point()),
                    )
                };
                Wanted {
                    items: kind.map_or(ALL, Kind::name),
                    server_vad: wanted(false),
                    semantic: wanted(true),
                }
            })
            .collect();
        let mut rows: Vec<Row> = items
            .iter()
            .map(|item| Row {
                name: item.name.clone(),
                kind: item.kind,
                pauses: item.pauses,
                outcomes: Vec::new(),
            })
            .collect();
        for run in runs {
            if matches!(run.taking, Taking::Semantic(_)) {
                for (row, outcome) in rows.iter_mut().zip(run.outcomes) {
                    row.outcomes.push(outcome);
                }
            }
        }
        Self {
            machine,
            engines,
            wait_at_5_percent_ms,
            curve,
            items: rows,
        }
    }
}

impl Report for Summary {
    fn print(&self) -> Result<(), Exit> {
        line(self.machine.line())?;
        line(format_args!(
            "{} turns; a judgement takes {} ms, a transcript {} ms",
            self.items.len(),
            self.engines.judge_ms,
            self.engines.transcribe_ms
        ))?;
        for point in &self.curve {
            // Of the silences only the sum: the report has the rest.
            let shown = if point.semantic {
                point.figures.len()
            } else {
                1
            };
            for figures in &point.figures[..shown] {
                let mut wait = figures.wait_ms.map_or_else(String::new, |wait| {
                    format!("mean {:>4}  {} ms", wait.mean, wait.line())
                });
                if let Some(fixed) = figures.fixed_silence_ms {
                    wait += &format!("  (a fixed silence: mean {fixed:.0} ms)");
                }
                if figures.unnoticed > 0 {
                    wait += &format!("  ({} ends never noticed)", figures.unnoticed);
                }
                line(format_args!(
                    "{:<16} {:<19} cut off {:<32} wait {wait}",
                    point.name,
                    figures.items,
                    figures.false_cutoffs.line()
                ))?;
            }
        }
        line("mean wait at true ends for 5 % of turns cut off:")?;
        let ms = |wait: Option<f64>| {
            wait.map_or_else(|| "never".to_owned(), |wait| format!("{wait:.0} ms"))
        };
        for wanted in &self.wait_at_5_percent_ms {
            line(format_args!(
                "  {:<19} a fixed silence {:>8}, semantic {:>8}",
                wanted.items,
                ms(wanted.server_vad),
                ms(wanted.semantic)
            ))?;
        }
        Ok(())
    }

    fn page(&self) -> Page {
        Page {
            title: "End of turn".to_owned(),
            lead: format!(
                "How long is waited after the end of a turn, against how often a turn is cut off: \
                 {} turns of recordings, the session core on the real engines, on a virtual clock. \
                 A judgement by sound takes {} ms, a transcript {} ms. Intervals are of 95 %.",
                self.items.len(),
                self.engines.judge_ms,
                self.engines.transcribe_ms
            ),
            headlines: self.headlines(),
            sections: self.sections(),
            machine: self.machine.clone(),
        }
    }
}

impl Summary {
    fn headlines(&self) -> Vec<Headline> {
        let mut headlines = Vec::new();
        let all = &self.wait_at_5_percent_ms[0];
        let name = "mean wait for 5 % cut off";
        let fixed = all
            .server_vad
            .map_or_else(String::new, |wait| format!("a fixed silence: {wait:.0} ms"));
        headlines.push(match all.semantic {
            Some(wait) => Headline::at_most(name, wait.round(), TARGET_MS, "ms", fixed),
            None => Headline::never(name, format!("at most {TARGET_MS} ms"), fixed),
        });
        for point in self.curve.iter().filter(|point| point.semantic) {
            let figures = &point.figures[0];
            headlines.push(Headline::new(
                format!("{}: cut off", point.name),
                format!("{:.1} %", 100.0 * figures.false_cutoffs.rate),
                figures.false_cutoffs.line(),
            ));
            if let Some(wait) = figures.wait_ms {
                headlines.push(Headline::new(
                    format!("{}: mean wait", point.name),
                    format!("{} ms", wait.mean),
                    figures.fixed_silence_ms.map_or_else(String::new, |fixed| {
                        format!("a fixed silence that cuts off as few: {fixed:.0} ms")
                    }),
                ));
            }
        }
        headlines
    }

    fn sections(&self) -> Vec<Section> {
        let kinds = self.wait_at_5_percent_ms.iter().map(|wanted| wanted.items);
        let mut sections: Vec<Section> = kinds
            .enumerate()
            // A single word has no pause, so that there is nothing to cut off.
            .filter(|(_, items)| *items != Kind::Word.name())
            .map(|(index, items)| {
                Section::plot(
                    format!("False cutoffs against wait: {items}"),
                    "Down and left is better. Bars are intervals of the rate.",
                    self.chart(index).draw(),
                )
            })
            .collect();
        let rows = self.curve.iter().flat_map(|point| {
            point.figures.iter().map(|figures| {
                let [low, high] = figures.false_cutoffs.interval.map(|bound| 100.0 * bound);
                let mut row = vec![
                    point.name.clone(),
                    figures.items.to_owned(),
                    figures.false_cutoffs.of.to_string(),
                    figures.false_cutoffs.count.to_string(),
                    format!("{:.1}", 100.0 * figures.false_cutoffs.rate),
                    format!("{low:.1} to {high:.1}"),
                    format!(
                        "{} of {}",
                        figures.ends_per_pause.count, figures.ends_per_pause.of
                    ),
                    figures.unnoticed.to_string(),
                ];
                row.extend(figures.wait_ms.iter().flat_map(|wait| {
                    [wait.mean, wait.p50, wait.p90, wait.p95, wait.max].map(|ms| ms.to_string())
                }));
                row
            })
        });
        sections.push(Section::table(
            "The curve",
            "Turns cut off at least once; ends inside of turns per pause; wait in ms after the end \
             of speech, where one was noticed.",
            &[
                "turns taken by",
                "items",
                "turns",
                "cut off",
                "%",
                "interval",
                "in pauses",
                "ends unnoticed",
                "mean wait",
                "p50",
                "p90",
                "p95",
                "max",
            ],
            rows.collect(),
        ));
        sections.push(self.table());
        sections
    }

    fn chart(&self, index: usize) -> Chart {
        let series = |name: &str, semantic: bool| Series {
            name: name.to_owned(),
            joined: true,
            points: self
                .curve
                .iter()
                .filter(|point| point.semantic == semantic)
                .filter_map(|point| {
                    let figures = &point.figures[index];
                    let (rate, wait) = figures.point()?;
                    Some(Point {
                        x: wait,
                        y: 100.0 * rate,
                        interval: Some(figures.false_cutoffs.interval.map(|bound| 100.0 * bound)),
                        label: point.name.rsplit(' ').next().unwrap_or_default().to_owned(),
                    })
                })
                .collect(),
        };
        Chart {
            x: Axis {
                name: "mean wait after the end of speech, ms".to_owned(),
                most: None,
            },
            y: Axis {
                name: "% of turns cut off".to_owned(),
                most: None,
            },
            series: vec![
                series("server_vad by silence", false),
                series("semantic_vad by eagerness", true),
            ],
            x_targets: vec![(TARGET_MS, "target".to_owned())],
            y_targets: vec![(100.0 * ACCEPTED, "5 %".to_owned())],
        }
    }

    fn table(&self) -> Section {
        let semantic = self.curve.iter().filter(|point| point.semantic);
        let names: Vec<&str> = semantic.map(|point| point.name.as_str()).collect();
        let mut head = vec!["turn", "kind", "pauses"];
        head.extend(names);
        let rows = self.items.iter().map(|row| {
            let mut cells = vec![
                row.name.clone(),
                row.kind.name().to_owned(),
                row.pauses.to_string(),
            ];
            cells.extend(row.outcomes.iter().map(|outcome| {
                let cut = match outcome.cut_off_before_end_ms.len() {
                    0 => String::new(),
                    count => format!("cut off {count}x, "),
                };
                match outcome.wait_ms {
                    Some(wait) => format!("{cut}{wait}"),
                    None => format!("{cut}unnoticed"),
                }
            }));
            cells
        });
        Section::table("Every turn", "Wait in ms.", &head, rows.collect())
    }
}

impl Figures {
    /// Rate of false cutoffs and mean wait.
    fn point(&self) -> Option<(f64, f64)> {
        Some((self.false_cutoffs.rate, self.wait_ms?.mean as f64))
    }
}

fn figures(run: &Run, kind: Option<Kind>) -> Figures {
    let of_kind: Vec<&Outcome> = run
        .outcomes
        .iter()
        .filter(|outcome| kind.is_none_or(|kind| outcome.kind == kind))
        .collect();
    let cut = |outcome: &&&Outcome| !outcome.cut_off_before_end_ms.is_empty();
    let cuts = of_kind
        .iter()
        .map(|outcome| outcome.cut_off_before_end_ms.len());
    let pauses: usize = of_kind.iter().map(|outcome| outcome.pauses).sum();
    Figures {
        items: kind.map_or(ALL, Kind::name),
        false_cutoffs: Proportion::new(of_kind.iter().filter(cut).count(), of_kind.len()),
        // A quiet voice may be cut off where nobody paused.
        ends_per_pause: Proportion::new(cuts.sum::<usize>().min(pauses), pauses),
        wait_ms: Distribution::of(of_kind.iter().filter_map(|outcome| outcome.wait_ms)),
        unnoticed: of_kind
            .iter()
            .filter(|outcome| outcome.wait_ms.is_none())
            .count(),
        fixed_silence_ms: None,
    }
}

/// The wait for a rate, between the two points around it; the shortest that was tried if
/// that is good enough, `None` if none is.
fn wait_at(accepted: f64, points: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let mut points: Vec<(f64, f64)> = points.collect();
    points.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let good = points.iter().position(|(rate, _)| *rate <= accepted)?;
    let (rate, wait) = points[good];
    let Some((worse, sooner)) = good.checked_sub(1).map(|before| points[before]) else {
        return Some(wait);
    };
    Some(sooner + (wait - sooner) * (worse - accepted) / (worse - rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_for_a_rate_lies_between_the_points_around_it() {
        let at = |points: &[(f64, f64)]| wait_at(0.05, points.iter().copied());
        assert_eq!(
            at(&[(0.09, 400.0), (0.01, 800.0), (0.2, 200.0)]),
            Some(600.0)
        );
        assert_eq!(at(&[(0.05, 400.0), (0.0, 800.0)]), Some(400.0));
        assert_eq!(at(&[(0.2, 400.0), (0.06, 800.0)]), None);
        assert_eq!(at(&[]), None);
    }

    #[test]
    fn an_end_inside_a_turn_is_a_cutoff_and_the_first_after_it_the_end() {
        let item = Item::new(Kind::Recorded, "x", Vec::new(), 3000, 1);
        let stops = [1500, 2899, 2900, 3600].map(|decided_ms| Stop { decided_ms });
        let outcome = Outcome::new(&item, &stops);
        assert_eq!(outcome.cut_off_before_end_ms, [1500, 101]);
        assert_eq!(outcome.wait_ms, Some(0));
        assert_eq!(Outcome::new(&item, &stops[3..]).wait_ms, Some(600));
        assert_eq!(Outcome::new(&item, &stops[..1]).wait_ms, None);
    }
}
