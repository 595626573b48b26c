use std::time::Duration;

use kaiwa_protocol::{
    AudioFormat, AudioInput, AudioOutput, Eagerness, Maybe, Modality, Number, RealtimeSession,
    SemanticVad, ServerVad, SessionAudio, Tool, TranscriptionConfig, TurnDetection,
};

use super::reconnect::Reconnect;
use crate::costs::{Prices, Usd};
use crate::link::Direction;
use crate::tools::Tools;

/// What a conversation is to be like.
#[non_exhaustive]
pub struct ConversationConfig {
    /// What the model is told before the conversation; `None` leaves it to the server.
    pub instructions: Option<String>,
    /// The assistant's voice; `None` leaves it to the server.
    pub voice: Option<String>,
    /// Whether the assistant speaks or writes.
    pub output: OutputMode,
    /// Who decides that the user's turn is over.
    pub turn: Turn,
    /// How the user's speech is transcribed; `None` for not at all.
    pub transcription: Option<Transcription>,
    /// Where the user's speech ends, for the measured latencies.
    pub speech_end: SpeechEnd,
    /// Silence fed after the input's end, so that the server can end the turn.
    pub trailing_silence: Duration,
    /// How long to go on listening after everything has come to its end.
    pub settle: Duration,
    /// How long to go on listening when nothing was ever heard.
    pub nothing_heard: Duration,
    /// How long the server may owe something without sending anything.
    pub answer_timeout: Duration,
    /// What the assistant may call; none by default.
    pub tools: Tools,
    /// What the server costs; `None` for one that costs nothing, of which no bill is made.
    pub costs: Option<CostConfig>,
    /// How another connection is made when one is lost; `None` ends the conversation then.
    pub reconnect: Option<Reconnect>,
    /// Sees every event of the protocol.
    pub trace: Option<Trace>,
}

/// What the server costs, and what it may cost.
#[derive(Clone, Debug, Default)]
pub struct CostConfig {
    /// What holds at this server; see [`Prices::at`].
    pub prices: Prices,
    /// The model asked for: its price counts where the server's name for it has none.
    pub model: Option<String>,
    /// The most that the conversation may cost. Answers are then asked for by the client even
    /// where the server takes turns, each limited to what is left, and the conversation ends
    /// with [`EndReason::BudgetSpent`](super::EndReason::BudgetSpent) when that is too little.
    pub budget: Option<Usd>,
}

/// What sees every event of the protocol.
pub type Trace = Box<dyn FnMut(TraceEntry<'_>) + Send>;

/// One event of the protocol.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct TraceEntry<'a> {
    /// Milliseconds since the conversation was started.
    pub at_ms: u64,
    /// Which way it went.
    pub direction: Direction,
    /// The event as it is on the wire.
    #[serde(serialize_with = "raw")]
    pub json: &'a str,
}

/// Whether the assistant speaks or writes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OutputMode {
    /// It speaks, and says what it says.
    #[default]
    Audio,
    /// It writes.
    Text,
}

/// Who decides that the user's turn is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Nobody: the input is one turn, and [`Handle::commit`](super::Handle::commit) ends
    /// one at any time.
    None,
    /// The server, by silence; `None` leaves a number to the server.
    Server {
        /// How sure to be that there is speech, 0 to 1.
        threshold: Option<f64>,
        /// Sound before the detected start that belongs to the turn, in ms.
        prefix_padding_ms: Option<u64>,
        /// Silence that ends the turn, in ms.
        silence_duration_ms: Option<u64>,
    },
    /// The server, by what was said and how it sounded (`semantic_vad`).
    Semantic {
        /// How soon; `None` leaves it to the server.
        eagerness: Option<Eagerness>,
    },
}

impl Default for Turn {
    /// The server, with its own numbers.
    fn default() -> Self {
        Self::Server {
            threshold: None,
            prefix_padding_ms: None,
            silence_duration_ms: None,
        }
    }
}

/// How the user's speech is transcribed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transcription {
    /// The model.
    pub model: Option<String>,
    /// The language, ISO 639-1; `None` to detect it.
    pub language: Option<String>,
}

