//! All turns together: the figures, printed and as a page.

use serde::Serialize;

use super::utterance::{Turn, Unanswered};
use crate::{
    bench::{
        machine::Machine,
        report::{
            Headline, Page, Report, Section, plot,
            plot::{Axis, Bars, Chart},
        },
        statistics::{Distribution, Proportion, within},
    },
    breakdown::Breakdown,
    cli::{self, LatencyArgs},
    exit::Exit,
    output::line,
};

/// Silence that ends a turn by `server_vad`, unless somebody says otherwise.
const SILENCE_MS: f64 = 500.0;

#[derive(Serialize)]
pub(super) struct Summary {
    machine: Machine,
    /// Who ended the turns, and how soon.
    turn_taking: String,
    #[serde(skip)]
    by_silence: bool,
    /// Conversations at once.
    sessions: usize,
    utterances: usize,
    answered: usize,
    /// Of all utterances, answered or not.
    false_cutoffs: Proportion,
    unanswered: Vec<Unanswered>,
    /// Voice to voice in the first turn of the process.
    cold_ms: Option<u64>,
    /// Of the turns that were not cut off, as are all below.
    total_ms: Option<Distribution>,
    endpoint_ms: Option<Distribution>,
    stt_ms: Option<Distribution>,
    llm_first_clause_ms: Option<Distribution>,
    tts_first_chunk_ms: Option<Distribution>,
    delivery_ms: Option<Distribution>,
    decided_to_audio_ms: Option<Distribution>,
    playback: Option<Playback>,
    speculation: Speculation,
    turns: Vec<Turn>,
}

/// Answers that were listened to.
#[derive(Serialize)]
struct Playback {
    /// Seconds of them.
    seconds: f64,
    /// How often one ran dry before its end.
    underruns: u32,
}

/// Work ahead of the end of turns, over all utterances.
#[derive(Debug, Default, Serialize)]
struct Speculation {
    partials: u64,
    transcripts: u64,
    transcripts_dropped: u64,
    responses: u64,
    responses_dropped: u64,
}

impl Summary {
    pub(super) fn new(
        arguments: &LatencyArgs,
        machine: Machine,
        utterances: usize,
        cold: Option<Turn>,
        turns: Vec<Turn>,
        unanswered: Vec<Unanswered>,
    ) -> Self {
        let of = |pick: fn(&Turn) -> u64| {
            Distribution::of(turns.iter().filter(|turn| !turn.cut_off).map(pick))
        };
        Self {
            machine,
            turn_taking: arguments.taking.to_string(),
            by_silence: arguments.taking.turn == cli::Turn::Server,
            sessions: arguments.sessions.get(),
            utterances,
            answered: turns.len(),
            false_cutoffs: Proportion::new(
                turns.iter().filter(|turn| turn.cut_off).count()
                    + unanswered.iter().filter(|turn| turn.cut_off).count(),
                turns.len() + unanswered.len(),
            ),
            unanswered,
            cold_ms: cold.map(|turn| turn.steps.total_ms),
            total_ms: of(|turn| turn.steps.total_ms),
            endpoint_ms: of(|turn| turn.steps.endpoint_ms),
            stt_ms: of(|turn| turn.steps.stt_ms),
            llm_first_clause_ms: of(|turn| turn.steps.llm_first_clause_ms),
            tts_first_chunk_ms: of(|turn| turn.steps.tts_first_chunk_ms),
            delivery_ms: of(|turn| turn.steps.delivery_ms),
            decided_to_audio_ms: of(|turn| turn.decided_to_audio_ms),
            playback: arguments.whole.then(|| Playback {
                seconds: turns.iter().map(|turn| turn.played_ms).sum::<u64>() as f64 / 1000.0,
                underruns: turns.iter().map(|turn| turn.underruns).sum(),
            }),
            speculation: turns.iter().fold(Speculation::default(), |mut sum, turn| {
                sum.partials += turn.ahead.partials;
                sum.transcripts += turn.ahead.transcripts;
                sum.transcripts_dropped += turn.ahead.transcripts_dropped;
                sum.responses += turn.ahead.responses;
                sum.responses_dropped += turn.ahead.responses_dropped;
                sum
            }),
            turns,
        }
    }
}

