//! Gives the model a function, runs it when the model asks, and prints the answer that
//! follows: `function_call URL [QUESTION]`.

mod common;

use std::io::Write;
use std::process::ExitCode;

use kaiwa_client::{Client, Endpoint};
use kaiwa_protocol::{
    ConversationItemCreate, FunctionTool, Item, Modality, RealtimeSession, ResponseParams,
    ServerEvent, Tool,
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
        .unwrap_or("What is the weather in Kyoto?");
    run(&endpoint, question, &mut std::io::stdout()).await
}

/// Asks `question` and writes the calls and the answer to `out`.
pub(crate) async fn run(
    endpoint: &Endpoint,
    question: &str,
    out: &mut impl Write,
) -> Result<(), common::Failure> {
    let parameters = serde_json::json!({
        "type": "object",
        "properties": {"place": {"type": "string", "description": "A city."}},
        "required": ["place"],
    });
    let weather = FunctionTool {
        name: "weather".into(),
        description: "Tells the weather at a place.".into(),
        parameters: kaiwa_protocol::RawJson::from(parameters).into(),
        ..FunctionTool::default()
    };
    let session = RealtimeSession {
        output_modalities: vec![Modality::Text].into(),
        tools: vec![Tool::Function(weather)].into(),
        ..RealtimeSession::default()
    };
    let mut client = Client::open(endpoint, session).await?;
    create(&mut client, Item::user_text(question))?;
    client.respond(ResponseParams::default()).await?;
    while let Some(event) = client.next().await? {
        match event {
            ServerEvent::ResponseOutputItemDone(event) => {
                let Item::FunctionCall(call) = event.item else {
                    continue;
                };
                writeln!(out, "{}({})", call.name, call.arguments)?;
                let id = call.call_id.unwrap_or_default();
                create(
                    &mut client,
                    Item::function_output(id, weather_at(&call.arguments)),
                )?;
                // The response with the call still runs: this one waits its turn.
                client.respond(ResponseParams::default()).await?;
            }
            ServerEvent::ResponseOutputTextDone(event) => writeln!(out, "{}", event.text)?,
            ServerEvent::Error(event) => return Err(event.error.message.into()),
            ServerEvent::ResponseDone(_) if client.outstanding() == 0 => {
                client.close().await;
                return Ok(());
            }
            _ => {}
        }
    }
    Err("the server ended the session before it had answered".into())
}

fn create(client: &mut Client, item: Item) -> Result<(), common::Failure> {
    client.queue(ConversationItemCreate {
        item,
        ..ConversationItemCreate::default()
    })?;
    Ok(())
}

/// The function. What a model calls it with is text, and may be anything.
fn weather_at(arguments: &str) -> String {
    let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap_or_default();
    match arguments["place"].as_str() {
        Some(place) => serde_json::json!({"place": place, "sky": "clear", "celsius": 21}),
        None => serde_json::json!({"error": "say which place"}),
    }
    .to_string()
}
