use kaiwa_protocol::{Audio, ParseError, RawJson, Session as WireSession};
use serde::{Deserialize, Serialize};

use crate::{
    JobId, Millis, SessionOptions,
    engine::{EngineCommand, EngineEvent, Said},
};

/// The version of the lines' format. A journal of another one is not read.
pub const FORMAT: u32 = 1;

/// How a session began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`] at the time.
    pub format: u32,
    /// The version of kaiwa that ran the session.
    pub kaiwa: String,
    /// What the session was made with, its seed among it.
    pub options: SessionOptions,
    /// The configuration bound to it ([`Session::configured`](crate::Session::configured)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<WireSession>,
}

/// One line of a journal. Times are milliseconds since the session began, and never go back.
///
/// What a session was told is followed by what it then wanted done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Line {
    /// The first line.
    Head(Box<Head>),

    /// In: [`Session::start`](crate::Session::start).
    Start {
        /// When.
        at: Millis,
    },
    /// In: whether there is time to work ahead, from here on.
    Ahead {
        /// When.
        at: Millis,
        /// Whether there is.
        allowed: bool,
    },
    /// In: an event of the client.
    Client {
        /// When.
        at: Millis,
        /// The event, in the protocol of general availability.
        event: RawJson,
    },
    /// In: appended audio.
    Audio {
        /// When.
        at: Millis,
        /// The client's id of the append.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_id: Option<String>,
        /// The bytes, in the session's input format.
        bytes: Audio,
    },
    /// In: a frame that is no event.
    Malformed {
        /// When.
        at: Millis,
        /// Why it is none.
        error: ParseError,
    },
    /// In: the detector's judgement of a frame, as short as it is frequent.
    Voice {
        /// When.
        at: Millis,
        /// The detector's stream.
        job: JobId,
        /// Probability 0.0..=1.0 of speech.
        p: f32,
    },
    /// In: what an engine said.
    Engine {
        /// When.
        at: Millis,
        /// About which job.
        job: JobId,
        /// What.
        event: EngineEvent,
    },
    /// In: a deadline has come.
    Timeout {
        /// When.
        at: Millis,
    },

    /// Out: an event for the client.
    Send {
        /// When.
        at: Millis,
        /// The event, in the protocol of general availability.
        event: RawJson,
    },
    /// Out: work for an engine.
    Run {
        /// When.
        at: Millis,
        /// Its job.
        job: JobId,
        /// What is to be done.
        work: Work,
    },
    /// Out: the job's result is no longer wanted.
    Cancel {
        /// When.
        at: Millis,
        /// The job.
        job: JobId,
    },
    /// Out: the connection is to be closed.
    Close {
        /// When.
        at: Millis,
        /// WebSocket close code.
        code: u16,
        /// Why.
        reason: String,
    },

    /// The last line: nothing of the session is missing.
    End {
        /// When.
        at: Millis,
    },
}

/// An [`EngineCommand`] without its weight: what was to be done, and how much of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Work {
    /// Judge a frame for speech.
    Detect,
    /// Transcribe what was said.
    Transcribe {
        /// What was said.
        #[serde(default)]
        what: Said,
        /// Its length.
        audio_ms: u64,
    },
    /// Judge whether a turn is over.
    Judge {
        /// Length of the audio to judge by.
        audio_ms: u64,
    },
    /// Read a prompt ahead.
    Prime {
        /// Messages of the prompt.
        messages: usize,
        /// Characters in them.
        chars: usize,
    },
    /// Write an answer.
    Generate {
        /// Messages of the prompt.
        messages: usize,
        /// Characters in them.
        chars: usize,
        /// Functions the model may call.
        tools: usize,
    },
    /// Speak a piece of text.
    Speak {
        /// The text.
        text: String,
        /// Name of the voice.
        voice: String,
    },
    /// Ask an MCP server for its tools.
    ListTools {
        /// Its URL.
        url: String,
    },
    /// Call a tool of an MCP server.
    CallTool {
        /// The server's URL.
        url: String,
        /// The tool.
        name: String,
        /// Its arguments.
        arguments: String,
    },
}

impl Line {
    /// When it happened; a head stands at 0.
    #[must_use]
    pub fn at(&self) -> Millis {
        match self {
            Self::Head(_) => 0,
            Self::Start { at }
            | Self::Ahead { at, .. }
            | Self::Client { at, .. }
            | Self::Audio { at, .. }
            | Self::Malformed { at, .. }
            | Self::Voice { at, .. }
            | Self::Engine { at, .. }
            | Self::Timeout { at }
            | Self::Send { at, .. }
            | Self::Run { at, .. }
            | Self::Cancel { at, .. }
            | Self::Close { at, .. }
            | Self::End { at } => *at,
        }
    }
}

impl Work {
    /// What the command asks for.
    #[must_use]
    pub fn of(command: &EngineCommand) -> Self {
        // 16 samples are a millisecond.
        let ms = |samples: usize| samples as u64 / 16;
        let chars = |prompt: &crate::Generate| {
            let messages = prompt.messages.iter();
            messages.map(|message| message.text.chars().count()).sum()
        };
        match command {
            EngineCommand::Detect { .. } => Self::Detect,
            EngineCommand::Transcribe { what, audio, .. } => Self::Transcribe {
                what: *what,
                audio_ms: ms(audio.len()),
            },
            EngineCommand::JudgeTurn { audio } => Self::Judge {
                audio_ms: ms(audio.len()),
            },
            EngineCommand::Prime(prompt) => Self::Prime {
                messages: prompt.messages.len(),
                chars: chars(prompt),
            },
            EngineCommand::Generate(prompt) => Self::Generate {
                messages: prompt.messages.len(),
                chars: chars(prompt),
                tools: prompt.tools.len(),
            },
            EngineCommand::Speak { text, voice, .. } => Self::Speak {
                text: text.clone(),
                voice: voice.clone(),
            },
            EngineCommand::ListTools(server) => Self::ListTools {
                url: server.url.clone(),
            },
            EngineCommand::CallTool {
                server,
                name,
                arguments,
            } => Self::CallTool {
                url: server.url.clone(),
                name: name.clone(),
                arguments: arguments.clone(),
            },
        }
    }
}

/// Samples as base64 of little-endian `f32`: bit by bit what the engine gave, because the
/// same audio has to come out of a replay.
pub(crate) mod samples {
    use kaiwa_protocol::Audio;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(pcm: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        Audio::from(bytes).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<f32>, D::Error> {
        let bytes = Audio::deserialize(deserializer)?;
        let (samples, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(D::Error::custom("a sample of four bytes is cut"));
        }
        Ok(samples.iter().copied().map(f32::from_le_bytes).collect())
    }
}
