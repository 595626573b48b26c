//! What the flags of `talk` mean together, worked out before anything starts.

use std::{
    env, fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use kaiwa_audio::{Clip, echo::VoiceOptions};
use kaiwa_client::{
    CardError, CardErrorKind, Choice, Endpoint, Mic, OutputMode, Pace, Speaker, Turn,
};

use super::{
    card::{self, Devices},
    screen::Setting,
};
use crate::{
    cli::{self, EngineKind, TalkArgs},
    exit::{Code, Exit},
    output,
};

/// Where answers go when a person types and names no file.
const DEFAULT_OUTPUT: &str = "reply.wav";

const OPENAI: &str = "wss://api.openai.com/v1/realtime";
const OPENAI_MODEL: &str = "gpt-realtime";

pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) instructions: Option<String>,
    pub(super) turn: Turn,
    pub(super) typing: Typing,
    pub(super) output_mode: OutputMode,
    fast: bool,
    /// Raw sound on stdout leaves stderr for the words.
    pub(super) transcript_to_stderr: bool,
    /// What a person should know before it starts.
    pub(super) notice: Option<String>,
    /// A person at a terminal sees a screen, unless they want lines.
    pub(super) screen: Option<Setting>,
    /// Opened already; else there are files, pipes or nothing.
    pub(super) devices: Option<Devices>,
    /// What is done to what a microphone hears.
    pub(super) voice: VoiceOptions,
    hearing: Hearing,
    speaking: Speaking,
}

/// Who is talked to.
#[derive(Debug)]
pub(crate) enum Target {
    Embedded,
    Remote(Endpoint),
}

/// Where typed turns come from.
pub(super) enum Typing {
    Given(Vec<String>),
    /// Lines of stdin; a person at a terminal interrupts, a pipe waits for its turn.
    Lines {
        interrupt: bool,
    },
}

enum Hearing {
    Nothing,
    Clip(Clip),
    Stdin,
}

pub(super) enum Speaking {
    Nothing,
    File(PathBuf),
    Stdout,
}

impl Plan {
    pub(super) fn new(arguments: &TalkArgs) -> Result<Self, Exit> {
        let hearing = match &arguments.input {
            None => Hearing::Nothing,
            Some(path) if is_dash(path) => Hearing::Stdin,
            Some(path) => Hearing::Clip(open(path)?),
        };
        let typed_lines = arguments.text.is_empty() && matches!(hearing, Hearing::Nothing);
        let at_terminal = typed_lines && io::stdin().is_terminal();
        if let Some(text) = arguments.text.iter().find(|text| text.trim().is_empty()) {
            return Err(
                Exit::new(Code::Input, format!("the typed turn {text:?} is empty"))
                    .with_hint("--text takes what you want to say"),
            );
        }
        let target = target(arguments)?;
        let alone = at_terminal && arguments.output.is_none() && io::stdout().is_terminal();
        let (devices, unheard) = card::devices(arguments, alone)?;
        let speaking = match &arguments.output {
            Some(path) if is_dash(path) => Speaking::Stdout,
            Some(path) if path.as_os_str() == "none" => Speaking::Nothing,
            Some(path) => Speaking::File(path.clone()),
            None if devices.is_some() => Speaking::Nothing,
            None if at_terminal => Speaking::File(DEFAULT_OUTPUT.into()),
            None => Speaking::Nothing,
        };
        let spoken = !matches!(hearing, Hearing::Nothing);
        // Typed questions whose answers nobody hears are answered in writing.
        let written = match &devices {
            Some(devices) => devices.speaker == Choice::None,
            None => !spoken && matches!(speaking, Speaking::Nothing),
        };
        let notice = at_terminal.then(|| match (&speaking, &devices) {
            (_, Some(devices)) if devices.microphone != Choice::None => {
                "Speak, or type and press Enter. End with Ctrl-C.".to_owned()
            }
            (Speaking::File(path), _) => format!(
                "Type and press Enter; the spoken answers go to {}. End with Ctrl-D.",
                path.display()
            ),
            _ => "Type and press Enter. End with Ctrl-D.".to_owned(),
        });
        let on_screen = at_terminal
            && io::stdout().is_terminal()
            && env::var_os("TERM").is_none_or(|term| term != "dumb")
            && !(arguments.plain || arguments.json || matches!(speaking, Speaking::Stdout));
        let (microphone, device) = devices.as_ref().map(Devices::names).unwrap_or_default();
        let push_to_talk = push_to_talk(arguments.ptt, microphone.is_some(), on_screen)?;
        if !on_screen && let Some(unheard) = &unheard {
            output::note(unheard);
        }
        let screen = on_screen.then(|| Setting {
            microphone,
            speaker: device.or_else(|| match &speaking {
                Speaking::File(path) => Some(path.display().to_string()),
                Speaking::Nothing | Speaking::Stdout => None,
            }),
            speaks: !written,
            note: unheard,
            push_to_talk,
        });
        Ok(Self {
            instructions: arguments
                .instructions
                .as_deref()
                .map(instructions)
                .transpose()?,
            turn: match push_to_talk {
                true => Turn::None,
                false => turn(arguments, &target),
            },
            target,
            typing: if typed_lines {
                Typing::Lines {
                    interrupt: at_terminal,
                }
            } else {
                Typing::Given(arguments.text.clone())
            },
            output_mode: if written {
                OutputMode::Text
            } else {
                OutputMode::Audio
            },
            // Nobody listens along to a file, so typed conversations do not wait for it.
            fast: devices.is_none()
                && (arguments.fast || (!spoken && !matches!(speaking, Speaking::Stdout))),
            transcript_to_stderr: matches!(speaking, Speaking::Stdout),
            notice,
            screen,
            devices,
            voice: card::voice(arguments),
            hearing,
            speaking,
        })
    }

