//! All of it together: the figures, printed and as a page.

use serde::Serialize;

use super::{
    pairs::{Measured, Who},
    words::Spoken,
};
use crate::{
    bench::{
        machine::Machine,
        report::{Headline, Page, Report, Section},
    },
    exit::Exit,
    output::line,
};

#[derive(Serialize)]
pub(super) struct Summary {
    machine: Machine,
    /// Time the processor takes over the time of the sound.
    real_time_ratio: f64,
    pairs: Vec<Measured>,
    /// Somebody speaks over the echo.
    double_talk: Vec<Spoken>,
    /// Over all of it, in percent: the voice alone, the microphone, after the canceller, and after
    /// the gate.
    word_error_rate: [f64; 4],
}

impl Summary {
    pub(super) fn new(
        machine: Machine,
        real_time_ratio: f64,
        pairs: Vec<Measured>,
        double_talk: Vec<Spoken>,
    ) -> Self {
        let words: usize = double_talk.iter().map(|spoken| spoken.words).sum();
        let word_error_rate = std::array::from_fn(|of| {
            let errors: usize = double_talk.iter().map(|spoken| spoken.errors[of]).sum();
            100.0 * errors as f64 / words.max(1) as f64
        });
        Self {
            machine,
            real_time_ratio,
            pairs,
            double_talk,
            word_error_rate,
        }
    }

    fn of(&self, who: Who) -> impl Iterator<Item = &Measured> {
        self.pairs.iter().filter(move |pair| pair.who == who)
    }

    fn pair_rows(&self) -> Vec<Vec<String>> {
        self.pairs
            .iter()
            .map(|pair| {
                let [heard, cleaned, gated] = pair.speech_percent;
                vec![
                    pair.name.clone(),
                    who(pair.who).to_owned(),
                    format!("{:.1}", pair.reduction_db),
                    format!("{:.1}", pair.reduction_after_db),
                    format!("{heard:.1}"),
                    format!("{cleaned:.1}"),
                    format!("{gated:.1}"),
                    format!("{:.1}", pair.silenced_percent),
                    pair.delay_ms.map_or_else(String::new, |ms| ms.to_string()),
                ]
            })
            .collect()
    }

    fn word_rows(&self) -> Vec<Vec<String>> {
        self.double_talk
            .iter()
            .map(|spoken| {
                let rate = |errors: usize| {
                    format!("{:.1}", 100.0 * errors as f64 / spoken.words.max(1) as f64)
                };
                let mut row = vec![spoken.echo.clone(), format!("{:+}", spoken.voice_db)];
                row.extend(spoken.errors.map(rate));
                row.push(format!("{:.1}", spoken.passed_percent));
                row
            })
            .collect()
    }
}

impl Report for Summary {
    fn print(&self) -> Result<(), Exit> {
        line(self.machine.line())?;
        line(format_args!(
            "{:.2} % of real time on one core",
            100.0 * self.real_time_ratio
        ))?;
        line("dB off the microphone (after 2.5 s); speech to a detector: mic, cancelled, gated")?;
        for pair in &self.pairs {
            let [heard, cleaned, gated] = pair.speech_percent;
            line(format_args!(
                "  {:<36} {:<8} {:>5.1} ({:>5.1}) dB  {heard:>5.1} {cleaned:>5.1} {gated:>5.1} %  \
                 silenced {:>5.1} %",
                pair.name,
                who(pair.who),
                pair.reduction_db,
                pair.reduction_after_db,
                pair.silenced_percent,
            ))?;
        }
        line("word error rate of a voice over an echo: alone, mic, cancelled, gated")?;
        for row in self.word_rows() {
            let [echo, level, rates @ .., passed] = row.as_slice() else {
                continue;
            };
            line(format_args!(
                "  {echo:<24} {level:>4} dB  {} %  gate passes {passed} %",
                rates.join("  ")
            ))?;
        }
        let [alone, heard, cleaned, gated] = self.word_error_rate;
        line(format_args!(
            "  all {alone:.1}  {heard:.1}  {cleaned:.1}  {gated:.1} %"
        ))
    }

    fn page(&self) -> Page {
        let [alone, heard, cleaned, gated] = self.word_error_rate;
        let mut headlines = Vec::new();
        for pair in self.of(Who::FarEnd) {
            headlines.push(Headline::at_least(
                "echo return loss enhancement",
                f64::from(pair.reduction_after_db),
                25.0,
                "dB",
                format!(
                    "{} after 2.5 s; {:.1} dB in all",
                    pair.name, pair.reduction_db
                ),
            ));
            headlines.push(Headline::at_most(
                "echo that sounds like speech",
                pair.speech_percent[2],
                1.0,
                "%",
                format!("{:.1} % before the gate", pair.speech_percent[1]),
            ));
        }
        for pair in self.of(Who::NearEnd) {
            headlines.push(Headline::at_most(
                "taken off a voice alone",
                f64::from(pair.reduction_db),
                1.0,
                "dB",
                &pair.name,
            ));
        }
        headlines.push(Headline::at_most(
            "word error rate in double talk",
            gated,
            heard,
            "%",
            format!("{alone:.1} % alone, {heard:.1} % without, {cleaned:.1} % without the gate"),
        ));
        headlines.push(Headline::new(
            "time",
            format!("{:.2} %", 100.0 * self.real_time_ratio),
            "of real time on one core",
        ));
        Page {
            title: "Echo".to_owned(),
            lead: "Recordings of real devices, and known sentences over their echo and over that \
                   of simulated rooms, through the echo canceller and its gate, which know \
                   nothing of the delay."
                .to_owned(),
            headlines,
            sections: vec![
                Section::table(
                    "Recordings",
                    "How much quieter the microphone becomes, and how much of it a voice activity \
                     detector takes for speech, in percent.",
                    &[
                        "pair",
                        "who speaks",
                        "dB off",
                        "after 2.5 s",
                        "speech: mic",
                        "cancelled",
                        "gated",
                        "silenced",
                        "delay, ms",
                    ],
                    self.pair_rows(),
                ),
                Section::table(
                    "Words over an echo",
                    "Word error rates in percent; the voice begins after 5 s of echo alone. The \
                     last column is the share of its loud frames for which the gate was open.",
                    &[
                        "echo",
                        "voice, dB",
                        "alone",
                        "mic",
                        "cancelled",
                        "gated",
                        "passed",
                    ],
                    self.word_rows(),
                ),
            ],
            machine: self.machine.clone(),
        }
    }
}

fn who(who: Who) -> &'static str {
    match who {
        Who::Both => "both",
        Who::FarEnd => "far end",
        Who::NearEnd => "near end",
    }
}
