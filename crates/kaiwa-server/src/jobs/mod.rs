//! The work of one session, or of one request, on the engines.

mod chats;
mod detector;
mod pool;
mod request;
mod tools;
mod work;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use kaiwa_engine::{Cancel, SttOptions, VoiceSpec};
use kaiwa_session::{EngineCommand, Generate, JobId};
use kaiwa_tools::Servers;
use tokio::sync::{mpsc, watch};

use self::{
    pool::{JobCount, Lane},
    tools::Tools,
    work::Job,
};
use crate::engines::Engines;

pub(crate) use self::{chats::Chats, pool::Pool, request::RequestJobs, work::JobResult};

/// Frames of audio (32 ms each) that may wait for the detector.
///
/// A session gives out at most 64 frames of a stream. Twice that leaves room for a second
/// stream, which begins when audio is committed or detection is switched.
const MAX_FRAMES_WAITING: usize = 128;

/// Results of one kind that may wait for the session. A worker that has more to say waits.
const MAX_RESULTS_WAITING: usize = 16;

/// Transcriptions, judgements and answers a session may have on its lanes before its client's
/// events are left unread: each holds its audio or its prompt. Speech does not count, because the texts it
/// is made of are held back instead, and a long answer must not keep the client from
/// interrupting it.
const MAX_ORDERED: usize = 64;

/// Samples (4 bytes each: 64 MiB, 17 minutes of audio) that may wait to be transcribed before
/// the client's events are left unread. One turn more may come, of ten minutes at most.
const MAX_ORDERED_SAMPLES: usize = 16 << 20;

/// Lanes a session occupies on the pool at most: one for each kind of inference.
pub(crate) const LANES: usize = 4;

/// A session's hold on the engines. Dropping it cancels what is under way and ends the
/// language model's memory of the conversation.
pub(crate) struct Jobs {
    engines: Engines,
    conversation: u64,
    seed: u32,
    span: tracing::Span,
    transcribing: Lane,
    judging: Lane,
    generating: Lane,
    speaking: Lane,
    under_way: HashMap<JobId, Cancel>,
    /// Those of all sessions.
    all_under_way: JobCount,
    /// Transcriptions, judgements and answers that are on their lanes, cancelled ones included.
    ordered: watch::Sender<Load>,
    frames: Option<mpsc::Sender<detector::Frame>>,
    frames_waiting: usize,
    tools: Tools,
    senders: Senders,
}

/// Work that is on a session's lanes.
#[derive(Clone, Copy, Default)]
struct Load {
    tasks: usize,
    /// Samples of the audio they hold.
    samples: usize,
}

/// Counts a transcription, a judgement or an answer until its lane is done with it.
struct Ordered {
    load: watch::Sender<Load>,
    samples: usize,
}

struct Senders {
    voice: mpsc::Sender<JobResult>,
    transcripts: mpsc::Sender<JobResult>,
    texts: mpsc::Sender<JobResult>,
    speech: mpsc::Sender<JobResult>,
}

/// What the engines say, by kind, so that a kind can be held back while the others go on.
pub(crate) struct Results {
    /// Judgements of the detector. Never to be held back.
    pub(crate) voice: mpsc::Receiver<JobResult>,
    /// From transcriptions.
    pub(crate) transcripts: LaneResults,
    /// From the language model.
    pub(crate) texts: LaneResults,
    /// From the synthesizer.
    pub(crate) speech: LaneResults,
    /// From MCP servers.
    pub(crate) tools: LaneResults,
}

/// Results of a lane.
pub(crate) struct LaneResults {
    channel: mpsc::Receiver<JobResult>,
    /// Taken out of the channel before their time, to reach what stood behind them.
    held: VecDeque<JobResult>,
}

/// A job could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// More frames of audio than the session announced are waiting.
    #[error("{MAX_FRAMES_WAITING} frames of audio are waiting for the voice activity detector")]
    Overrun,
    #[error("cannot start the thread of the voice activity detector: {0}")]
    Thread(#[from] std::io::Error),
}