impl Default for Transcription {
    /// `whisper-1`, which every server knows, and any language.
    fn default() -> Self {
        Self {
            model: Some("whisper-1".to_owned()),
            language: None,
        }
    }
}

/// Where the user's speech ends.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum SpeechEnd {
    /// At the turn's last sample over -50 dBFS: for input without noise.
    Audible,
    /// At these milliseconds on the card's clock: for input whose truth is known.
    Known(Vec<u64>),
    /// Where the server says, less the silence it waited for; at the turn's last sample over
    /// -50 dBFS where it does not say how long that was, as with [`Turn::Semantic`].
    #[default]
    Server,
}

impl Default for ConversationConfig {
    /// A spoken conversation in which the server takes turns.
    fn default() -> Self {
        Self {
            instructions: None,
            voice: None,
            output: OutputMode::default(),
            turn: Turn::default(),
            transcription: Some(Transcription::default()),
            speech_end: SpeechEnd::default(),
            trailing_silence: Duration::from_secs(2),
            settle: Duration::from_millis(800),
            nothing_heard: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(60),
            tools: Tools::default(),
            costs: None,
            reconnect: None,
            trace: None,
        }
    }
}

impl ConversationConfig {
    pub(super) fn has_budget(&self) -> bool {
        self.costs
            .as_ref()
            .is_some_and(|costs| costs.budget.is_some())
    }

    /// What the server is asked for.
    pub(super) fn session(&self) -> RealtimeSession {
        // Under a budget no answer begins before it is known to be paid for.
        let create_response = match self.has_budget() {
            true => Maybe::Value(false),
            false => Maybe::Absent,
        };
        let turn_detection = match &self.turn {
            Turn::None => Maybe::Null,
            Turn::Server {
                threshold,
                prefix_padding_ms,
                silence_duration_ms,
            } => Maybe::Value(TurnDetection::ServerVad(ServerVad {
                threshold: threshold.map(Number::from).into(),
                prefix_padding_ms: (*prefix_padding_ms).into(),
                silence_duration_ms: (*silence_duration_ms).into(),
                create_response,
                ..ServerVad::default()
            })),
            Turn::Semantic { eagerness } => Maybe::Value(TurnDetection::SemanticVad(SemanticVad {
                eagerness: eagerness.clone().into(),
                create_response,
                ..SemanticVad::default()
            })),
        };
        let transcription =
            Maybe::nullable(
                self.transcription
                    .as_ref()
                    .map(|wanted| TranscriptionConfig {
                        model: wanted.model.clone().into(),
                        language: wanted.language.clone().into(),
                        ..TranscriptionConfig::default()
                    }),
            );
        let speaks = self.output == OutputMode::Audio;
        let tools = self.tools.iter();
        let tools: Vec<_> = tools
            .map(|tool| Tool::Function(tool.declaration()))
            .collect();
        RealtimeSession {
            output_modalities: Maybe::Value(vec![if speaks {
                Modality::Audio
            } else {
                Modality::Text
            }]),
            instructions: self.instructions.clone().into(),
            // The server may have some of its own.
            tools: match tools.is_empty() {
                true => Maybe::Absent,
                false => Maybe::Value(tools),
            },
            audio: Maybe::Value(SessionAudio {
                input: Maybe::Value(AudioInput {
                    format: Maybe::Value(AudioFormat::pcm()),
                    transcription,
                    turn_detection,
                    ..AudioInput::default()
                }),
                output: Maybe::Value(AudioOutput {
                    format: Maybe::Value(AudioFormat::pcm()),
                    voice: self.voice.as_deref().map(Into::into).into(),
                    ..AudioOutput::default()
                }),
                ..SessionAudio::default()
            }),
            ..RealtimeSession::default()
        }
    }
}

impl std::fmt::Debug for ConversationConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConversationConfig")
            .field("voice", &self.voice)
            .field("output", &self.output)
            .field("turn", &self.turn)
            .field("transcription", &self.transcription)
            .finish_non_exhaustive()
    }
}

/// Writes JSON into JSON as it is; what is not JSON becomes a string.
fn raw<S: serde::Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_str::<&serde_json::value::RawValue>(json) {
        Ok(raw) => serde::Serialize::serialize(raw, serializer),
        Err(_) => serializer.serialize_str(json),
    }
}
