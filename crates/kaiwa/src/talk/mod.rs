//! `kaiwa talk`: one conversation, with whoever the flags name.

mod card;
mod connect;
pub(crate) mod costs;
mod desk;
mod plan;
mod questions;
mod render;
mod screen;
mod tools;
mod typed;

use std::{
    fs::File,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use kaiwa_client::{
    Conversation, ConversationConfig, EndReason, Event, FileCard, Handle, Link, Moment, Trace,
    Turn, card::CleanCard,
};
use kaiwa_protocol::codes;

use self::{
    card::Card,
    desk::{AtDesk, Desk},
    plan::{Plan, Typing},
    questions::Questions,
    screen::{Prepared, Prompter, Screen},
};
pub(crate) use self::{
    card::{device_config, voice},
    connect::{embedded, embedded_link, link, load, load_wanted, wanted},
    plan::{Target, taken, target},
    render::{Format, Renderer},
    screen::tells_releases,
};
use crate::{
    cli::TalkArgs,
    exit::{Code, Exit, leave},
    fetch::Console,
    lines::{Lines, Loss},
    output,
    record::Recording,
    stop,
};

/// Silence after the input that lets every turn end: the longest that `semantic_vad` waits is
/// 2 s here.
const SEMANTIC_SILENCE: Duration = Duration::from_secs(3);

pub(crate) async fn run(arguments: TalkArgs) -> Result<(), Exit> {
    // What can be refused without a connection or a model is refused first.
    let mut plan = Plan::new(&arguments)?;
    let mut config = ConversationConfig::default();
    config.instructions = plan.instructions.clone();
    config.voice = arguments.voice.clone();
    config.turn = plan.turn.clone();
    if matches!(config.turn, Turn::Semantic { .. }) {
        // A turn that does not look finished is waited for longer.
        config.trailing_silence = SEMANTIC_SILENCE;
    }
    config.output = plan.output_mode;
    config.costs = costs::config(&plan.target, &arguments)?;
    config.tools = tools::gather(&arguments, plan.can_be_asked(&arguments)).await?;
    config.reconnect = connect::reconnect(&plan.target, &arguments);
    config.trace = arguments.trace.as_deref().map(trace).transpose()?;
    let recording = arguments.record.as_deref();
    let mut recording = recording.map(Recording::prepare).transpose()?;
    let outcome = match plan.screen.take() {
        Some(setting) => {
            let desk = Arc::new(Desk::new(setting.push_to_talk));
            let (mut screen, prompter) = Screen::open(setting, &desk)?;
            let kept = recording.as_mut();
            let shown = on_screen(&mut screen, prompter, &mut plan, &arguments, config, kept).await;
            // The terminal is given back before anything else is said on it.
            screen.close().and(shown)
        }
        None => in_lines(&mut plan, &arguments, config, recording.as_mut()).await,
    };
    // What could not be shown was recorded all the same.
    if let Some(recording) = recording {
        recording.complete().await;
    }
    outcome?.into_result(Some(&arguments.key_env))
}
/// The conversation on a screen, which shows the preparations, too.
async fn on_screen(
    screen: &mut Screen,
    prompter: Prompter,
    plan: &mut Plan,
    arguments: &TalkArgs,
    config: ConversationConfig,
    mut recording: Option<&mut Recording>,
) -> Result<Outcome, Exit> {
    let link = connect::open(&plan.target, arguments, recording.as_deref_mut(), prompter);
    let link = match screen.prepare(link).await? {
        Prepared::Done(link) => link,
        Prepared::Stopped { interrupted } => {
            return Ok(Outcome {
                reason: Some(EndReason::Stopped),
                interrupted,
                failed: None,
            });
        }
    };
    let desk = Arc::clone(screen.desk());
    let (conversation, handle) = start(link, plan, config, recording.as_deref_mut(), &desk)?;
    let record = |moment: &Moment| {
        if let Some(recording) = &mut recording {
            recording.moment(moment);
        }
    };
    screen.follow(conversation, &handle, record).await
}

/// The conversation in lines.
async fn in_lines(
    plan: &mut Plan,
    arguments: &TalkArgs,
    config: ConversationConfig,
    mut recording: Option<&mut Recording>,
) -> Result<Outcome, Exit> {
    let console = Console::default();
    let link = connect::open(&plan.target, arguments, recording.as_deref_mut(), console).await?;
    let desk = Arc::new(Desk::new(false));
    let (conversation, handle) = start(link, plan, config, recording.as_deref_mut(), &desk)?;
    let format = match arguments.json {
        true => Format::Json,
        false => Format::Plain,
    };
    let mut renderer = Renderer::new(format, plan.transcript_to_stderr);
    if let Some(notice) = &plan.notice {
        output::note(notice);
    }
    let stopping = handle.clone();
    let questions = Questions::default();
    match std::mem::replace(&mut plan.typing, Typing::Given(Vec::new())) {
        Typing::Given(turns) => typed::give(&handle, turns)?,
        Typing::Lines { interrupt } => typed::read_lines(handle, interrupt, questions.clone()),
    }
    let show = |moment: &Moment| {
        if let Some(recording) = &mut recording {
            recording.moment(moment);
        }
        questions.note(&moment.event, Instant::now());
        renderer.show(moment)
    };
    let outcome = follow(conversation, || stopping.stop(), show).await?;
    renderer.finish()?;
    Ok(outcome)
}

/// Begins the conversation.
fn start(
    link: Link,
    plan: &mut Plan,
    mut config: ConversationConfig,
    mut recording: Option<&mut Recording>,
    desk: &Arc<Desk>,
) -> Result<(Conversation, Handle), Exit> {
    if let Some(recording) = &mut recording {
        recording.begin(plan.pace())?;
        config.trace = Some(recording.trace(config.trace.take())?);
    }
    let card = AtDesk {
        card: card(plan, recording.as_deref(), desk)?,
        desk: Arc::clone(desk),
    };
    Ok(Conversation::start(link, card, config))
}

/// How a conversation went, for the exit code.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    reason: Option<EndReason>,
    interrupted: bool,
    failed: Option<String>,
}

