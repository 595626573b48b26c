//! `kaiwa bench bargein`: what happens when somebody speaks while the assistant does.
//!
//! The assistant is asked for something long. While it is audible, a recording cuts in, or a
//! sound that wants nothing: a word of agreement, a noise. Each is a conversation of its own in
//! real time over the real protocol, with one server. The sound card keeps both channels, so
//! that times and samples are those of its clock, and not what client or server say of them.

mod case;
mod listener;
mod sounds;
mod summary;
mod tape;

use kaiwa_engine::{ComputeBudget, models::Store};
use kaiwa_server::Server;

use self::{
    case::{Case, Stage},
    listener::Prompts,
    sounds::Sound,
    summary::Summary,
};
use super::{
    machine::{self, Machine},
    report,
    statistics::Draw,
};
use crate::{
    cli::{BargeinArgs, EngineKind},
    engines::{self, USER_VOICE},
    exit::{Code, Exit},
    fetch,
    output::note,
    talk,
};

/// How long the assistant is heard before somebody cuts in, in s.
const PATIENCE_S: [f64; 2] = [0.6, 2.5];

/// Asks for long answers, none like the other.
const QUESTIONS: [&str; 4] = [
    "Please tell me a story about an old lighthouse.",
    "Describe a walk through a forest in autumn.",
    "Explain how bread is made, from the field to the table.",
    "Tell me about a journey across the sea.",
];

const SEED: u64 = 20_261_124;

pub(crate) async fn run(arguments: BargeinArgs) -> Result<(), Exit> {
    if arguments.engines.engine == EngineKind::Scripted {
        return Err(
            Exit::new(Code::Usage, "bench bargein measures the local engines")
                .with_hint("leave out --engine"),
        );
    }
    let mut names = machine::engine_names(&arguments.engines)?;
    names.extend(machine::model_names(&[&arguments.judge])?);
    let machine = Machine::new(arguments.engines.threads.map(usize::from), names);
    fetch::ensure(
        &Store::open_default()?,
        &[&arguments.judge],
        arguments.engines.yes,
    )?;
    let mut engines = talk::load(arguments.engines.clone(), &[USER_VOICE]).await?;

    let sounds = {
        let (folder, count) = (arguments.speech.clone(), arguments.cases);
        let voice = engines.synthesizer.clone();
        blocking(move || sounds::all(&folder, count, &*voice)).await?
    };
    let prompts = Prompts::default();
    engines.language_model = prompts.read_over(engines.language_model);
    let mut config = engines::server_config(&engines, &arguments.engines)?;
    config.seed = Some(SEED);
    let stage = Stage {
        server: Server::new(engines, config),
        prompts,
        taken: talk::taken(arguments.taking.turn, arguments.taking.eagerness),
    };
    let mut cases = play(&stage, sounds).await?;

    // The judge computes when nobody is waiting for an answer.
    let (judge, threads) = (arguments.judge.clone(), arguments.engines.threads);
    let cases = blocking(move || {
        let store = Store::open_default()?;
        let judge = engines::transcriber(&store, &judge, &ComputeBudget::new(threads))?;
        for case in &mut cases {
            case.judge(&*judge)?;
        }
        Ok(cases)
    })
    .await?;
    let nothing = cases.iter().all(|case| case.void).then(|| {
        let why = cases.iter().find_map(|case| case.fault.clone());
        why.unwrap_or_else(|| "no answer was long enough to be interrupted".to_owned())
    });
    let summary = Summary::new(&arguments, machine, cases);
    report::publish(&summary, &arguments.report)?;
    match nothing {
        Some(why) => Err(Exit::new(
            Code::Failure,
            format!("nothing was measured: {why}"),
        )),
        None => Ok(()),
    }
}

async fn play(stage: &Stage, sounds: Vec<Sound>) -> Result<Vec<Case>, Exit> {
    let mut draw = Draw::new(SEED);
    let mut cases = Vec::new();
    let count = sounds.len();
    for (index, sound) in sounds.into_iter().enumerate() {
        let patience_s = draw.between(PATIENCE_S[0], PATIENCE_S[1]);
        let question = QUESTIONS[index % QUESTIONS.len()];
        let case = stage.play(sound, question, patience_s).await?;
        note(format_args!("{} of {count}: {}", index + 1, case.line()));
        cases.push(case);
    }
    Ok(cases)
}

/// Computes off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Exit> + Send + 'static,
) -> Result<T, Exit> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Exit::new(Code::Failure, error))?
}
