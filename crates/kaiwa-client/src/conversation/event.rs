use kaiwa_protocol::Usage as Reported;
use serde::Serialize;

use crate::card::{DeviceChange, DeviceNotice, Side};
use crate::costs::{Cost, Spent};

/// An event and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// Milliseconds on the card's clock, which starts when the session is ready.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happens in a conversation: the one stream that renderers, recorders and
/// benchmarks consume. Serialises as an object with a `type`.
///
/// Times are milliseconds on the card's clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// More of what the assistant says or writes.
    AssistantDelta {
        /// The item.
        item: String,
        /// The text.
        text: String,
    },
    /// All of what the assistant says or writes in an item.
    AssistantDone {
        /// The item.
        item: String,
        /// The text.
        text: String,
    },
    /// The assistant becomes audible.
    AssistantSpeechStarted {
        /// The response.
        response: String,
        /// The first sample over -50 dBFS.
        ms: u64,
    },
    /// An item was played to its end.
    AssistantSpeechStopped {
        /// The item.
        item: String,
        /// Its length.
        played_ms: u64,
    },
    /// The session exists.
    Connected {
        /// Its id.
        session: String,
        /// The model, as the server calls it.
        model: Option<String>,
    },
    /// The microphone or the speaker has changed; the conversation goes on.
    Device {
        /// Which of them.
        side: Side,
        /// What happened.
        change: DeviceChange,
        /// The device that is used from now on; `None` for silence until there is one.
        device: Option<String>,
        /// The same in one sentence.
        message: String,
    },
    /// Nothing follows.
    Ended {
        /// Why.
        #[serde(flatten)]
        reason: EndReason,
    },
    /// The server reports an error; the conversation goes on.
    Error {
        /// Its code.
        code: Option<String>,
        /// The error in words.
        message: String,
        /// The client's event at fault.
        event_id: Option<String>,
    },
    /// An item was interrupted, and this much of it was heard.
    Heard {
        /// The item.
        item: String,
        /// What was played of it.
        ms: u64,
        /// What had been received of it.
        received_ms: u64,
        /// About what was heard, in words: the text is cut in proportion to the sound.
        text: String,
    },
    /// The server has billed something, and there are prices to tell its cost by.
    Billed(Bill),
    /// The assistant's sound ran out before its end.
    PlaybackUnderrun {
        /// The item.
        item: String,
    },
    /// Another session has taken the place of the one that was lost or neared its end, and
    /// knows what was said.
    Reconnected {
        /// How long there was none, in ms.
        away_ms: u64,
        /// Of what the user said meanwhile, so much had to be dropped, in ms.
        lost_ms: u64,
    },
    /// The connection is lost, or the session nears its end: another one is being made.
    Reconnecting {
        /// Which attempt comes next, counted from 1.
        attempt: u32,
        /// What happened, in one sentence.
        message: String,
    },
    /// A response has ended.
    ResponseDone {
        /// The response.
        response: String,
        /// `completed`, `cancelled`, `incomplete` or `failed`.
        status: String,
        /// Why it was cancelled, is incomplete (as when the connection was lost) or failed.
        reason: Option<String>,
        /// The tokens it took.
        usage: Option<Usage>,
    },
    /// A tool was called for the assistant, by us or by the server.
    ToolCallDone {
        /// The call.
        item: String,
        /// The tool's name.
        name: String,
        /// Whether it failed, or was never run; the assistant knows, and says what it makes of it.
        failed: bool,
        /// Why it failed, where that is known.
        why: Option<String>,
    },
    /// A tool is called for the assistant, by us or by the server.
    ToolCallStarted {
        /// The call.
        item: String,
        /// The tool's name.
        name: String,
        /// What it is called with, a JSON text, where that is known.
        arguments: Option<String>,
    },
    /// The assistant wants to call a tool of ours that somebody has to agree to:
    /// [`Handle::confirm`](super::Handle::confirm) answers. After a minute the call fails.
    ToolConfirmation {
        /// The call.
        item: String,
        /// The tool's name.
        name: String,
        /// What it is to be called with, a JSON text.
        arguments: String,
    },
    /// How long the user waited for the assistant's voice. In real time only.
    TurnLatency(TurnLatency),
    /// The user begins to speak, as the server has it.
    UserSpeechStarted {
        /// The item to be.
        item: String,
        /// Where the turn begins.
        ms: u64,
    },
    /// The user has spoken, as the server has it.
    UserSpeechStopped {
        /// The item to be.
        item: String,
        /// Where the turn ends, the silence included.
        ms: u64,
    },
    /// More of what the user said.
    UserTranscriptDelta {
        /// The item.
        item: String,
        /// The text.
        text: String,
    },
    /// All of what the user said or typed in an item.
    UserTranscriptDone {
        /// The item.
        item: String,
        /// The text.
        text: String,
        /// Whether it was typed.
        typed: bool,
    },
    /// Something is not as it should be; the conversation goes on.
    Warning {
        /// What.
        message: String,
    },
}