impl Report for Summary {
    fn print(&self) -> Result<(), Exit> {
        line(self.machine.line())?;
        line(format_args!(
            "{} of {} answered, {} turns, {} at once; false cutoffs {}",
            self.answered,
            self.utterances,
            self.turn_taking,
            self.sessions,
            self.false_cutoffs.line()
        ))?;
        for (name, distribution) in [
            ("voice to voice", self.total_ms),
            ("  endpoint wait", self.endpoint_ms),
            ("  speech to text", self.stt_ms),
            ("  first clause", self.llm_first_clause_ms),
            ("  first speech", self.tts_first_chunk_ms),
            ("  delivery", self.delivery_ms),
            ("decided to sound", self.decided_to_audio_ms),
        ] {
            if let Some(distribution) = distribution {
                line(format_args!("{name:<18} {} ms", distribution.line()))?;
            }
        }
        if let Some(cold) = self.cold_ms {
            line(format_args!("first turn of the process {cold} ms"))?;
        }
        if let Some(Playback { seconds, underruns }) = self.playback {
            line(format_args!(
                "{underruns} underruns in {seconds:.0} s of answers"
            ))?;
        }
        let Speculation {
            partials,
            transcripts,
            transcripts_dropped,
            responses,
            responses_dropped,
        } = self.speculation;
        line(format_args!(
            "ahead of the end: {partials} transcripts of turns going on; \
             {transcripts} of pauses, {transcripts_dropped} dropped; \
             {responses} answers, {responses_dropped} dropped"
        ))
    }

    fn page(&self) -> Page {
        Page {
            title: format!("Voice to voice, {} turns", self.turn_taking),
            lead: format!(
                "From the last sample of speech to the first sample of the answer over -50 dBFS: \
                 {} utterances at the pace of speech over the real protocol, {} at once. \
                 Intervals are of 95 %; ? is a bound that so few turns do not have. Turns that were \
                 cut off are counted, not timed.",
                self.utterances, self.sessions
            ),
            headlines: self.headlines(),
            sections: vec![self.distribution(), self.stages(), self.table()],
            machine: self.machine.clone(),
        }
    }
}

impl Summary {
    fn headlines(&self) -> Vec<Headline> {
        let mut headlines = Vec::new();
        if let Some(total) = self.total_ms {
            let [p50, p95] = if self.by_silence {
                [SILENCE_MS + 120.0, f64::INFINITY]
            } else {
                [600.0, 1000.0]
            };
            for (name, value, bound, interval) in [
                ("p50", total.p50, p50, total.p50_interval),
                ("p95", total.p95, p95, total.p95_interval),
            ] {
                let name = format!("voice to voice {name}");
                headlines.push(if bound.is_finite() {
                    Headline::at_most(name, value as f64, bound, "ms", within(interval) + " ms")
                } else {
                    Headline::new(name, format!("{value} ms"), within(interval) + " ms")
                });
            }
        }
        headlines.push(match self.answered {
            0 => Headline::unmeasured("false cutoffs"),
            _ => Headline::share_of_at_most("false cutoffs", self.false_cutoffs, 5.0),
        });
        if let Some(decided) = self.decided_to_audio_ms {
            headlines.push(Headline::at_most(
                "decided turn to first sound p50",
                decided.p50 as f64,
                100.0,
                "ms",
                within(decided.p50_interval) + " ms",
            ));
        }
        if let Some(Playback { seconds, underruns }) = self.playback {
            headlines.push(Headline::at_most(
                "underruns",
                f64::from(underruns),
                0.0,
                "",
                format!("in {seconds:.0} s of answers"),
            ));
        }
        if let Some(cold) = self.cold_ms {
            headlines.push(Headline::new(
                "first turn of the process",
                format!("{cold} ms"),
                "voice to voice, not counted above",
            ));
        }
        headlines
    }