impl Jobs {
    /// Makes a session's lanes. `conversation` is unique in the process, `seed` goes to
    /// the language model.
    pub(crate) fn new(
        engines: Engines,
        servers: Servers,
        pool: &Pool,
        conversation: u64,
        seed: u32,
        span: tracing::Span,
    ) -> (Self, Results) {
        // As many judgements as frames: the detector never waits for the session.
        let (voice, voice_results) = mpsc::channel(MAX_FRAMES_WAITING);
        let (transcripts, transcript_results) = mpsc::channel(MAX_RESULTS_WAITING);
        let (texts, text_results) = mpsc::channel(MAX_RESULTS_WAITING);
        let (speech, speech_results) = mpsc::channel(MAX_RESULTS_WAITING);
        let (tools, tool_results) = mpsc::channel(MAX_RESULTS_WAITING);
        let jobs = Self {
            engines,
            conversation,
            seed,
            tools: Tools::new(servers, tools, span.clone()),
            span,
            transcribing: pool.lane(),
            judging: pool.lane(),
            generating: pool.lane(),
            speaking: pool.lane(),
            under_way: HashMap::new(),
            all_under_way: pool.jobs(),
            ordered: watch::Sender::default(),
            frames: None,
            frames_waiting: 0,
            senders: Senders {
                voice,
                transcripts,
                texts,
                speech,
            },
        };
        let results = Results {
            voice: voice_results,
            transcripts: LaneResults::new(transcript_results),
            texts: LaneResults::new(text_results),
            speech: LaneResults::new(speech_results),
            tools: LaneResults::new(tool_results),
        };
        (jobs, results)
    }

    /// Starts a job.
    pub(crate) fn run(&mut self, id: JobId, command: EngineCommand) -> Result<(), StartError> {
        match command {
            EngineCommand::Detect { frame } => return self.detect(id, frame),
            EngineCommand::Transcribe {
                audio,
                language,
                prompt,
                ..
            } => {
                let job = self.job(id, self.senders.transcripts.clone());
                let engine = Arc::clone(&self.engines.transcriber);
                let options = SttOptions { language, prompt };
                let ordered = Ordered::new(&self.ordered, audio.len());
                self.transcribing.push(Box::new(move || {
                    job.transcribe(&*engine, &audio, &options);
                    drop(ordered);
                }));
            }
            EngineCommand::JudgeTurn { audio } => {
                let job = self.job(id, self.senders.transcripts.clone());
                let engine = self.engines.end_of_turn.clone();
                let ordered = Ordered::new(&self.ordered, audio.len());
                self.judging.push(Box::new(move || {
                    job.judge(engine.as_deref(), &audio);
                    drop(ordered);
                }));
            }
            EngineCommand::Prime(generate) => {
                // No token at most: engines read the prompt, and write nothing.
                let generate = Generate {
                    max_tokens: Some(0),
                    ..generate
                };
                self.generate(id, generate);
            }
            EngineCommand::Generate(generate) => self.generate(id, generate),
            EngineCommand::Speak { text, voice, speed } => {
                let job = self.job(id, self.senders.speech.clone());
                let engine = Arc::clone(&self.engines.synthesizer);
                let voice = VoiceSpec { name: voice, speed };
                self.speaking.push(Box::new(move || {
                    job.speak(&*engine, &text, &voice);
                }));
            }
            EngineCommand::ListTools(server) => self.tools.list(id, server),
            EngineCommand::CallTool {
                server,
                name,
                arguments,
            } => self.tools.call(id, server, name, arguments),
        }
        Ok(())
    }

    /// Asks a job to stop. What it still says is dropped by the session.
    pub(crate) fn cancel(&mut self, id: JobId) {
        if let Some(job) = self.under_way.remove(&id) {
            self.all_under_way.end(1);
            job.cancel();
        }
        self.tools.cancel(id);
    }

    /// Notes that a job has ended.
    pub(crate) fn ended(&mut self, id: JobId) {
        if self.under_way.remove(&id).is_some() {
            self.all_under_way.end(1);
        }
        self.tools.ended(id);
    }

    /// Notes that the detector has judged a frame.
    pub(crate) fn judged(&mut self) {
        self.frames_waiting = self.frames_waiting.saturating_sub(1);
    }

    /// How many frames the detector has not judged yet.
    pub(crate) fn frames_waiting(&self) -> usize {
        self.frames_waiting
    }

