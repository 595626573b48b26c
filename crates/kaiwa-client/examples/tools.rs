//! Gives the assistant a function of this program in a conversation, and prints what is called
//! and answered: `tools URL [QUESTION]`.

mod common;

use std::io::Write;
use std::process::ExitCode;

use kaiwa_client::tools::{Tool, ToolError, Tools};
use kaiwa_client::{Conversation, ConversationConfig, Event, FileCard, Link, OutputMode};

/// What the function is called with. The schema that the model gets is derived from it.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Where {
    /// A city.
    place: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(from_arguments().await)
}

async fn from_arguments() -> Result<(), common::Failure> {
    let link = Link::connect(&common::endpoint()?).await?;
    let question = std::env::args().nth(2);
    let question = question
        .as_deref()
        .unwrap_or("Where is it warmer, in Kyoto or in Oslo?");
    run(link, question, &mut std::io::stdout()).await
}

/// Asks `question` and writes the calls and the answer to `out`.
pub(crate) async fn run(
    link: Link,
    question: &str,
    out: &mut impl Write,
) -> Result<(), common::Failure> {
    let mut config = ConversationConfig::default();
    config.output = OutputMode::Text;
    config.tools = tools()?;
    let (mut conversation, handle) =
        Conversation::start(link, FileCard::builder().build()?, config);
    handle.say(question)?;
    handle.finish()?;
    while let Some(moment) = conversation.next().await {
        match moment.event {
            Event::ToolCallStarted {
                name, arguments, ..
            } => {
                writeln!(out, "{name}({})", arguments.unwrap_or_default())?;
            }
            Event::ToolCallDone {
                name,
                why: Some(why),
                ..
            } => writeln!(out, "{name}: {why}")?,
            Event::AssistantDone { text, .. } => writeln!(out, "{text}")?,
            Event::Ended { reason } if reason.is_error() => return Err(reason.to_string().into()),
            _ => {}
        }
    }
    Ok(())
}

fn tools() -> Result<Tools, ToolError> {
    let weather = Tool::function(
        "weather",
        "Tells the weather at a place.",
        |at: Where| async move {
            match at.place.as_str() {
                "Kyoto" => Ok(serde_json::json!({"sky": "clear", "celsius": 21})),
                other => Err(format!("there is no weather station in {other}")),
            }
        },
    )?;
    let mut tools = Tools::default();
    tools.add(weather)?;
    Ok(tools)
}
