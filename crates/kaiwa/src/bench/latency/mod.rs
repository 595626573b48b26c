//! `kaiwa bench latency`: voice to voice, on real recordings, through the real transport.
//!
//! From the last speech sample of the recording (the corpus' truth, not our detector's) to
//! the first sample of the answer over -50 dBFS. Audio goes in at the pace of speech. Each
//! utterance is a session of its own on one server, which has answered once before: that
//! first turn of the process is told apart.

mod summary;
mod utterance;

use std::{num::NonZeroUsize, time::Duration};

use kaiwa_server::Server;
use tokio::task::JoinSet;

use self::{
    summary::Summary,
    utterance::{Asker, Turn, Unanswered, Utterance},
};
use super::{
    machine::{self, Machine},
    report,
    speech::{self, Clip, PauseMap},
};
use crate::{
    breakdown::TurnLog,
    cli::LatencyArgs,
    engines,
    exit::{Code, Exit},
    output::note,
    talk,
};

/// Utterances of a length people say in a conversation.
const SECONDS: std::ops::RangeInclusive<f64> = 1.0..=8.0;

/// A turn with a longer pause inside is a test of turn-taking, not of latency.
const LONGEST_PAUSE_S: f64 = 0.25;

/// How much later each of several sessions at once begins, so that their turns do not end
/// together because of the benchmark.
const STAGGER: Duration = Duration::from_millis(1300);

pub(crate) async fn run(arguments: LatencyArgs) -> Result<(), Exit> {
    let pauses = PauseMap::read(&arguments.speech)?;
    let chosen = choose(
        speech::clips(&arguments.speech)?,
        &pauses,
        arguments.utterances,
    );
    let Some(first) = chosen.first() else {
        return Err(Exit::new(
            Code::Input,
            "no recording fits: none is English, of 1 to 8 s, without a pause",
        ));
    };
    let machine = Machine::new(
        arguments.engines.threads.map(usize::from),
        machine::engine_names(&arguments.engines)?,
    );
    let engines = talk::load(arguments.engines.clone(), &[]).await?;
    let log = TurnLog::new();
    let mut config = engines::server_config(&engines, &arguments.engines)?;
    log.observe(&mut config);
    let asker = Asker {
        server: Server::new(engines, config),
        log,
        taken: talk::taken(arguments.taking.turn, arguments.taking.eagerness),
        to_the_end: arguments.whole,
    };

    // The first turn of a process reads the models' pages from disk.
    let cold = asker.ask(first).await?.ok();
    let asked = chosen.len();
    let (turns, unanswered) = play(&asker, chosen, arguments.sessions).await?;
    let nothing = turns.is_empty().then(|| {
        let why = unanswered.iter().find_map(|turn| turn.why.clone());
        why.unwrap_or_else(|| "the server gave no reason".to_owned())
    });
    let summary = Summary::new(&arguments, machine, asked, cold, turns, unanswered);
    report::publish(&summary, &arguments.report)?;
    match nothing {
        Some(why) => Err(Exit::new(
            Code::Failure,
            format!("no utterance was answered: {why}"),
        )),
        None => Ok(()),
    }
}

/// Plays all utterances in as many lanes as there are sessions at once, and gives the turns
/// in the utterances' order, and those nobody answered.
async fn play(
    asker: &Asker,
    chosen: Vec<Utterance>,
    sessions: NonZeroUsize,
) -> Result<(Vec<Turn>, Vec<Unanswered>), Exit> {
    let mut lanes = JoinSet::new();
    let mut waiting = vec![Vec::new(); sessions.get()];
    for (index, utterance) in chosen.into_iter().enumerate() {
        waiting[index % sessions].push((index, utterance));
    }
    for (late, lane) in (0..).zip(waiting) {
        let asker = asker.clone();
        lanes.spawn(async move {
            tokio::time::sleep(STAGGER * late).await;
            let mut turns = Vec::new();
            for (index, utterance) in lane {
                let turn = asker.ask(&utterance).await?;
                match &turn {
                    Ok(turn) => note(format_args!("{}: {} ms", turn.file, turn.steps.total_ms)),
                    Err(Unanswered { file, why, .. }) => {
                        let why = why.as_deref().unwrap_or("for no known reason");
                        note(format_args!("{file}: no answer: {why}"));
                    }
                }
                turns.push((index, turn));
            }
            Ok::<_, Exit>(turns)
        });
    }
    let mut all = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        all.extend(lane.map_err(|error| Exit::new(Code::Failure, error))??);
    }
    all.sort_by_key(|(index, _)| *index);
    let (mut turns, mut unanswered) = (Vec::new(), Vec::new());
    for (_, turn) in all {
        match turn {
            Ok(turn) => turns.push(turn),
            Err(turn) => unanswered.push(turn),
        }
    }
    Ok((turns, unanswered))
}

/// Takes utterances evenly from all sets, in a fixed order.
fn choose(clips: Vec<Clip>, pauses: &PauseMap, most: usize) -> Vec<Utterance> {
    let fitting: Vec<Utterance> = clips
        .into_iter()
        .filter(|clip| clip.language == "en" && SECONDS.contains(&clip.seconds))
        .filter_map(|clip| {
            let speech = pauses.speech(&clip)?;
            (speech.longest_pause_s <= LONGEST_PAUSE_S && speech.end_s - speech.start_s >= 0.8)
                .then_some(Utterance { clip, speech })
        })
        .collect();
    let step = fitting.len().div_ceil(most.max(1)).max(1);
    fitting.into_iter().step_by(step).collect()
}
