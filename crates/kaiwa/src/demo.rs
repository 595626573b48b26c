//! `kaiwa demo`: a conversation of three turns that holds itself.
//!
//! A synthetic user (another voice than the assistant's) speaks into the microphone's
//! queue. It asks for a story, cuts in while it is told, and types a last line.

use std::time::Duration;

use kaiwa_client::{
    Conversation, ConversationConfig, Event, FileCard, Handle, Mic, MicQueue, Moment, Pace,
    TurnLatency,
};

use crate::{
    breakdown::{Breakdown, TurnLog},
    cli::{DemoArgs, EngineKind},
    engines::{self, USER_VOICE, user_says},
    exit::{Code, Exit},
    output::{line, note},
    record::Recording,
    talk::{Format, Renderer, embedded, follow, load},
};

const FIRST: &str = "Hello! Please tell me a story about an old lighthouse.";
const CUT_IN: &str = "Wait, stop. What is the capital of France?";
const TYPED: &str = "Thank you. Say goodbye in one short sentence.";

/// How much of the story is heard before the user cuts in.
const PATIENCE: Duration = Duration::from_millis(2500);

/// A demo that has not ended by then has gone wrong.
const LONGEST: Duration = Duration::from_secs(180);

const RATE: u32 = 24_000;

pub(crate) async fn run(arguments: DemoArgs) -> Result<(), Exit> {
    let extra: &[&str] = match arguments.engines.engine {
        EngineKind::Local => &[USER_VOICE],
        EngineKind::Scripted => &[],
    };
    let recording = arguments.record.as_deref();
    let mut recording = recording.map(Recording::prepare).transpose()?;
    let engines = load(arguments.engines.clone(), extra).await?;
    let voice = engines.synthesizer.clone();
    let (first, cut_in) = tokio::task::spawn_blocking(move || {
        Ok::<_, Exit>((user_says(&*voice, FIRST)?, user_says(&*voice, CUT_IN)?))
    })
    .await
    .map_err(|error| Exit::new(Code::Failure, error))??;

    let turns = TurnLog::new();
    let mut server = engines::server_config(&engines, &arguments.engines)?;
    turns.observe(&mut server);
    let mut config = ConversationConfig::default();
    if let Some(recording) = &mut recording {
        server.journal = Some(recording.journal()?);
        recording.begin(Pace::RealTime)?;
        config.trace = Some(recording.trace(None)?);
    }
    let link = embedded(engines, server).await?;
    let (mic, heard) = Mic::queue();
    let card = FileCard::builder()
        .mic(heard)
        .record(&arguments.output)
        .pace(Pace::RealTime)
        .build()?;
    note("A conversation with the server inside this process. Nothing leaves this machine.");
    let (conversation, handle) = Conversation::start(link, card, config);
    let stopping = handle.clone();
    let mut director = Director {
        cut_in,
        mic: Some(mic),
        handle: Some(handle),
        answers: Vec::new(),
        interrupted: false,
    };
    director.hear(&first);

    let mut renderer = Renderer::new(Format::Plain, false);
    let following = follow(
        conversation,
        || stopping.stop(),
        |moment| {
            if let Some(recording) = &mut recording {
                recording.moment(moment);
            }
            renderer.show(moment)?;
            director.direct(moment)
        },
    );
    let outcome = tokio::time::timeout(LONGEST, following)
        .await
        .unwrap_or_else(|_| {
            Err(Exit::new(
                Code::Failure,
                format!(
                    "the conversation did not end within {} s",
                    LONGEST.as_secs()
                ),
            ))
        });
    // One that went wrong is the one to look into.
    let completed = match recording {
        Some(recording) => recording.complete_with(&arguments.output).await,
        None => Ok(()),
    };
    let outcome = outcome?;
    renderer.finish()?;
    completed?;
    outcome.into_result(None)?;
    report(&director, &turns).await?;
    line(format_args!(
        "\nRecorded in {} (stereo: the user left, the assistant right).",
        arguments.output.display()
    ))
}

/// Plays the user: says the next thing when its moment has come.
struct Director {
    cut_in: Vec<f32>,
    mic: Option<MicQueue>,
    handle: Option<Handle>,
    /// The turns that were answered aloud, in order.
    answers: Vec<TurnLatency>,
    interrupted: bool,
}

impl Director {
    fn direct(&mut self, moment: &Moment) -> Result<(), Exit> {
        match &moment.event {
            Event::TurnLatency(latency) => {
                self.answers.push(latency.clone());
                if self.answers.len() == 1 {
                    // The microphone's queue runs on the conversation's clock: silence in it
                    // is time to listen.
                    let silence = PATIENCE.as_millis() as usize * RATE as usize / 1000;
                    let cut_in = [vec![0.0; silence], std::mem::take(&mut self.cut_in)].concat();
                    self.hear(&cut_in);
                }
            }
            Event::Heard { .. } => self.interrupted = true,
            Event::AssistantSpeechStopped { .. } if self.answers.len() == 2 => {
                // The last turn is typed; then there is nothing more to wait for.
                self.mic = None;
                if let Some(handle) = self.handle.take() {
                    let typed = handle.say_next(TYPED).and_then(|()| handle.finish());
                    typed.map_err(|error| Exit::new(Code::Failure, error))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn hear(&self, sound: &[f32]) {
        if let Some(mic) = &self.mic {
            mic.push(sound);
        }
    }
}

/// Prints the table, and refuses to call a conversation complete that was not.
async fn report(director: &Director, turns: &TurnLog) -> Result<(), Exit> {
    line("\nEnd of speech to first sound, in milliseconds:")?;
    line("  turn         endpoint   to text   first clause   first speech   delivery   total")?;
    for (latency, name) in director.answers.iter().zip(["asked", "cut in", "typed"]) {
        let timings = turns.turn(&latency.response).await;
        let Some(steps) = Breakdown::new(latency, timings.as_ref()) else {
            line(format_args!("  {name:<12} {:>72}", latency.total_ms))?;
            continue;
        };
        line(format_args!(
            "  {name:<12} {:>8} {:>9} {:>14} {:>14} {:>10} {:>7}",
            steps.endpoint_ms,
            steps.stt_ms,
            steps.llm_first_clause_ms,
            steps.tts_first_chunk_ms,
            steps.delivery_ms,
            steps.total_ms
        ))?;
    }
    if director.answers.len() != 3 {
        return Err(Exit::new(
            Code::Failure,
            format!("only {} of 3 turns were answered", director.answers.len()),
        ));
    }
    if !director.interrupted {
        return Err(Exit::new(Code::Failure, "the user could not cut in"));
    }
    Ok(())
}
