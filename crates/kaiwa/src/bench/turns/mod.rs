//! `kaiwa bench turns`: how long is waited at the end of a turn, and how often it is taken to
//! be over when it is not.
//!
//! The session core itself decides, on the real engines, but not in real time: audio comes on
//! a virtual clock, and each engine takes as long as such jobs took here by their median. So
//! whole curves are measured in minutes, and a busy machine changes no decision.

mod drive;
mod ears;
mod items;
mod summary;

use kaiwa_protocol::Eagerness;

use self::{
    drive::{Taking, drive},
    ears::Remembered,
    summary::{Outcome, Run, Summary},
};
use super::{
    machine::{self, Machine},
    report,
};
use crate::{
    cli::TurnsArgs,
    engines::{self, END_OF_TURN, VOICE_ACTIVITY},
    exit::Exit,
    output::note,
};

/// Silences of `server_vad`: the last is longer than any pause that is made.
const SILENCES_MS: std::ops::RangeInclusive<u64> = 200..=2200;
const SILENCE_STEP_MS: usize = 100;

pub(crate) fn run(arguments: &TurnsArgs) -> Result<(), Exit> {
    let items = items::all(&arguments.speech)?;
    let machine = Machine::new(
        arguments.threads.map(usize::from),
        machine::model_names(&[VOICE_ACTIVITY, END_OF_TURN, &arguments.stt])?,
    );
    let engines = engines::listening(&arguments.stt, arguments.threads, arguments.yes)?;
    let mut ears: Vec<Remembered> = items.iter().map(|_| Remembered::new(&engines)).collect();

    // Once to learn how long the engines take; what they said is remembered.
    let auto = Taking::Semantic(Eagerness::Auto);
    for (number, (item, ears)) in items.iter().zip(&mut ears).enumerate() {
        if number % 20 == 0 {
            note(format_args!("listening: {number} of {} turns", items.len()));
        }
        drive(item, &auto, ears)?;
    }
    let costs = ears::Costs::of(&ears);
    for ears in &mut ears {
        ears.take(costs);
    }

    let eagerness = arguments.eagerness.iter();
    let semantic = eagerness.map(|&eagerness| Taking::Semantic(eagerness.into()));
    let silences = SILENCES_MS.step_by(SILENCE_STEP_MS).map(Taking::Server);
    let mut runs = Vec::new();
    for taking in semantic.chain(silences) {
        note(taking.name());
        let outcomes = items
            .iter()
            .zip(&mut ears)
            .map(|(item, ears)| Ok(Outcome::new(item, &drive(item, &taking, ears)?)))
            .collect::<Result<_, Exit>>()?;
        runs.push(Run { taking, outcomes });
    }
    let summary = Summary::new(machine, costs, &items, runs);
    report::publish(&summary, &arguments.report)
}
