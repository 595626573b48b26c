//! The link, and all that is known of the server's session at its other end.

use kaiwa_audio::PcmDecoder;
use tokio::time::Instant;

use super::care::SILENCE;
use super::event::EndReason;
use crate::card::TICK;
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
    /// The card's position up to which the server has read the microphone for sure.
    pub(super) read: u64,
    /// The card's position at the end of what it was sent again at its beginning, until it has
    /// heard somebody speak.
    pub(super) replayed: Option<u64>,
    /// When anything at all arrived last.
    pub(super) heard: Instant,
    /// When the unanswered ping was sent, and the card's position then.
    pub(super) pinged: Option<(Instant, u64)>,
    /// When to ask next whether the server is there.
    pub(super) ping_at: Instant,
    /// Whether it answers such questions: not every server does.
    pub(super) answers_pings: bool,
    /// From when on another session is to take its place, in a pause.
    pub(super) reseat: Option<Instant>,
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
            read: 0,
            replayed: None,
            heard: now,
            pinged: None,
            ping_at: now,
            answers_pings: false,
            reseat: None,
            decoder: (None, PcmDecoder::new()),
        }
    }

    /// A tick of the microphone that began at the card's position `begin` is sent.
    pub(super) fn advance(&mut self, begin: u64) {
        self.offset = begin - self.sent.min(begin);
        self.sent += TICK as u64;
    }

    /// Until when it may still be reading what it was sent again; `None` if it is not.
    pub(super) fn catching_up(&self, now: Instant) -> Option<Instant> {
        // Not every server answers pings.
        let deadline = self.asked + SILENCE;
        let reads = self.replayed.is_some_and(|end| self.read < end);
        (reads && now < deadline).then_some(deadline)
    }

    /// The latest ping was answered.
    pub(super) fn ponged(&mut self) {
        self.heard = Instant::now();
        self.answers_pings = true;
        if let Some((_, position)) = self.pinged.take() {
            self.read = self.read.max(position);
        }
    }
}
