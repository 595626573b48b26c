//! The command line of `kaiwa bench`.

use std::{fmt, num::NonZeroUsize, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Eagerness, EngineArgs, EngineKind, Turn};
use crate::remote::RemoteArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Word error rate and speed of speech to text on real recordings.
    Wer(WerArgs),
    /// End of speech to first audible sample, and where the time goes.
    Latency(LatencyArgs),
    /// How long is waited at the end of a turn, against how often one is cut off.
    Turns(TurnsArgs),
    /// How soon the assistant is silent when somebody cuts in, and what it knows of it.
    Bargein(BargeinArgs),
    /// How much of its own voice is taken out of the microphone, and what of the user's.
    Echo(EchoArgs),
    /// What noise reduction takes out of the microphone, and what it makes of the words.
    Noise(NoiseArgs),
    /// What "kaiwa serve --upstream" adds to the way of an event, and whether it changes any.
    Relay(RelayBenchArgs),
    /// How often the language model calls the right tool, with the right arguments.
    Tools(Box<ToolsArgs>),
}

#[derive(Args, Debug)]
pub(crate) struct WerArgs {
    /// Folder of recordings: sets with a manifest.jsonl each.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) speech: PathBuf,

    /// Models to measure.
    #[arg(long, value_delimiter = ',', default_values = ["whisper-tiny.en", "whisper-base"])]
    pub(crate) models: Vec<String>,

    /// Score these transcripts instead (JSON lines: model, file, text, ms), so that another
    /// program is judged by the same normaliser.
    #[arg(long, value_name = "FILE")]
    pub(crate) hypotheses: Option<PathBuf>,

    /// Threads for inference; the default is one per core.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct LatencyArgs {
    /// Folder of recordings with a pause_map.jsonl.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) speech: PathBuf,

    /// Most utterances to play.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) utterances: usize,

    #[command(flatten)]
    pub(crate) taking: TakingArgs,

    /// Listen to the answers to their end, and count how often one runs dry before it.
    #[arg(long)]
    pub(crate) whole: bool,

    /// Conversations at once.
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) sessions: NonZeroUsize,

    #[command(flatten)]
    pub(crate) report: ReportArgs,

    #[command(flatten)]
    pub(crate) engines: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct TurnsArgs {
    /// Folder of recordings with a pause_map.jsonl and a turn_cuts.jsonl.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) speech: PathBuf,

    /// How soon semantic_vad takes a turn to be over: one point of its curve each.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["high", "auto", "low"])]
    pub(crate) eagerness: Vec<Eagerness>,

    /// Local speech-to-text model.
    #[arg(long, value_name = "NAME", default_value = "whisper-tiny.en")]
    pub(crate) stt: String,

    /// Threads for inference; the default is one per core.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Fetch missing models without asking.
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BargeinArgs {
    /// Folder of recordings with a pause_map.jsonl.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) speech: PathBuf,

    /// Interruptions; ten sounds that are none come besides.
    #[arg(long, default_value_t = 12, value_name = "N")]
    pub(crate) cases: usize,

    #[command(flatten)]
    pub(crate) taking: TakingArgs,

    /// Speech-to-text model that listens to the assistant, to tell which words were heard.
    #[arg(long, default_value = "whisper-base", value_name = "NAME")]
    pub(crate) judge: String,

    #[command(flatten)]
    pub(crate) report: ReportArgs,

    #[command(flatten)]
    pub(crate) engines: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct EchoArgs {
    /// Folder of recordings with the sets aec_conditions, aec_real_doubletalk and noise_rir.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) speech: PathBuf,

    /// Sentences that are said over each echo.
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub(crate) sentences: usize,

    /// Speech-to-text model that listens to them.
    #[arg(long, default_value = "whisper-base", value_name = "NAME")]
    pub(crate) judge: String,

    /// Threads for inference; the default is one per core.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Fetch missing models without asking.
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ToolsArgs {
    /// Most requests to make; the default is all 40.
    #[arg(long, value_name = "N")]
    pub(crate) requests: Option<NonZeroUsize>,

    /// Language model: a name from "kaiwa models list" or a GGUF file.
    #[arg(long, default_value = "qwen2.5-coder-0.5b", value_name = "NAME|FILE")]
    pub(crate) llm: String,

    /// The engines: local models, or a script that plays replies.
    #[arg(long, value_enum, default_value_t = EngineKind::Local)]
    pub(crate) engine: EngineKind,

    /// The script of --engine scripted.
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,

    /// Threads for inference; the default is one per core.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Fetch missing models without asking.
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) remote: RemoteArgs,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Args, Debug)]
pub(crate) struct NoiseArgs {
    /// Folder of recordings with the set noise_rir and sentences.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) speech: PathBuf,

    /// Sentences that are said over each noise.
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub(crate) sentences: usize,

    /// Speech-to-text model that listens to them.
    #[arg(long, default_value = "whisper-base", value_name = "NAME")]
    pub(crate) judge: String,

    /// Threads for inference; the default is one per core.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Fetch missing models without asking.
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RelayBenchArgs {
    /// Events of each kind that go there and back, by the relay and without it.
    #[arg(long, default_value = "2000", value_name = "N")]
    pub(crate) rounds: NonZeroUsize,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// How a benchmark tells what it found.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,

    /// Write a report into this file: one page of HTML that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Who takes turns in a benchmark.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct TakingArgs {
    /// Who decides that somebody speaks, and that a turn is over.
    #[arg(long, value_enum, default_value_t = Turn::Semantic)]
    pub(crate) turn: Turn,

    /// How soon --turn semantic takes a turn to be over.
    #[arg(long, value_enum, default_value_t = Eagerness::Auto)]
    pub(crate) eagerness: Eagerness,
}

impl fmt::Display for TakingArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.turn {
            Turn::Semantic => format!("semantic {:?}", self.eagerness),
            turn => format!("{turn:?}"),
        };
        f.write_str(&name.to_lowercase())
    }
}