    fn distribution(&self) -> Section {
        let timed = || self.turns.iter().filter(|turn| !turn.cut_off);
        let chart = Chart {
            x: Axis {
                name: "ms after the end of speech".to_owned(),
                most: None,
            },
            y: Axis {
                name: "% of turns".to_owned(),
                most: Some(100.0),
            },
            series: vec![
                plot::ecdf("voice to voice", timed().map(|turn| turn.steps.total_ms)),
                plot::ecdf("turn decided", timed().map(|turn| turn.steps.endpoint_ms)),
            ],
            x_targets: if self.by_silence {
                vec![(SILENCE_MS + 120.0, "p50 target".to_owned())]
            } else {
                vec![
                    (600.0, "p50 target".to_owned()),
                    (1000.0, "p95 target".to_owned()),
                ]
            },
            y_targets: Vec::new(),
        };
        Section::plot(
            "How long it took",
            "The share of turns that were answered, and that were known to be over, after so long.",
            chart.draw(),
        )
    }

    fn stages(&self) -> Section {
        let mean = |turns: &[&Turn]| {
            stages_of().map(|(_, pick)| {
                let sum: u64 = turns.iter().map(|turn| pick(&turn.steps)).sum();
                sum as f64 / turns.len().max(1) as f64
            })
        };
        let mut timed: Vec<&Turn> = self.turns.iter().filter(|turn| !turn.cut_off).collect();
        timed.sort_by_key(|turn| turn.steps.total_ms);
        let (faster, slower) = timed.split_at(timed.len() / 2);
        let slowest = timed.len() - timed.len().div_ceil(10);
        let bars = Bars {
            unit: "ms, mean of turns".to_owned(),
            parts: stages_of().map(|(name, _)| name.to_owned()).to_vec(),
            bars: [
                ("all", &timed[..]),
                ("faster half", faster),
                ("slower half", slower),
                ("slowest tenth", &timed[slowest..]),
            ]
            .map(|(name, turns)| (name.to_owned(), mean(turns).to_vec()))
            .to_vec(),
        };
        Section::plot(
            "Where the time went",
            "The stages of a turn add up to voice to voice. What was done ahead of the decision \
             took no time after it.",
            bars.draw(),
        )
    }

    fn table(&self) -> Section {
        let rows = self.turns.iter().map(|turn| {
            let mut row = vec![turn.file.clone(), turn.steps.total_ms.to_string()];
            row.extend(stages_of().map(|(_, pick)| pick(&turn.steps).to_string()));
            row.push(turn.decided_to_audio_ms.to_string());
            row.push(if turn.cut_off { "yes" } else { "" }.to_owned());
            row
        });
        let mut rows: Vec<_> = rows.collect();
        rows.extend(
            self.unanswered
                .iter()
                .map(|turn| vec![turn.file.clone(), "no answer".to_owned()]),
        );
        Section::table(
            "Every turn",
            "In ms.",
            &[
                "utterance",
                "voice to voice",
                "endpoint wait",
                "speech to text",
                "first clause",
                "first speech",
                "delivery",
                "decided to sound",
                "cut off",
            ],
            rows,
        )
    }
}

type Stage = (&'static str, fn(&Breakdown) -> u64);

/// The stages of a turn in their order.
fn stages_of() -> [Stage; 5] {
    [
        ("endpoint wait", |steps| steps.endpoint_ms),
        ("speech to text", |steps| steps.stt_ms),
        ("first clause", |steps| steps.llm_first_clause_ms),
        ("first speech", |steps| steps.tts_first_chunk_ms),
        ("delivery", |steps| steps.delivery_ms),
    ]
}
