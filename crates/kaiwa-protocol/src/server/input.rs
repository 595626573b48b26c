//! Events about the input buffer. Times are ms of sound appended in the session, whatever became of it.

use crate::event::server_event;
use crate::wire::Maybe;

server_event! {
    /// `input_audio_buffer.committed`: the input buffer becomes an item.
    pub struct InputAudioBufferCommitted = "input_audio_buffer.committed" {
        /// The item before it; null when it is the first.
        pub previous_item_id: Maybe<String>,
        /// The item to be.
        pub item_id: String,
    }
}

server_event! {
    /// `input_audio_buffer.cleared`: the answer to `input_audio_buffer.clear`.
    pub struct InputAudioBufferCleared = "input_audio_buffer.cleared" {
    }
}

server_event! {
    /// `input_audio_buffer.speech_started`: the user begins to speak.
    pub struct InputAudioBufferSpeechStarted = "input_audio_buffer.speech_started" {
        /// Where the turn begins, in ms, the prefix padding included.
        pub audio_start_ms: u64,
        /// The item to be.
        pub item_id: String,
    }
}

server_event! {
    /// `input_audio_buffer.speech_stopped`: the user has spoken.
    pub struct InputAudioBufferSpeechStopped = "input_audio_buffer.speech_stopped" {
        /// Where the turn ends, in ms, the silence included.
        pub audio_end_ms: u64,
        /// The item to be.
        pub item_id: String,
    }
}

server_event! {
    /// `input_audio_buffer.timeout_triggered`: the user has been silent for `idle_timeout_ms`.
    pub struct InputAudioBufferTimeoutTriggered = "input_audio_buffer.timeout_triggered" {
        /// Where the silence begins, in ms.
        pub audio_start_ms: u64,
        /// Where it ends, in ms.
        pub audio_end_ms: u64,
        /// The item to be.
        pub item_id: String,
    }
}

server_event! {
    /// `input_audio_buffer.dtmf_event_received`: a key of the telephone was pressed. Only over SIP.
    pub struct InputAudioBufferDtmfEventReceived = "input_audio_buffer.dtmf_event_received" {
        /// The key: `0` to `9`, `*`, `#`, `A` to `D`.
        pub event: String,
        /// When, in seconds since the Unix epoch.
        pub received_at: u64,
    }
}