    /// Whether somebody reads questions about tools and can answer them.
    pub(super) fn can_be_asked(&self, arguments: &TalkArgs) -> bool {
        let types = matches!(self.typing, Typing::Lines { interrupt: true });
        let sees = match self.transcript_to_stderr {
            true => io::stderr().is_terminal(),
            false => io::stdout().is_terminal(),
        };
        types && sees && !arguments.json
    }

    pub(super) fn pace(&self) -> Pace {
        match self.fast {
            true => Pace::Fast,
            false => Pace::RealTime,
        }
    }

    pub(super) fn mic(&mut self) -> Mic {
        match std::mem::replace(&mut self.hearing, Hearing::Nothing) {
            Hearing::Nothing => Mic::off(),
            Hearing::Clip(clip) => Mic::clip(clip),
            Hearing::Stdin => Mic::stream(tokio::io::stdin()),
        }
    }

    pub(super) fn speaker(&self) -> Result<Speaker, Exit> {
        Ok(match &self.speaking {
            Speaking::Nothing => Speaker::none(),
            Speaking::File(path) => Speaker::wav_without_gaps(path)?,
            Speaking::Stdout => Speaker::stream(tokio::io::stdout()),
        })
    }
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open(path: &Path) -> Result<Clip, Exit> {
    Clip::open(path).map_err(|error| {
        Exit::new(
            Code::Input,
            format!("cannot use {}: {error}", path.display()),
        )
        .with_hint("--input takes a WAV or FLAC file, or - for raw PCM on stdin")
    })
}

fn instructions(argument: &str) -> Result<String, Exit> {
    let Some(path) = argument.strip_prefix('@') else {
        return Ok(argument.to_owned());
    };
    fs::read_to_string(path).map_err(|error| {
        Exit::new(
            Code::Input,
            format!("cannot read the instructions {path}: {error}"),
        )
    })
}

/// Who ends turns: offline the server judges them. Endpoints may not know how, and a script
/// does not depend on it.
fn turn(arguments: &TalkArgs, target: &Target) -> Turn {
    let is_offline =
        matches!(target, Target::Embedded) && arguments.engines.engine == EngineKind::Local;
    let default = match is_offline {
        true => cli::Turn::Semantic,
        false => cli::Turn::Server,
    };
    taken(arguments.turn.unwrap_or(default), arguments.eagerness)
}

/// How turns are taken, as the flags say it.
pub(crate) fn taken(turn: cli::Turn, eagerness: cli::Eagerness) -> Turn {
    match turn {
        cli::Turn::Semantic => Turn::Semantic {
            eagerness: Some(eagerness.into()),
        },
        cli::Turn::Server => Turn::default(),
        cli::Turn::None => Turn::None,
    }
}

/// Whether the user is heard only when they ask for it. An open microphone is not what they
/// asked for, so without the keys to ask with there is no conversation.
fn push_to_talk(asked: bool, has_microphone: bool, on_screen: bool) -> Result<bool, Exit> {
    match asked && has_microphone {
        true if !on_screen => Err(Exit::new(
            Code::Usage,
            "--ptt needs keys, and these are read only where there is a screen",
        )
        .with_hint("leave --plain, --json and --text out, at a terminal; or --mic none, and type")),
        pushes => Ok(pushes),
    }
}

/// Who the flags and the environment name.
pub(crate) fn target(arguments: &TalkArgs) -> Result<Target, Exit> {
    let key = match env::var(&arguments.key_env) {
        Ok(key) => Some(key.trim().to_owned()).filter(|key| !key.is_empty()),
        Err(env::VarError::NotPresent) => None,
        Err(error) => {
            return Err(Exit::new(
                Code::Usage,
                format!("the key in {} cannot be used: {error}", arguments.key_env),
            ));
        }
    };
    let scripted = arguments.engines.engine == EngineKind::Scripted;
    let url = match &arguments.url {
        Some(url) if scripted => {
            return Err(Exit::new(
                Code::Usage,
                format!("--engine scripted is of the embedded server, --url {url} names another"),
            )
            .with_hint("leave one of them out"));
        }
        Some(url) => url.clone(),
        None if key.is_some() && !arguments.local && !scripted => OPENAI.to_owned(),
        None => return Ok(Target::Embedded),
    };
    let is_openai = url.contains("api.openai.com");
    let model = arguments.model.clone();
    let mut endpoint = Endpoint::new(url);
    endpoint.profile = arguments.profile;
    endpoint.key = key;
    endpoint.key_env = Some(arguments.key_env.clone());
    endpoint.model = model.or_else(|| is_openai.then(|| OPENAI_MODEL.to_owned()));
    Ok(Target::Remote(endpoint))
}

impl From<CardError> for Exit {
    fn from(error: CardError) -> Self {
        let code = match error.kind() {
            CardErrorKind::Input => Code::Input,
            _ => Code::Output,
        };
        Self::new(code, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_push_to_talk_no_microphone_is_open_without_a_key() {
        for (asked, has_microphone, on_screen, pushes) in [
            (false, true, false, Some(false)),
            (true, true, true, Some(true)),
            (true, true, false, None),
            // There is nothing to be heard with.
            (true, false, true, Some(false)),
            (true, false, false, Some(false)),
        ] {
            let planned = push_to_talk(asked, has_microphone, on_screen);
            if let Err(exit) = &planned {
                assert_eq!(exit.code, Code::Usage);
            }
            assert_eq!(planned.ok(), pushes);
        }
    }
}
