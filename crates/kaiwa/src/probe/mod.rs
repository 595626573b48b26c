//! `kaiwa probe`: what of the Realtime API a server really speaks.
//!
//! A fixed list of small requests is sent, and each answer is compared with the API's. What comes
//! is not trusted: every wait has a limit, and so has everything that is kept.

mod census;
mod connection;
mod key;
mod order;
mod report;
mod requests;
mod responses;
mod session;
mod shapes;
mod wire;

use std::{ffi::OsString, path::Path, time::Duration};

use kaiwa_client::Link;

use self::{
    report::{Finding, Report},
    wire::{Limits, Wire},
};
use crate::{
    cli::{ProbeArgs, TalkArgs},
    exit::{Code, Exit},
    settings,
    talk::{self, Target},
};

/// How long the end of a session is waited for.
const GOODBYE: Duration = Duration::from_secs(2);

pub(crate) async fn run(arguments: ProbeArgs, configuration: Option<&Path>) -> Result<(), Exit> {
    let (talk, is_meant) = settings::talk_and_key(configuration, &options(&arguments))?;
    let mut target = talk::target(&talk)?;
    let limits = Limits::new(arguments.timeout);
    let mut report = Report::new(arguments.json, &target);
    if let Target::Remote(endpoint) = &mut target
        && key::settle(endpoint, is_meant)?
    {
        let name = &talk.key_env;
        report.tell(Finding::ok(
            "key",
            format_args!(
                "that in {name} is not sent; --key-env {name} would say it is for this server"
            ),
        ))?;
    }
    let outcome = match connected(&target, &talk, limits, &mut report).await {
        Ok(link) => {
            let mut wire = Wire::new(link, limits, report.secrets());
            let outcome = session(&mut wire, arguments.respond, &mut report).await;
            let census = wire.close(GOODBYE).await;
            census.tell(&mut report)?;
            report.count(census);
            if let (Ok(()), Target::Remote(endpoint)) = (&outcome, &target) {
                connection::browsers(endpoint, limits, &mut report).await?;
            }
            outcome
        }
        Err(exit) => Err(exit),
    };
    report.finish(outcome.is_ok())?;
    // What a server says of the key is shown nowhere.
    outcome.map_err(|exit| Exit {
        message: report.presentable(&exit.message),
        hint: exit.hint.map(|hint| report.presentable(&hint)),
        ..exit
    })
}

/// What `kaiwa talk` would be given.
fn options(arguments: &ProbeArgs) -> Vec<OsString> {
    let named = |name: &str, value: &str| OsString::from(format!("--{name}={value}"));
    let mut options = match arguments.url.as_deref() {
        Some("local") => vec![OsString::from("--local")],
        Some(url) => vec![named("url", url)],
        None => Vec::new(),
    };
    options.extend(arguments.key_env.as_deref().map(|it| named("key-env", it)));
    options.extend(arguments.model.as_deref().map(|it| named("model", it)));
    options.extend(arguments.profile.map(|it| named("profile", it.as_str())));
    options.extend_from_slice(&arguments.words);
    options
}

/// A connection to the server, or why there is none.
async fn connected(
    target: &Target,
    talk: &TalkArgs,
    limits: Limits,
    report: &mut Report,
) -> Result<Link, Exit> {
    match target {
        Target::Embedded => {
            let link = talk::embedded_link(talk).await?;
            report.tell(Finding::ok("connection", "to the embedded server"))?;
            Ok(link)
        }
        Target::Remote(endpoint) => connection::open(endpoint, limits, report).await,
    }
}

/// Everything that is asked of a session, from its beginning.
async fn session(wire: &mut Wire, respond: bool, report: &mut Report) -> Result<(), Exit> {
    session::begin(wire, report).await?;
    session::settings(wire, report).await?;
    requests::all(wire, report).await?;
    if respond {
        responses::all(wire, report).await?;
    }
    requests::unknown(wire, report).await?;
    let unasked = wire.unasked();
    if unasked > 0 {
        let message = format!("{unasked} came unasked, and may be billed");
        report.tell(Finding::differs("response.created", message))?;
    }
    if let Some(why) = wire.ended() {
        let message = format!("{why}; what follows was not asked for");
        report.tell(Finding::differs("connection", message))?;
    }
    Ok(())
}

/// No session was had; the findings say more.
fn no_session(why: impl std::fmt::Display) -> Exit {
    Exit::new(Code::Connection, format!("no session was had: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    use crate::cli::{Cli, Command};

    fn of(words: &[&str]) -> Vec<OsString> {
        let line = ["kaiwa", "probe"].iter().chain(words);
        match Cli::parse_from(line).command {
            Command::Probe(arguments) => options(&arguments),
            _ => unreachable!("the word is probe"),
        }
    }

    #[test]
    fn options_are_those_of_talk() {
        assert!(of(&[]).is_empty());
        assert_eq!(of(&["local"]), ["--local"]);
        assert_eq!(
            of(&[
                "ws://h/v1",
                "--key-env",
                "KEY",
                "--model=m",
                "--profile=beta",
                "--",
                "--yes"
            ]),
            [
                "--url=ws://h/v1",
                "--key-env=KEY",
                "--model=m",
                "--profile=beta",
                "--yes"
            ]
        );
    }
}
