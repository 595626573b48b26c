//! Events about playback by the server. Only over WebRTC and SIP.

use crate::event::server_event;

server_event! {
    /// `output_audio_buffer.started`: playback begins.
    pub struct OutputAudioBufferStarted = "output_audio_buffer.started" {
        /// The response that is heard.
        pub response_id: String,
    }
}

server_event! {
    /// `output_audio_buffer.stopped`: all was played.
    pub struct OutputAudioBufferStopped = "output_audio_buffer.stopped" {
        /// The response that is heard.
        pub response_id: String,
    }
}

server_event! {
    /// `output_audio_buffer.cleared`: playback was cut short.
    pub struct OutputAudioBufferCleared = "output_audio_buffer.cleared" {
        /// The response that is heard.
        pub response_id: String,
    }
}
