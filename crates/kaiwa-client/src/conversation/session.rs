//! The link, and all that is known of the server's session at its other end.

use kaiwa_audio::PcmDecoder;
use tokio::time::Instant;

use super::event::EndReason;
use crate::link::Link;
use crate::opening::Opening;
use crate::playback::PartKey;

/// A link and the session behind it: what ends with one ends with the other.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) link: Link,
    pub(super) created: bool,
    /// Since when the server may open it.
    pub(super) asked: Instant,
    /// Whether our configuration was taken: the clock may start.
    pub(super) ready: bool,
    /// The silence the server waits for, when it says so.
    pub(super) silence_ms: Option<u64>,
    pub(super) creates_response: bool,
    pub(super) interrupts_response: bool,
    /// The fate of our `session.update`.
    pub(super) opening: Opening,
    /// Why it ends if the server closes the connection or never opens the session: the last
    /// error that ends a session, or any before the session is ready.
    pub(super) fatal: Option<EndReason>,
    /// When something arrived last.
    pub(super) last_news: Instant,
    /// Samples of the microphone sent.
    pub(super) sent: u64,
    /// Samples sent since the last commit of ours.
    pub(super) uncommitted: u64,
    /// Card position less session position, in samples.
    pub(super) offset: u64,
    /// Half a sample of the part that arrives.
    pub(super) decoder: (Option<PartKey>, PcmDecoder),
}

impl Session {
    /// What is known of a session before the server has said a word.
    pub(super) fn new(link: Link) -> Self {
        let now = Instant::now();
        Self {
            link,
            created: false,
            asked: now,
            ready: false,
            silence_ms: None,
            creates_response: true,
            interrupts_response: true,
            opening: Opening::default(),
            fatal: None,
            last_news: now,
            sent: 0,
            uncommitted: 0,
            offset: 0,
            decoder: (None, PcmDecoder::new()),
        }
    }
}
