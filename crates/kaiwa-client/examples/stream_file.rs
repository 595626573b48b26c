//! Speaks a recording to the server as a microphone would, prints what both sides say, and
//! keeps the answer: `stream_file URL QUESTION.wav [ANSWER.wav]`.

#![expect(clippy::print_stdout, reason = "an example is a program")]

mod common;

use std::process::ExitCode;

use kaiwa_client::{
    Conversation, ConversationConfig, EndReason, Event, FileCard, Link, Mic, Pace, Speaker,
};

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run().await)
}

async fn run() -> Result<(), common::Failure> {
    let endpoint = common::endpoint()?;
    let question = std::env::args()
        .nth(2)
        .ok_or("give a recording to say, as WAV or FLAC")?;
    let mut card = FileCard::builder()
        .mic(Mic::file(question)?)
        .pace(Pace::RealTime);
    if let Some(answer) = std::env::args().nth(3) {
        card = card.speaker(Speaker::wav(answer)?);
    }
    let link = Link::connect(&endpoint).await?;
    let (mut conversation, handle) =
        Conversation::start(link, card.build()?, ConversationConfig::default());
    // Nothing will be typed: the conversation ends when the recording is answered.
    handle.finish()?;
    while let Some(moment) = conversation.next().await {
        match moment.event {
            Event::UserTranscriptDone { text, .. } => println!("you: {text}"),
            Event::AssistantDone { text, .. } => println!("assistant: {text}"),
            Event::Warning { message } | Event::Error { message, .. } => println!("({message})"),
            Event::Ended { reason } if reason != EndReason::InputEnded => {
                return Err(format!("the conversation ended early: {reason:?}").into());
            }
            _ => {}
        }
    }
    Ok(())
}