impl From<DeviceNotice> for Event {
    fn from(notice: DeviceNotice) -> Self {
        Self::Device {
            message: notice.to_string(),
            side: notice.side,
            change: notice.change,
            device: notice.device,
        }
    }
}

/// From the end of the user's turn to the assistant's voice, step by step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TurnLatency {
    /// The response.
    pub response: String,
    /// The user's item, when the server named it.
    pub item: Option<String>,
    /// Whether the turn was typed.
    pub typed: bool,
    /// The end of the user's speech, or the moment the typed turn was sent.
    pub turn_end_ms: u64,
    /// When the news of the decided turn arrived; the same as `turn_end_ms` for a typed or
    /// committed turn.
    pub decided_ms: u64,
    /// When the transcript of the user's speech arrived, if it did by now.
    pub transcript_ms: Option<u64>,
    /// When the response was announced.
    pub response_ms: Option<u64>,
    /// When its first word arrived.
    pub first_text_ms: Option<u64>,
    /// When its first sound arrived.
    pub first_audio_ms: Option<u64>,
    /// Its first sample over -50 dBFS in the speaker.
    pub audible_ms: u64,
    /// From `turn_end_ms` to `audible_ms`.
    pub total_ms: u64,
}

/// What a response or a transcription cost, and everything so far.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Bill {
    /// The response, unless it was a transcription.
    pub response: Option<String>,
    /// The user's item that was transcribed, unless it was a response.
    pub item: Option<String>,
    /// What it cost; `None` where no price is known.
    pub cost: Option<Cost>,
    /// Everything so far.
    pub total: Spent,
}

/// The tokens a response took.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Usage {
    /// What the model saw.
    pub input_tokens: u64,
    /// Of these, from a cache.
    pub cached_tokens: u64,
    /// What the model made.
    pub output_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}

impl Usage {
    /// As the server reports it.
    pub(super) fn of(usage: &Reported) -> Self {
        let details = usage.input_token_details.value();
        let cached = details.and_then(|details| details.cached_tokens.copied());
        Self {
            input_tokens: usage.input_tokens.copied().unwrap_or_default(),
            cached_tokens: cached.unwrap_or_default(),
            output_tokens: usage.output_tokens.copied().unwrap_or_default(),
            total_tokens: usage.total_tokens.copied().unwrap_or_default(),
        }
    }
}

/// Why a conversation ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// Another answer could cost more than the budget has left.
    BudgetSpent {
        /// In one sentence.
        message: String,
    },
    /// Sound cannot be played or recorded.
    CardFailed {
        /// In one sentence.
        message: String,
    },
    /// The server closed the connection.
    Closed {
        /// In one sentence.
        message: String,
        /// The close code.
        code: Option<u16>,
    },
    /// The connection broke.
    ConnectionLost {
        /// In one sentence.
        message: String,
    },
    /// All input was answered and played.
    InputEnded,
    /// The microphone, or what stands for it, cannot be read.
    InputFailed {
        /// In one sentence.
        message: String,
    },
    /// The input came to its end, and the server heard no speech in it.
    NothingHeard,
    /// Whoever read the output has gone.
    OutputClosed,
    /// The server refused the configuration of the session: what the conversation was to
    /// be, it would not have been.
    Refused {
        /// In one sentence.
        message: String,
        /// The server's code for it.
        code: Option<String>,
        /// The path of the setting at fault, as in `session.audio.output.voice`.
        param: Option<String>,
    },
    /// The server refused the session, or the last answer it was asked for.
    Rejected {
        /// In one sentence.
        message: String,
        /// The server's code for it, as in `invalid_api_key`.
        code: Option<String>,
    },
    /// It was stopped.
    Stopped,
    /// The server owed something for too long.
    TimedOut {
        /// In one sentence.
        message: String,
    },
}

impl EndReason {
    /// Whether something went wrong.
    #[must_use]
    pub fn is_error(&self) -> bool {
        match self {
            Self::CardFailed { .. }
            | Self::Closed { .. }
            | Self::ConnectionLost { .. }
            | Self::InputFailed { .. }
            | Self::Refused { .. }
            | Self::Rejected { .. }
            | Self::TimedOut { .. } => true,
            Self::BudgetSpent { .. }
            | Self::InputEnded
            | Self::NothingHeard
            | Self::OutputClosed
            | Self::Stopped => false,
        }
    }
}

impl std::fmt::Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BudgetSpent { message }
            | Self::CardFailed { message }
            | Self::Closed { message, .. }
            | Self::ConnectionLost { message }
            | Self::InputFailed { message }
            | Self::Refused { message, .. }
            | Self::Rejected { message, .. }
            | Self::TimedOut { message } => f.write_str(message),
            Self::InputEnded => f.write_str("the input was answered"),
            Self::NothingHeard => f.write_str("no speech was heard in the input"),
            Self::OutputClosed => f.write_str("nobody reads the output any more"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}
