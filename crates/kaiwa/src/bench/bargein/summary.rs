//! All cases together: the figures, printed and as a page.

use serde::Serialize;

use super::{case::Case, sounds::Meaning};
use crate::{
    bench::{
        machine::Machine,
        report::{
            Headline, Page, Report, Section, plot,
            plot::{Axis, Chart},
        },
        statistics::{Distribution, Proportion},
    },
    cli::BargeinArgs,
    exit::Exit,
    output::line,
};

#[derive(Serialize)]
pub(super) struct Summary {
    machine: Machine,
    /// Who takes turns.
    turn_taking: String,
    /// Cases that say nothing: the answer was over before.
    void: usize,
    /// Interruptions that stopped the assistant.
    yielded: Proportion,
    /// Words of agreement and noises that did not.
    selectivity: Proportion,
    selectivity_agreement: Proportion,
    selectivity_noise: Proportion,
    /// Of interruptions, from the onset of speech: until the server was known to have heard it,
    /// and to the last sample of the assistant.
    server_ms: Option<Distribution>,
    silent_ms: Option<Distribution>,
    /// Of all that was stopped, without its sign, and the greatest to a fraction of a ms.
    truncation_error_ms: Option<Distribution>,
    truncation_error_max_ms: f64,
    words: WordCount,
    cases: Vec<Case>,
}

/// What the language model is told that it said.
#[derive(Serialize)]
struct WordCount {
    /// Words heard that were kept as they were heard: the others are too many or too few.
    exact: Proportion,
    /// The same without the words in the last 150 ms, which the judge may have completed.
    exact_but_at_the_cut: Proportion,
    /// Words that the other speech to text took for others, which moves no cut.
    misheard: usize,
}

impl Summary {
    pub(super) fn new(arguments: &BargeinArgs, machine: Machine, cases: Vec<Case>) -> Self {
        let valid = || cases.iter().filter(|case| !case.void);
        let meant = |meaning: Meaning| valid().filter(move |case| case.meaning == meaning);
        let share = |of: &dyn Fn(&Case) -> bool, stopped: bool| {
            let all: Vec<bool> = valid()
                .filter(|case| of(case))
                .map(|case| case.stopped == stopped)
                .collect();
            Proportion::new(all.iter().filter(|is| **is).count(), all.len())
        };
        let rounded = |ms: f64| ms.max(0.0).round() as u64;
        let interruptions = || meant(Meaning::Interruption).filter(|case| case.stopped);
        let errors = || {
            valid()
                .filter_map(|case| case.truncation_error_ms)
                .map(f64::abs)
        };
        let words = || valid().filter_map(|case| case.words.as_ref());
        let heard: usize = words()
            .map(|words| words.heard_words[1].max(words.kept_words))
            .sum();
        let wrong: usize = words().map(|words| words.wrong).sum();
        let cut: usize = words().map(|words| words.wrong_at_the_cut).sum();
        Self {
            machine,
            turn_taking: arguments.taking.to_string(),
            void: cases.iter().filter(|case| case.void).count(),
            yielded: share(&|case| case.meaning == Meaning::Interruption, true),
            selectivity: share(&|case| case.meaning != Meaning::Interruption, false),
            selectivity_agreement: share(&|case| case.meaning == Meaning::Agreement, false),
            selectivity_noise: share(&|case| case.meaning == Meaning::Noise, false),
            server_ms: Distribution::of(
                interruptions().filter_map(|case| case.server_ms.map(rounded)),
            ),
            silent_ms: Distribution::of(
                interruptions().filter_map(|case| case.silent_ms.map(rounded)),
            ),
            truncation_error_ms: Distribution::of(errors().map(rounded)),
            truncation_error_max_ms: errors().fold(0.0, f64::max),
            words: WordCount {
                exact: Proportion::new(heard - wrong.min(heard), heard),
                exact_but_at_the_cut: Proportion::new(heard - (wrong - cut).min(heard), heard),
                misheard: words().map(|words| words.misheard).sum(),
            },
            cases,
        }
    }
}

impl Report for Summary {
    fn print(&self) -> Result<(), Exit> {
        line(self.machine.line())?;
        line(format_args!(
            "{} cases, {} turns; {} say nothing",
            self.cases.len(),
            self.turn_taking,
            self.void
        ))?;
        for (name, distribution) in [
            ("onset to server", self.server_ms),
            ("onset to silence", self.silent_ms),
            ("truncation error", self.truncation_error_ms),
        ] {
            if let Some(distribution) = distribution {
                line(format_args!("{name:<18} {} ms", distribution.line()))?;
            }
        }
        if self.truncation_error_ms.is_some() {
            line(format_args!(
                "greatest truncation error {:.2} ms",
                self.truncation_error_max_ms
            ))?;
        }
        for (name, proportion) in [
            ("words kept exactly", self.words.exact),
            ("  but at the cut", self.words.exact_but_at_the_cut),
            ("yield", self.yielded),
            ("selectivity", self.selectivity),
            ("  agreement", self.selectivity_agreement),
            ("  noise", self.selectivity_noise),
        ] {
            line(format_args!("{name:<18} {}", proportion.line()))?;
        }
        line(format_args!(
            "{} words were heard as others, which moves no cut",
            self.words.misheard
        ))
    }

