//! Asks a question in writing and prints the answer as it comes:
//! `text_turn URL [QUESTION]`.

mod common;

use std::io::Write;
use std::process::ExitCode;

use kaiwa_client::{Client, Endpoint};
use kaiwa_protocol::{
    ConversationItemCreate, Item, Modality, RealtimeSession, ResponseParams, ServerEvent,
};

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(from_arguments().await)
}

async fn from_arguments() -> Result<(), common::Failure> {
    let endpoint = common::endpoint()?;
    let question = std::env::args().nth(2);
    let question = question
        .as_deref()
        .unwrap_or("What is the capital of France?");
    run(&endpoint, question, &mut std::io::stdout()).await
}

/// Asks `question` and writes the answer to `out` as it comes.
pub(crate) async fn run(
    endpoint: &Endpoint,
    question: &str,
    out: &mut impl Write,
) -> Result<(), common::Failure> {
    let session = RealtimeSession {
        output_modalities: vec![Modality::Text].into(),
        instructions: "Answer in one sentence.".into(),
        ..RealtimeSession::default()
    };
    let mut client = Client::open(endpoint, session).await?;
    client.queue(ConversationItemCreate {
        item: Item::user_text(question),
        ..ConversationItemCreate::default()
    })?;
    client.respond(ResponseParams::default()).await?;
    while let Some(event) = client.next().await? {
        match event {
            ServerEvent::ResponseOutputTextDelta(delta) => {
                write!(out, "{}", delta.delta)?;
                out.flush()?;
            }
            ServerEvent::Error(event) => return Err(event.error.message.into()),
            ServerEvent::ResponseDone(_) => {
                writeln!(out)?;
                client.close().await;
                return Ok(());
            }
            _ => {}
        }
    }
    Err("the server ended the session before it had answered".into())
}
