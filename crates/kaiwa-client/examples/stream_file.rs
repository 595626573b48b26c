//! Speaks a recording to the server as a microphone would, prints what both sides say, and
//! keeps the answer: `stream_file URL QUESTION.wav [ANSWER.wav]`.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use kaiwa_client::{
    Conversation, ConversationConfig, EndReason, Event, FileCard, Link, Mic, Pace, Speaker,
};

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(from_arguments().await)
}

async fn from_arguments() -> Result<(), common::Failure> {
    let endpoint = common::endpoint()?;
    let question = std::env::args()
        .nth(2)
        .ok_or("give a recording to say, as WAV or FLAC")?;
    let answer = std::env::args().nth(3);
    let link = Link::connect(&endpoint).await?;
    run(
        link,
        question.as_ref(),
        answer.as_deref().map(Path::new),
        &mut std::io::stdout(),
    )
    .await
}

/// Speaks the recording `question` over `link`, writes what both sides say to `out`, and
/// keeps the sound of the answer in the file `answer`.
pub(crate) async fn run(
    link: Link,
    question: &Path,
    answer: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), common::Failure> {
    let mut card = FileCard::builder()
        .mic(Mic::file(question)?)
        .pace(Pace::RealTime);
    if let Some(answer) = answer {
        card = card.speaker(Speaker::wav(answer)?);
    }
    let (mut conversation, handle) =
        Conversation::start(link, card.build()?, ConversationConfig::default());
    // Nothing will be typed: the conversation ends when the recording is answered.
    handle.finish()?;
    while let Some(moment) = conversation.next().await {
        match moment.event {
            Event::UserTranscriptDone { text, .. } => writeln!(out, "you: {text}")?,
            Event::AssistantDone { text, .. } => writeln!(out, "assistant: {text}")?,
            Event::Warning { message } | Event::Error { message, .. } => {
                writeln!(out, "({message})")?;
            }
            Event::Ended { reason } if reason != EndReason::InputEnded => {
                return Err(format!("the conversation ended early: {reason:?}").into());
            }
            _ => {}
        }
    }
    Ok(())
}
