//! The session core at the other end of a pipe: a real ear for speech, and everything else made up.

use std::{collections::VecDeque, time::Duration};

use futures_util::{SinkExt, StreamExt};
use kaiwa_engine::{VoiceActivity, silero::SileroModel};
use kaiwa_protocol::ClientEvent;
use kaiwa_session::{EngineCommand, EngineEvent, Input, JobId, Output, Session, SessionOptions};
use tokio::{io::DuplexStream, time::Instant};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// What everybody is understood to say.
pub(crate) const WORDS: &str = "Tell me something about the weather in the mountains.";

/// Later than everything, in ms.
const NEVER_MS: u64 = 1 << 32;

/// A server that answers each turn with the same recording.
pub(crate) struct Host {
    socket: WebSocketStream<DuplexStream>,
    session: Session,
    ears: Box<dyn VoiceActivity>,
    /// The stream of frames that the ears are in.
    stream: Option<JobId>,
    jobs: VecDeque<(JobId, EngineCommand)>,
    /// At 24 kHz.
    answer: Vec<f32>,
    begun: Instant,
}

impl Host {
    pub(crate) async fn accept(pipe: DuplexStream, ears: &SileroModel, answer: Vec<f32>) -> Self {
        Self {
            socket: tokio_tungstenite::accept_async(pipe).await.unwrap(),
            session: Session::new(SessionOptions::default()),
            ears: Box::new(ears.detector()),
            stream: None,
            jobs: VecDeque::new(),
            answer,
            begun: Instant::now(),
        }
    }

    /// Until the client leaves.
    pub(crate) async fn run(mut self) {
        let outputs: Vec<_> = self.session.start(self.now()).collect();
        self.act(outputs).await;
        loop {
            let due = self.session.next_timeout().map(|(at, _)| at);
            let due = self.begun + Duration::from_millis(due.unwrap_or(NEVER_MS));
            let event = tokio::select! {
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => Some(ClientEvent::parse(&text)),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => continue,
                },
                () = tokio::time::sleep_until(due) => None,
            };
            self.tell(match event {
                Some(Ok(event)) => Input::Client(event),
                Some(Err(error)) => Input::Malformed(error),
                None => Input::Timeout,
            })
            .await;
            while let Some((job, command)) = self.jobs.pop_front() {
                for event in self.work(job, command) {
                    self.tell(Input::Engine(job, event)).await;
                }
            }
        }
    }

    fn now(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    async fn tell(&mut self, input: Input<'_>) {
        let now = self.now();
        let outputs: Vec<_> = self.session.handle(input, now).collect();
        self.act(outputs).await;
    }

    async fn act(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send(event) => {
                    // A client that has left reads no more, which the next message tells.
                    let _ = self.socket.send(Message::text(event.to_json())).await;
                }
                Output::Run(job, command) => self.jobs.push_back((job, command)),
                Output::Cancel(cancelled) => self.jobs.retain(|(job, _)| *job != cancelled),
                Output::Close(reason) => panic!("the session closes: {reason:?}"),
            }
        }
    }

    fn work(&mut self, job: JobId, command: EngineCommand) -> Vec<EngineEvent> {
        let written = EngineEvent::Generated {
            input_tokens: 1,
            cached_tokens: 0,
            output_tokens: 1,
            truncated: false,
        };
        match command {
            EngineCommand::Detect { frame } => {
                if self.stream != Some(job) {
                    self.stream = Some(job);
                    self.ears.reset();
                }
                let probability = self.ears.push(&frame).unwrap();
                vec![EngineEvent::Voice { probability }]
            }
            EngineCommand::Transcribe { .. } => vec![EngineEvent::Transcript {
                text: WORDS.to_owned(),
                language: None,
                logprobs: Vec::new(),
            }],
            EngineCommand::JudgeTurn { .. } => vec![EngineEvent::TurnJudged { probability: 1.0 }],
            EngineCommand::Prime(_) => vec![written],
            EngineCommand::Generate(_) => vec![
                EngineEvent::Text {
                    text: "It is as it was.".to_owned(),
                },
                written,
            ],
            EngineCommand::Speak { .. } => {
                let speech = self.answer.chunks(4_800).map(|pcm| EngineEvent::Speech {
                    pcm: pcm.to_vec(),
                    rate: 24_000,
                    words: Vec::new(),
                });
                speech.chain([EngineEvent::Spoken]).collect()
            }
            command => panic!("nobody asked for {command:?}"),
        }
    }
}