impl Outcome {
    /// Something happened in the conversation.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Ended { reason } => self.reason = Some(reason.clone()),
            Event::ResponseDone { status, reason, .. } => {
                self.failed = (status == "failed").then(|| {
                    let why = reason.as_deref().unwrap_or("no reason was given");
                    format!("the last answer failed: {why}")
                });
            }
            _ => {}
        }
    }

    /// Success, or what to tell the user; `key_env` names the variable of the key, if one was
    /// given.
    pub(crate) fn into_result(self, key_env: Option<&str>) -> Result<(), Exit> {
        if self.interrupted {
            return Err(Exit::new(Code::Interrupted, "stopped"));
        }
        match self.reason {
            Some(EndReason::InputEnded | EndReason::OutputClosed | EndReason::Stopped) => {
                match self.failed {
                    None => Ok(()),
                    Some(message) => Err(Exit::new(Code::Failure, message)),
                }
            }
            Some(reason @ (EndReason::NothingHeard | EndReason::InputFailed { .. })) => {
                Err(Exit::new(Code::Input, reason))
            }
            Some(reason @ EndReason::CardFailed { .. }) => Err(Exit::new(Code::Output, reason)),
            Some(reason @ EndReason::BudgetSpent { .. }) => Err(Exit::new(Code::Budget, reason)
                .with_hint("a larger --budget lasts longer; a new conversation begins cheaper")),
            Some(EndReason::Refused { message, param, .. }) => {
                let hint = what_to_change(param.as_deref());
                Err(Exit::new(Code::Failure, message).with_hint(hint))
            }
            Some(EndReason::Rejected { message, code }) => match (code.as_deref(), key_env) {
                (Some(code), Some(key_env)) if is_of_the_key(code) => {
                    Err(Exit::new(Code::Unauthorized, message)
                        .with_hint(format!("set {key_env} to a valid key of this server")))
                }
                _ => Err(Exit::new(Code::Failure, message)),
            },
            Some(reason) => Err(Exit::new(Code::Connection, reason)),
            None => Err(Exit::new(Code::Failure, "the conversation broke down")),
        }
    }
}

/// Whether an error of this code is about the key: servers may look at it after the upgrade.
pub(crate) fn is_of_the_key(code: &str) -> bool {
    matches!(
        code,
        codes::INVALID_API_KEY | "missing_api_key" | "account_deactivated"
    )
}

/// What to do about a setting the server refused, given its path.
fn what_to_change(param: Option<&str>) -> &'static str {
    let is_of = |setting| param.is_some_and(|path| path.contains(setting));
    if is_of("voice") {
        "name a voice this server has with --voice, or leave it out for the server's own"
    } else if is_of("instructions") {
        "give other instructions with --instructions, or none"
    } else if is_of("turn_detection") {
        "try --turn none, which ends your turn with the input"
    } else if is_of("modalities") {
        "ask for the other kind of answer: with --output in sound, without it in writing"
    } else {
        "--trace FILE shows what was asked for; another --profile may say it in the server's way"
    }
}

