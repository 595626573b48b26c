//! The command line: what was typed, before it means anything.

mod bench;

use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use kaiwa_client::{Choice, Profile, costs::Usd};
use kaiwa_server::{AllowedServer, RateLimitConfig, RateLimitName};
use serde::Serialize;

pub(crate) use self::bench::*;
use crate::{remote::RemoteArgs, serve::relay::RelayArgs};

/// Converse with AI by voice, from a terminal or as a server.
#[derive(Debug, Parser)]
#[command(name = "kaiwa", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Configuration file; the default is ~/.config/kaiwa/config.toml ("kaiwa config path").
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "KAIWA_CONFIG",
        hide_env = true
    )]
    pub(crate) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Every option of talk and serve is a variable of the environment, too (--key-env is KAIWA_KEY_ENV),
and may stand in the configuration file. Flags go before the environment, the environment before
the persona, the persona before the file (\"kaiwa config show\").

Exit codes:
  0    the conversation or command ended as it should
  1    a failure none of the others names; for doctor, something is a problem
  2    the command line cannot be understood
  3    the endpoint cannot be reached, or the connection was lost; for probe, no session was had
  4    the endpoint refuses the key
  5    a model is missing, damaged, or cannot be fetched
  6    the input is not usable audio or text
  7    the output cannot be written
  8    the budget has no room for another answer
  9    no sound device can be used, or not the one that was named
  130  stopped by Ctrl-C; what was recorded so far is complete";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hold a conversation: with any Realtime endpoint, or offline with the embedded server.
    Talk(Box<TalkArgs>),
    /// Serve the Realtime API on this machine.
    Serve(Box<ServeArgs>),
    /// Watch a spoken conversation of three turns, offline; ends by itself.
    Demo(DemoArgs),
    /// List microphones and speakers.
    Devices(DevicesArgs),
    /// Look at everything that a conversation needs, and say what to do about what is missing.
    Doctor(DoctorArgs),
    /// Find out which dialect and which events of the Realtime API a server really speaks.
    Probe(ProbeArgs),
    /// Show a recording of "kaiwa talk --record": one page with sound, turns, jobs and times.
    Inspect(InspectArgs),
    /// List, fetch and check the model files of the embedded engines.
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Show the configuration: what is in force, and where it came from.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    Man {
        /// Write a page for every command into this folder instead.
        #[arg(long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Measure: word error rate, voice-to-voice latency, ends of turns, interruptions, calls of tools.
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
}

impl Command {
    /// The engines elsewhere that it may use.
    pub(crate) fn remote(&mut self) -> Option<&mut RemoteArgs> {
        match self {
            Self::Talk(arguments) => Some(&mut arguments.remote),
            Self::Serve(arguments) => Some(&mut arguments.remote),
            _ => None,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct TalkArgs {
    /// Realtime endpoint, for example wss://api.openai.com/v1/realtime or
    /// ws://127.0.0.1:8080/v1. Without it: OpenAI where a key is set, else the embedded server.
    #[arg(long)]
    pub(crate) url: Option<String>,

    /// Use the embedded server even where a key is set. Excludes --url.
    #[arg(long)]
    pub(crate) local: bool,

    /// Name of the environment variable that holds the endpoint's key.
    #[arg(long, value_name = "NAME", default_value = "OPENAI_API_KEY")]
    pub(crate) key_env: String,

    /// Model to talk to: the endpoint's name of it, or offline the name of a local language
    /// model ("kaiwa models list") or a GGUF file.
    #[arg(long)]
    pub(crate) model: Option<String>,

    /// How the endpoint is spoken to: openai, azure, beta (servers of 2024), or auto, which
    /// finds out.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) profile: Profile,

    /// End the conversation when the connection to an endpoint is lost, instead of making it
    /// again.
    #[arg(long)]
    pub(crate) no_reconnect: bool,

    /// Voice of the assistant.
    #[arg(long)]
    pub(crate) voice: Option<String>,

    /// What the assistant is told to be; @FILE reads it from a file.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub(crate) instructions: Option<String>,

    /// Who the assistant is: a file personas/NAME.md beside the configuration, or "haiku". It
    /// may set voice, model and turn as well.
    #[arg(long, value_name = "NAME")]
    pub(crate) persona: Option<String>,

    /// Who decides that your turn is over. The default is semantic offline, and server for an
    /// endpoint, which every endpoint understands.
    #[arg(long, value_enum)]
    pub(crate) turn: Option<Turn>,

    /// How soon --turn semantic takes a turn to be over.
    #[arg(long, value_enum, default_value_t = Eagerness::Auto)]
    pub(crate) eagerness: Eagerness,

    /// What you say: a WAV or FLAC file, or - for raw PCM on stdin (16-bit little-endian,
    /// mono, 24000 Hz).
    #[arg(long, value_name = "FILE|-")]
    pub(crate) input: Option<PathBuf>,

    /// Feed the input as fast as it is taken instead of at the pace of speech.
    #[arg(long)]
    pub(crate) fast: bool,

    /// What the assistant says: a WAV file, - for raw PCM on stdout (16-bit little-endian,
    /// mono, 24000 Hz), or none.
    #[arg(long, value_name = "FILE|-|none")]
    pub(crate) output: Option<PathBuf>,

    /// Where you are heard: a microphone's number, or words of its name ("kaiwa devices"),
    /// default, or none. At a terminal, and without --input, --output and --text, default; with
    /// --text, none.
    #[arg(long, value_name = "NAME|N|none", conflicts_with_all = ["input", "output", "fast"])]
    pub(crate) mic: Option<Choice>,

    /// Where the assistant is heard, in the same way.
    #[arg(long, value_name = "NAME|N|none", conflicts_with_all = ["input", "output", "fast"])]
    pub(crate) speaker: Option<Choice>,

    /// Leave the assistant's voice in what the microphone hears: for headphones, which give it
    /// nothing to hear.
    #[arg(long)]
    pub(crate) no_aec: bool,

    /// How much steady noise is taken out of the microphone: near for a headset, far for a
    /// microphone in the room.
    #[arg(long, value_enum, default_value_t = Noise::Off)]
    pub(crate) noise: Noise,

    /// You are heard only when you ask for it, whatever --turn says: Ctrl-Space or F4 opens the
    /// microphone and, pushed again, sends what you said; in terminals that tell, for as long as
    /// it is held down.
    #[arg(long)]
    pub(crate) ptt: bool,

    /// Programs that the assistant may run, as this file says (docs/tools.md).
    #[arg(long, value_name = "FILE")]
    pub(crate) tools: Option<PathBuf>,

    /// An MCP server whose tools the assistant may use: a command line to start it with, or its
    /// URL. May be given several times.
    #[arg(long, value_name = "COMMAND|URL")]
    pub(crate) mcp: Vec<String>,

    /// Of the tools of MCP servers, only those of these names.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) mcp_tools: Vec<String>,

    /// A tool that is built in, beside the clock. May be given several times.
    #[arg(long, value_enum)]
    pub(crate) tool: Vec<BuiltIn>,

    /// The assistant cannot look at the clock.
    #[arg(long)]
    pub(crate) no_clock: bool,

    /// Run tools that you would be asked about without asking.
    #[arg(long)]
    pub(crate) yes_tools: bool,

    /// The assistant says nothing over a tool that takes its time.
    #[arg(long)]
    pub(crate) no_filler: bool,

    /// Print lines instead of a screen. So it is, too, where input or output are no terminal.
    #[arg(long)]
    pub(crate) plain: bool,

    /// A typed turn; may be given several times. Without --input and --text, lines are read
    /// from the terminal.
    #[arg(long)]
    pub(crate) text: Vec<String>,

    /// Print one JSON object a line instead of a transcript.
    #[arg(long)]
    pub(crate) json: bool,

    /// Write every protocol event with its time to this file (JSON lines).
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Keep everything of the conversation in this new folder, for "kaiwa inspect": the sound
    /// of both sides, every event, and offline what the server did and when.
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,

    /// The most that the conversation may cost, in US dollars: it ends before it costs more.
    #[arg(long, value_name = "USD")]
    pub(crate) budget: Option<Usd>,

    /// What models cost, before the prices kaiwa knows.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) engines: EngineArgs,

    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BuiltIn {
    /// Works out sums exactly.
    Calculator,
    /// Runs a command, after you have agreed to it.
    Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Noise {
    Near,
    Far,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Turn {
    /// The server, by what you said and how it sounded; you can interrupt.
    Semantic,
    /// The server, when you have been silent for half a second; you can interrupt.
    Server,
    /// The turn ends with the input.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Eagerness {
    Low,
    Medium,
    High,
    Auto,
}

impl From<Eagerness> for kaiwa_protocol::Eagerness {
    fn from(eagerness: Eagerness) -> Self {
        match eagerness {
            Eagerness::Low => Self::Low,
            Eagerness::Medium => Self::Medium,
            Eagerness::High => Self::High,
            Eagerness::Auto => Self::Auto,
        }
    }
}

/// Which engines the embedded server runs on.
#[derive(Args, Clone, Debug)]
pub(crate) struct EngineArgs {
    /// The engines: local models, or a script that plays replies, timings and faults.
    #[arg(long, value_enum, default_value_t = EngineKind::Local)]
    pub(crate) engine: EngineKind,

    /// The script of --engine scripted; without it every turn is echoed.
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,

    /// Local speech-to-text model.
    #[arg(long, value_name = "NAME", default_value = "whisper-tiny.en")]
    pub(crate) stt: String,

    /// Local language model: a name from "kaiwa models list" or a GGUF file.
    #[arg(long, value_name = "NAME|FILE", default_value = "smollm2-135m")]
    pub(crate) llm: String,

    /// Milliseconds of silence after which a turn is answered ahead of its end, or "off". What
    /// was made is dropped if the speaker goes on. The default is 96; a script's replies come
    /// in order, so that it is off for --engine scripted; and so it is where speech to text or
    /// the language model is on a public server, which is paid for what was dropped, too.
    #[arg(long, value_name = "MS|off", value_parser = speculation)]
    pub(crate) speculate: Option<Speculation>,

    /// Threads for inference; the default is one per core.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Fetch missing models without asking.
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

/// The silence after which a turn is answered ahead of its end; `None` for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Speculation(pub(crate) Option<u64>);

fn speculation(text: &str) -> Result<Speculation, String> {
    match text.parse() {
        _ if text == "off" => Ok(Speculation(None)),
        Ok(ms @ 32..=5000) => Ok(Speculation(Some(ms))),
        Ok(_) | Err(_) => Err("expected 32 to 5000 milliseconds, or \"off\"".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineKind {
    /// Models on this machine's CPU.
    Local,
    /// A script.
    Scripted,
}

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    pub(crate) listen: String,

    /// Name of an environment variable with the keys clients must present, separated by
    /// commas. Without it every client is let in.
    #[arg(long, value_name = "NAME")]
    pub(crate) keys_env: Option<String>,

    /// Most sessions at once.
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub(crate) max_sessions: usize,

    /// What each session may use in a time, as requests=60/60 or tokens=100000/60: so many in
    /// so many seconds. May be repeated; without it there is no limit.
    #[arg(long = "rate-limit", value_name = "NAME=N/SECONDS", value_parser = rate_limit)]
    pub(crate) rate_limits: Vec<RateLimitConfig>,

    /// An MCP server that sessions may use tools of, with everything below its path, such as
    /// http://127.0.0.1:9000/mcp. May be repeated; without it none is contacted.
    #[arg(long = "mcp-allow", value_name = "URL")]
    pub(crate) mcp_allow: Vec<AllowedServer>,

    /// Write every session's events, audio included, into a file of this folder: one JSON
    /// object a line.
    #[arg(long, visible_alias = "record", value_name = "DIR")]
    pub(crate) log_events: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) relay: RelayArgs,

    #[command(flatten)]
    pub(crate) engines: EngineArgs,

    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Where the recording goes: stereo, the user left, the assistant right.
    #[arg(long, default_value = "demo.wav", value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Keep everything of the conversation in this new folder, for "kaiwa inspect".
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) engines: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DevicesArgs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Look at these alone.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CHECKS")]
    pub(crate) only: Vec<Check>,

    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,

    /// Options of "kaiwa talk", whose conversation is looked at: kaiwa doctor -- --mic headset
    #[arg(last = true, value_name = "OPTIONS")]
    pub(crate) words: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct ProbeArgs {
    /// The server, for example ws://127.0.0.1:8080/v1, or local for the embedded one. Without
    /// it, the server that "kaiwa talk" would talk to.
    #[arg(value_name = "URL|local")]
    pub(crate) url: Option<String>,

    /// Name of the environment variable that holds the server's key [default: OPENAI_API_KEY]. A
    /// URL that is neither OpenAI's nor Azure's gets a key only where one is named.
    #[arg(long, value_name = "NAME")]
    pub(crate) key_env: Option<String>,

    /// Model to ask for, by the server's name of it.
    #[arg(long)]
    pub(crate) model: Option<String>,

    /// How the server is spoken to: openai, azure, beta (servers of 2024), or auto, which finds
    /// out [default: auto].
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<Profile>,

    /// Ask for a short answer in text and one in sound, too, which servers may bill. Without it
    /// kaiwa asks for no answer; a server that bills connections bills two.
    #[arg(long)]
    pub(crate) respond: bool,

    /// How long an answer to a request may take, in seconds (0.1 to 600).
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = patience)]
    pub(crate) timeout: Duration,

    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,

    /// Other options of "kaiwa talk": kaiwa probe local -- --engine scripted
    #[arg(last = true, value_name = "OPTIONS")]
    pub(crate) words: Vec<OsString>,
}

fn patience(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) | Err(_) => Err("expected 0.1 to 600 seconds".to_owned()),
    }
}

/// What "kaiwa doctor" looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Check {
    /// What the terminal can do.
    Terminal,
    /// Where kaiwa reads and writes.
    Permissions,
    /// The server that is talked to.
    Endpoint,
    /// Microphone and speaker: a second is recorded, and chirps are played.
    Devices,
    /// The model files.
    Models,
    /// Whether the engines load and answer.
    Engines,
}

impl Check {
    /// All of them, in the order in which they are made.
    pub(crate) const ALL: [Self; 6] = [
        Self::Terminal,
        Self::Permissions,
        Self::Endpoint,
        Self::Devices,
        Self::Models,
        Self::Engines,
    ];
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// Folder of the recording.
    #[arg(value_name = "DIR")]
    pub(crate) recording: PathBuf,

    /// Where the page goes; the default is index.html in the folder.
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub(crate) output: Option<PathBuf>,

    /// Write no page, but give the session what it was given then, and say whether it does the
    /// same again.
    #[arg(long)]
    pub(crate) replay: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every option, its value, and where that came from.
    Show {
        /// The words after "kaiwa", as in: talk --voice marin. Without them, all commands that
        /// have a configuration.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "WORDS"
        )]
        words: Vec<OsString>,
    },
    /// Print the path of the configuration file.
    Path,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Show every model: size, licence, whether it is here.
    List,
    /// Fetch models: the named ones, or what a conversation needs.
    Pull {
        /// Names from "kaiwa models list".
        names: Vec<String>,
        /// Fetch without asking.
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Read every file that is here and compare it with its hash.
    Verify {
        /// Names from "kaiwa models list"; all that are here where none is given.
        names: Vec<String>,
    },
    /// Print the folder of the store, or of one model.
    Path {
        /// A name from "kaiwa models list".
        name: Option<String>,
    },
}

/// Reads `requests=60/60`.
fn rate_limit(text: &str) -> Result<RateLimitConfig, String> {
    let parts = text.split_once('=').and_then(|(name, amount)| {
        let (limit, seconds) = amount.split_once('/')?;
        Some((name, limit.parse().ok()?, seconds.parse::<u64>().ok()?))
    });
    let Some((name, limit, seconds @ 1..=86_400)) = parts else {
        return Err("expected NAME=N/SECONDS with up to 86400 seconds".to_owned());
    };
    let name = match name {
        "requests" => RateLimitName::Requests,
        "tokens" => RateLimitName::Tokens,
        _ => {
            return Err(format!(
                "no limit is called {name}: requests and tokens are"
            ));
        }
    };
    Ok(RateLimitConfig {
        name,
        limit,
        window_ms: seconds * 1000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_has_bounds() {
        assert_eq!(patience("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "0", "-1", "601", "inf", "NaN", "soon"] {
            assert!(patience(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rate_limits_are_read_or_refused() {
        let read = rate_limit("tokens=5000/30").unwrap();
        assert_eq!(
            (read.name, read.limit, read.window_ms),
            (RateLimitName::Tokens, 5000, 30_000)
        );
        for text in [
            "",
            "requests",
            "requests=5",
            "requests=5/0",
            "words=5/60",
            "tokens=-1/60",
        ] {
            assert!(rate_limit(text).is_err(), "{text}");
        }
    }
}
