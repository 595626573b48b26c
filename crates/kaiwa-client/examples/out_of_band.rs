//! Has a statement judged beside the conversation, without a trace in it, while the
//! conversation itself goes on: `out_of_band URL [STATEMENT]`.

mod common;

use std::io::Write;
use std::process::ExitCode;

use kaiwa_client::{Client, Endpoint};
use kaiwa_protocol::{
    ContentPart, ConversationChoice, ConversationItemCreate, Item, Modality, RealtimeSession,
    Response, ResponseParams, ServerEvent,
};

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(from_arguments().await)
}

async fn from_arguments() -> Result<(), common::Failure> {
    let endpoint = common::endpoint()?;
    let statement = std::env::args().nth(2);
    let statement = statement
        .as_deref()
        .unwrap_or("I would like to cancel my order.");
    run(&endpoint, statement, &mut std::io::stdout()).await
}

/// Says `statement` and writes the answer and the judgement to `out`.
pub(crate) async fn run(
    endpoint: &Endpoint,
    statement: &str,
    out: &mut impl Write,
) -> Result<(), common::Failure> {
    let session = RealtimeSession {
        output_modalities: vec![Modality::Text].into(),
        ..RealtimeSession::default()
    };
    let mut client = Client::open(endpoint, session).await?;
    client.queue(ConversationItemCreate {
        item: Item::user_text(statement),
        ..ConversationItemCreate::default()
    })?;
    // The answer to the user, and beside it a judgement of what was said. Both may run at
    // the same time; the metadata comes back and tells them apart.
    client.respond(ResponseParams::default()).await?;
    let topic = [("purpose".to_owned(), "judgement".to_owned())];
    client
        .respond(ResponseParams {
            conversation: ConversationChoice::None.into(),
            metadata: topic
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>()
                .into(),
            instructions: "Is this a complaint, a request or a question? Answer in one word."
                .into(),
            input: vec![Item::user_text(statement)].into(),
            ..ResponseParams::default()
        })
        .await?;
    let mut running = 2;
    while let Some(event) = client.next().await? {
        match event {
            ServerEvent::ResponseDone(event) => {
                let aside = event
                    .response
                    .metadata
                    .value()
                    .is_some_and(|metadata| metadata.contains_key("purpose"));
                let kind = if aside { "judgement" } else { "answer" };
                writeln!(out, "{kind}: {}", words(&event.response))?;
                running -= 1;
                if running == 0 {
                    client.close().await;
                    return Ok(());
                }
            }
            ServerEvent::Error(event) => return Err(event.error.message.into()),
            _ => {}
        }
    }
    Err("the server ended the session before it had answered".into())
}

/// What a response says.
fn words(response: &Response) -> String {
    let items = response.output.value().into_iter().flatten();
    let parts = items.flat_map(|item| match item {
        Item::Message(message) => message.content.as_slice(),
        _ => &[],
    });
    parts.filter_map(ContentPart::words).collect()
}