    fn page(&self) -> Page {
        Page {
            title: format!("Barge-in, {} turns", self.turn_taking),
            lead: format!(
                "{} conversations in real time over the real protocol: while the assistant is \
                 audible, somebody cuts in, agrees, or makes a noise. Times and samples are those \
                 of the sound card. Words are compared with what another speech to text makes of \
                 the sound up to the cut. Intervals are of 95 %.",
                self.cases.len()
            ),
            headlines: self.headlines(),
            sections: vec![self.distribution(), self.table(), self.words_table()],
            machine: self.machine.clone(),
        }
    }
}

impl Summary {
    fn headlines(&self) -> Vec<Headline> {
        let mut headlines = Vec::new();
        for (name, distribution, bound) in [
            ("onset to server p95", self.server_ms, 150.0),
            ("onset to silence p95", self.silent_ms, 200.0),
        ] {
            if let Some(distribution) = distribution {
                headlines.push(Headline::at_most(
                    name,
                    distribution.p95 as f64,
                    bound,
                    "ms",
                    format!("p50 {}, max {} ms", distribution.p50, distribution.max),
                ));
            }
        }
        let truncation = "greatest truncation error";
        headlines.push(match self.truncation_error_ms {
            None => Headline::unmeasured(truncation),
            Some(_) => Headline::at_most(
                truncation,
                self.truncation_error_max_ms,
                10.0,
                "ms",
                "what the server is told, against what the card played",
            ),
        });
        for (name, proportion, bound) in [
            ("words kept exactly", self.words.exact, 98.0),
            ("yield", self.yielded, 95.0),
            ("selectivity", self.selectivity, 90.0),
        ] {
            headlines.push(Headline::share_of_at_least(name, proportion, bound));
        }
        headlines
    }

    fn distribution(&self) -> Section {
        let series = |name: &str, pick: fn(&Case) -> Option<f64>| {
            let stopped = self
                .cases
                .iter()
                .filter(|case| !case.void && case.stopped && case.meaning == Meaning::Interruption);
            plot::ecdf(
                name,
                stopped
                    .filter_map(pick)
                    .map(|ms| ms.max(0.0).round() as u64),
            )
        };
        let chart = Chart {
            x: Axis {
                name: "ms after the onset of speech".to_owned(),
                most: None,
            },
            y: Axis {
                name: "% of interruptions".to_owned(),
                most: Some(100.0),
            },
            series: vec![
                series("known to the server", |case| case.server_ms),
                series("silent", |case| case.silent_ms),
            ],
            x_targets: vec![
                (150.0, "p95 target".to_owned()),
                (200.0, "p95 target".to_owned()),
            ],
            y_targets: Vec::new(),
        };
        Section::plot(
            "How soon the assistant is silent",
            "The share of interruptions that the server was known to have heard, and that had \
             silenced the assistant, after so long.",
            chart.draw(),
        )
    }

    fn table(&self) -> Section {
        let ms = |value: Option<f64>| value.map_or_else(String::new, |ms| format!("{ms:.1}"));
        let rows = self.cases.iter().map(|case| {
            vec![
                case.sound.clone(),
                format!("{:?}", case.meaning).to_lowercase(),
                match (case.void, case.stopped) {
                    (true, _) => "says nothing",
                    (_, true) => "stopped",
                    (_, false) => "went on",
                }
                .to_owned(),
                ms(case.server_ms),
                ms(case.silent_ms),
                ms(case.truncation_error_ms),
            ]
        });
        Section::table(
            "Every sound",
            "In ms after its onset.",
            &[
                "sound",
                "meant as",
                "assistant",
                "server",
                "silent",
                "truncation error",
            ],
            rows.collect(),
        )
    }

    fn words_table(&self) -> Section {
        let rows = self
            .cases
            .iter()
            .filter(|case| !case.void)
            .filter_map(|case| {
                let words = case.words.as_ref()?;
                let [fewest, most] = words.heard_words;
                Some(vec![
                    words.kept.clone(),
                    words.transcript.clone(),
                    words.kept_words.to_string(),
                    if fewest == most {
                        most.to_string()
                    } else {
                        format!("{fewest} or {most}")
                    },
                    words.wrong.to_string(),
                    words.wrong_at_the_cut.to_string(),
                    words.misheard.to_string(),
                ])
            });
        Section::table(
            "Words kept and words heard",
            "A word that was cut may count as heard or not. The other speech to text completes words whose end is missing: wrong words in the last 150 ms are told apart.",
            &[
                "kept",
                "heard by another",
                "kept",
                "heard",
                "wrong",
                "at the cut",
                "misheard",
            ],
            rows.collect(),
        )
    }
}
