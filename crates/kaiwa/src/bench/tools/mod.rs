//! `kaiwa bench tools`: how often the language model calls the right tool.
//!
//! Requests as people make them, spoken or typed, over six tools; for some none is right. Each is
//! a session of its own with the server in this process, which is asked as any client asks it:
//! `session.update` with the tools, an item of text, `response.create`, and the calls of what
//! comes.

mod ask;
mod compare;
mod requests;
mod summary;

use kaiwa_server::Server;

use self::{requests::Requests, summary::Summary};
use super::{
    machine::{self, Machine},
    report,
};
use crate::{
    cli::{EngineArgs, EngineKind, ToolsArgs},
    engines::{self, Wanted},
    exit::{Code, Exit},
    output::note,
    talk,
};

/// The ear that is loaded and hears nothing.
const STT: &str = "whisper-tiny.en";

pub(crate) async fn run(arguments: ToolsArgs) -> Result<(), Exit> {
    let mut requests = Requests::built_in();
    if let Some(most) = arguments.requests {
        requests.spread(most.get());
    }
    let wanted = wanted(&arguments);
    let model = wanted.model()?;
    let names = match (wanted.remote.llm()?, arguments.engine) {
        (Some(_), _) | (None, EngineKind::Scripted) => vec![model.clone()],
        (None, EngineKind::Local) => machine::model_names(&[&arguments.llm])?,
    };
    let machine = Machine::new(arguments.threads.map(usize::from), names);
    let engines = talk::load_wanted(wanted.clone()).await?;
    let config = engines::configured(&engines, &wanted)?;
    let server = Server::new(engines, config);

    // The first response of a process reads the model's pages from disk, and the prompt with the
    // tools, which all requests have in common.
    ask::ask(&server, &requests, "Hello.").await?;
    let mut outcomes = Vec::with_capacity(requests.all.len());
    for request in &requests.all {
        let answer = ask::ask(&server, &requests, &request.say).await?;
        let outcome = summary::Outcome::new(&requests, request, answer);
        note(format_args!("{}: {}", outcome.verdict(), request.say));
        outcomes.push(outcome);
    }
    let failed = outcomes.iter().all(|outcome| outcome.error.is_some());
    let why = outcomes.iter().find_map(|outcome| outcome.error.clone());
    let summary = Summary::new(machine, model, outcomes);
    report::publish(&summary, &arguments.report)?;
    match why.filter(|_| failed) {
        Some(why) => Err(Exit::new(
            Code::Failure,
            format!("no request was answered: {why}"),
        )),
        None => Ok(()),
    }
}

fn wanted(arguments: &ToolsArgs) -> Wanted {
    Wanted {
        engines: EngineArgs {
            engine: arguments.engine,
            script: arguments.script.clone(),
            stt: STT.to_owned(),
            llm: arguments.llm.clone(),
            speculate: None,
            threads: arguments.threads,
            yes: arguments.yes,
        },
        remote: arguments.remote.clone(),
    }
}