/// Shows every event until the end. The first Ctrl-C ends the conversation in order, the
/// second ends the program.
///
/// # Errors
///
/// What `show` has failed with, which ends the conversation in order, too: `show` sees the rest
/// of it.
pub(crate) async fn follow(
    mut conversation: Conversation,
    stop: impl Fn(),
    mut show: impl FnMut(&Moment) -> Result<(), Exit>,
) -> Result<Outcome, Exit> {
    let mut outcome = Outcome::default();
    let mut failure = None;
    let mut signal = std::pin::pin!(stop::requested());
    loop {
        let moment = tokio::select! {
            moment = conversation.next() => moment,
            () = &mut signal, if !outcome.interrupted => {
                outcome.interrupted = true;
                tokio::spawn(async {
                    stop::requested().await;
                    leave(Code::Interrupted as u8);
                });
                stop();
                continue;
            }
        };
        let Some(moment) = moment else {
            return match failure {
                None => Ok(outcome),
                Some(failure) => Err(failure),
            };
        };
        outcome.note(&moment.event);
        if let Err(error) = show(&moment)
            && failure.is_none()
        {
            failure = Some(error);
            stop();
        }
    }
}

fn card(plan: &mut Plan, recording: Option<&Recording>, desk: &Desk) -> Result<Card, Exit> {
    if let Some(devices) = plan.devices.take() {
        let card = match recording {
            // Who closes the microphone is not recorded either.
            Some(recording) => {
                let card = devices.card.unrecorded_while(desk.closed());
                recording.sound_of_devices(card)?
            }
            None => devices.card,
        };
        return Ok(Card::Devices(CleanCard::new(card, plan.voice)));
    }
    let mut card = FileCard::builder()
        .mic(plan.mic())
        .speaker(plan.speaker()?)
        .pace(plan.pace());
    if let Some(recording) = recording {
        card = recording.sound(card)?;
    }
    Ok(Card::File(card.build()?))
}

/// Writes every protocol event as a line of JSON.
fn trace(path: &Path) -> Result<Trace, Exit> {
    let file = File::create(path).map_err(|error| {
        Exit::new(
            Code::Output,
            format!("cannot write the trace {}: {error}", path.display()),
        )
    })?;
    let mut lines = Lines::new(path.to_owned(), file, Loss::of("the trace"));
    Ok(Box::new(move |entry| lines.write(&entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_configuration_is_a_failure_with_what_to_do() {
        let refused = |param: Option<&str>| Outcome {
            reason: Some(EndReason::Refused {
                message: "the server refused the session's configuration: No.".to_owned(),
                code: None,
                param: param.map(str::to_owned),
            }),
            interrupted: false,
            failed: None,
        };
        for (param, flag) in [
            (Some("session.audio.output.voice"), "--voice"),
            (Some("session.voice"), "--voice"),
            (Some("session.instructions"), "--instructions"),
            (Some("session.audio.input.turn_detection.type"), "--turn"),
            (Some("session.output_modalities"), "--output"),
            (Some("session.type"), "--profile"),
            (None, "--trace"),
        ] {
            let exit = refused(param).into_result(None).expect_err("no success");
            assert_eq!(exit.code, Code::Failure);
            let shown = exit.to_string();
            assert!(shown.contains("configuration: No.\nhint: "), "{shown}");
            assert!(shown.contains(flag), "{shown}");
        }
    }

    #[test]
    fn a_key_refused_after_the_upgrade_has_the_code_of_one_refused_before() {
        let rejected = |code: Option<&str>| Outcome {
            reason: Some(EndReason::Rejected {
                message: "Incorrect API key provided".to_owned(),
                code: code.map(str::to_owned),
            }),
            interrupted: false,
            failed: None,
        };
        let told = |code| {
            let outcome = rejected(code).into_result(Some("MY_KEY"));
            outcome.expect_err("no success")
        };
        for code in ["invalid_api_key", "missing_api_key"] {
            let exit = told(Some(code));
            assert_eq!(exit.code, Code::Unauthorized);
            assert_eq!(
                exit.to_string(),
                "Incorrect API key provided\nhint: set MY_KEY to a valid key of this server"
            );
        }
        for code in [Some("invalid_value"), None] {
            assert_eq!(told(code).code, Code::Failure);
        }
    }
}