    /// Whether so much is ordered that the client's events are to be left unread.
    ///
    /// This passes whether or not the client says anything: lanes work through what they
    /// have, and what they say is heard as long as the client takes what it is sent.
    pub(crate) fn is_overloaded(&self) -> bool {
        self.ordered.borrow().is_too_much()
    }

    /// Whether no other session is computing: then there is time for work that may be in vain.
    pub(crate) fn has_time(&self) -> bool {
        self.all_under_way.get() == self.under_way.len()
    }

    /// Completes when it is no longer overloaded. Cancel safe.
    pub(crate) fn relieved(&self) -> impl Future<Output = ()> + use<> {
        let mut ordered = self.ordered.subscribe();
        async move {
            // An error would mean that the session is gone.
            let _ = ordered.wait_for(|load| !load.is_too_much()).await;
        }
    }

    fn job(&mut self, id: JobId, results: mpsc::Sender<JobResult>) -> Job {
        let cancel = Cancel::new();
        self.under_way.insert(id, cancel.clone());
        self.all_under_way.begin();
        Job {
            id,
            cancel,
            results,
            span: self.span.clone(),
        }
    }

    fn generate(&mut self, id: JobId, generate: Generate) {
        let job = self.job(id, self.senders.texts.clone());
        let engine = Arc::clone(&self.engines.language_model);
        let prompt = work::prompt(self.conversation, self.seed, generate);
        let ordered = Ordered::new(&self.ordered, 0);
        self.generating.push(Box::new(move || {
            job.generate(&*engine, &prompt);
            drop(ordered);
        }));
    }

    fn detect(&mut self, stream: JobId, frame: Vec<f32>) -> Result<(), StartError> {
        let frames = match &self.frames {
            Some(frames) => frames,
            None => {
                let (frames, to_judge) = mpsc::channel(MAX_FRAMES_WAITING);
                detector::start(
                    Arc::clone(&self.engines.voice_activity),
                    to_judge,
                    self.senders.voice.clone(),
                    self.span.clone(),
                )?;
                self.frames.insert(frames)
            }
        };
        if self.frames_waiting == MAX_FRAMES_WAITING || frames.try_send((stream, frame)).is_err() {
            return Err(StartError::Overrun);
        }
        self.frames_waiting += 1;
        Ok(())
    }
}

impl Load {
    fn is_too_much(self) -> bool {
        self.tasks >= MAX_ORDERED || self.samples >= MAX_ORDERED_SAMPLES
    }
}

impl Ordered {
    fn new(load: &watch::Sender<Load>, samples: usize) -> Self {
        load.send_modify(|load| {
            load.tasks += 1;
            load.samples += samples;
        });
        Self {
            load: load.clone(),
            samples,
        }
    }
}

impl Drop for Ordered {
    fn drop(&mut self) {
        self.load.send_modify(|load| {
            load.tasks -= 1;
            load.samples -= self.samples;
        });
    }
}

impl Results {
    /// Drops what a cancelled job has said. Its worker may be waiting for room; without
    /// this it would wait, and keep its lane, for as long as results are held back.
    pub(crate) fn purge(&mut self, id: JobId) {
        for lane in [
            &mut self.transcripts,
            &mut self.texts,
            &mut self.speech,
            &mut self.tools,
        ] {
            lane.purge(id);
        }
    }
}

impl LaneResults {
    fn new(channel: mpsc::Receiver<JobResult>) -> Self {
        Self {
            channel,
            held: VecDeque::new(),
        }
    }

    /// The next result. Cancel safe.
    pub(crate) async fn recv(&mut self) -> Option<JobResult> {
        match self.held.pop_front() {
            Some(result) => Some(result),
            None => self.channel.recv().await,
        }
    }

    fn purge(&mut self, id: JobId) {
        self.held.retain(|(of, _)| *of != id);
        // No more than were there: a worker of another job goes on filling.
        for _ in 0..self.channel.len() {
            match self.channel.try_recv() {
                Ok((of, _)) if of == id => {}
                Ok(result) => self.held.push_back(result),
                Err(_) => break,
            }
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for job in self.under_way.values() {
            job.cancel();
        }
        self.all_under_way.end(self.under_way.len());
        // Behind the generation under way, which keeps its cache locked.
        let engine = Arc::clone(&self.engines.language_model);
        let conversation = self.conversation;
        self.generating
            .push(Box::new(move || engine.forget(conversation)));
    }
}
