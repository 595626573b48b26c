use std::{fmt, sync::Arc, time::Duration};

use kaiwa_session::SessionOptions;
use kaiwa_tools::Allowed;

use crate::{
    auth::Keys, engines::Profile, events::EventObserver, scribe::JournalObserver,
    timings::TurnTimings,
};

/// Hears how long each turn took.
pub type TurnObserver = Arc<dyn Fn(&TurnTimings) + Send + Sync>;

/// How a server behaves. [`Default`] is a server for one's own machine.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Who may open sessions. Default: [`Keys::any`].
    pub keys: Keys,
    /// Sessions that may be open at once; more are refused with status 503. Default: 16.
    pub max_sessions: usize,
    /// HTTP requests (transcription, speech, chat) that engines may work on at once; more are
    /// refused with status 503. Default: 4.
    pub max_requests: usize,
    /// How long such a request may take from its admission to its last byte. Default: 10
    /// minutes.
    pub request_timeout: Duration,
    /// Worker threads for the sessions' inference at most; requests have one each besides.
    /// Default (`None`): three for each session, so
    /// that no session waits for another's client; how much is computed at a time is the
    /// engines' [`ComputeBudget`](kaiwa_engine::ComputeBudget)'s affair.
    pub workers: Option<usize>,
    /// Model name of a session whose URL gives none. Default: `kaiwa`.
    pub model: String,
    /// Other names by which clients know what this server runs (of a transcriber, of a voice);
    /// `GET /v1/models` lists them after `model`. Any name is accepted everywhere. Default:
    /// none.
    pub models: Vec<String>,
    /// Engines that sessions and requests get by the name of their model; `GET /v1/models` lists
    /// them after `model`. Any other name gets the engines of the server. Default: none.
    pub profiles: Vec<Profile>,
    /// How sessions begin: instructions, voice, length and so on. `model`, `seed` and
    /// `created_unix_seconds` are set for each session.
    pub session: SessionOptions,
    /// The MCP servers that sessions may have tools of; whoever may open a session chooses among
    /// them. Default: none, so that nobody makes this machine knock on doors of its network.
    pub mcp: Allowed,
    /// Largest WebSocket message taken, in bytes; a larger one ends the session with close
    /// code 1009. Default: 21 MiB, which holds 15 MiB of audio in base64.
    pub max_message_bytes: usize,
    /// How long a client may take not a byte of what is sent to it, or the voice
    /// activity detector may leave audio unjudged, before the session is closed.
    /// Default: 30 s.
    pub patience: Duration,
    /// How long a client may send nothing before it is sent a ping, which keeps routers on the
    /// way from forgetting the connection. Default: 30 s.
    pub ping_interval: Duration,
    /// How long closing sessions may take at shutdown. Default: 5 s.
    pub shutdown_grace: Duration,
    /// Seed of every session's identifiers and of its draws, for reproducible tests. Default (`None`):
    /// random.
    pub seed: Option<u64>,
    /// Hears the timings of each turn, on the session's task: it must not block.
    pub on_turn: Option<TurnObserver>,
    /// Hears every frame of every session.
    pub on_event: Option<EventObserver>,
    /// Hears every line of every session's [journal](kaiwa_session::journal).
    pub journal: Option<JournalObserver>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            keys: Keys::any(),
            max_sessions: 16,
            max_requests: 4,
            request_timeout: Duration::from_secs(600),
            workers: None,
            model: "kaiwa".to_owned(),
            models: Vec::new(),
            profiles: Vec::new(),
            session: SessionOptions::default(),
            mcp: Allowed::default(),
            max_message_bytes: 21 << 20,
            patience: Duration::from_secs(30),
            ping_interval: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(5),
            seed: None,
            on_turn: None,
            on_event: None,
            journal: None,
        }
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("keys", &self.keys)
            .field("max_sessions", &self.max_sessions)
            .field("max_requests", &self.max_requests)
            .field("request_timeout", &self.request_timeout)
            .field("workers", &self.workers)
            .field("model", &self.model)
            .field("models", &self.models)
            .field("profiles", &self.profiles)
            .field("session", &self.session)
            .field("mcp", &self.mcp)
            .field("max_message_bytes", &self.max_message_bytes)
            .field("patience", &self.patience)
            .field("ping_interval", &self.ping_interval)
            .field("shutdown_grace", &self.shutdown_grace)
            .field("seed", &self.seed)
            .field("on_turn", &self.on_turn.is_some())
            .field("on_event", &self.on_event.is_some())
            .field("journal", &self.journal.is_some())
            .finish()
    }
}
