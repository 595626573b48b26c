//! `kaiwa doctor`: what `kaiwa talk` would meet, looked at piece by piece, with what to do
//! about each piece that is not as it should be. Every look has a limit of time.

mod devices;
mod drift;
mod endpoint;
mod engines;
mod finding;
mod models;
mod permissions;
mod sound;
mod terminal;

use std::{future::Future, path::Path, time::Duration};

use serde::Serialize;

use self::finding::{Finding, Verdict};
use crate::{
    cli::{Check, DoctorArgs},
    exit::{Code, Exit},
    output, settings, talk,
};

pub(crate) async fn run(arguments: DoctorArgs, configuration: Option<&Path>) -> Result<(), Exit> {
    let talk = settings::talk(configuration, &arguments.words)?;
    let target = talk::target(&talk)?;
    let mut report = Report {
        json: arguments.json,
        check: Check::Terminal,
        problems: 0,
    };
    for check in Check::ALL {
        if !arguments.only.is_empty() && !arguments.only.contains(&check) {
            continue;
        }
        report.check = check;
        match check {
            Check::Terminal => terminal::examine(&mut report)?,
            Check::Permissions => {
                let needed = models::needed(&talk, &target)?;
                permissions::examine(&needed, configuration, &mut report)?;
            }
            Check::Endpoint => endpoint::examine(&target, &mut report).await?,
            Check::Devices => devices::examine(&talk, &mut report).await?,
            Check::Models => models::examine(&talk, &target, &mut report).await?,
            Check::Engines => engines::examine(&talk, &target, &mut report).await?,
        }
    }
    match report.problems {
        0 => Ok(()),
        1 => Err(Exit::new(Code::Failure, "one problem was found")),
        problems => Err(Exit::new(
            Code::Failure,
            format!("{problems} problems were found"),
        )),
    }
}

/// Tells findings as they come.
struct Report {
    json: bool,
    /// What is being looked at.
    check: Check,
    problems: usize,
}

impl Report {
    fn tell(&mut self, finding: &Finding) -> Result<(), Exit> {
        #[derive(Serialize)]
        struct Line<'a> {
            check: Check,
            #[serde(flatten)]
            finding: &'a Finding,
        }

        self.problems += usize::from(finding.verdict == Verdict::Problem);
        match self.json {
            true => output::json_line(&Line {
                check: self.check,
                finding,
            }),
            false => output::line(finding),
        }
    }

    fn tell_all(&mut self, findings: &[Finding]) -> Result<(), Exit> {
        findings.iter().try_for_each(|finding| self.tell(finding))
    }
}

/// What comes of `work`, or that it took too long.
async fn within<T>(
    limit: Duration,
    about: &str,
    work: impl Future<Output = T>,
) -> Result<T, Finding> {
    tokio::time::timeout(limit, work).await.map_err(|_| {
        Finding::problem(
            about,
            format_args!("no result within {} s", limit.as_secs()),
            "see what else keeps this machine busy, and try again",
        )
    })
}

/// The same for work that blocks. What takes too long goes on until the program ends.
async fn blocking<T: Send + 'static>(
    limit: Duration,
    about: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Finding> {
    let done = within(limit, about, tokio::task::spawn_blocking(work)).await?;
    done.map_err(|error| {
        Finding::problem(
            about,
            format_args!("the check broke down: {error}"),
            "report it with the lines above",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_hangs_is_a_problem_in_time() {
        let hung = within(Duration::ZERO, "server", std::future::pending::<()>()).await;
        let finding = hung.expect_err("it hangs");
        assert_eq!(finding.verdict, Verdict::Problem);
        assert_eq!(finding.message, "no result within 0 s");
        let done = within(Duration::from_secs(60), "server", async { 5 }).await;
        assert_eq!(done, Ok(5));
    }
}
