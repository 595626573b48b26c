//! One request, one session, one response.

use std::time::{Duration, Instant};

use kaiwa_client::Client;
use kaiwa_protocol::{
    ConversationItemCreate, Item, Modality, RealtimeSession, ResponseParams, ServerEvent,
};
use kaiwa_server::Server;
use serde::Serialize;
use tokio::time::timeout;

use super::requests::Requests;
use crate::{
    exit::{Code, Exit},
    talk,
};

/// How long a response may take.
const LONGEST: Duration = Duration::from_secs(180);

/// What the assistant is told to be: nothing of the tools, which it is told of by the session.
const INSTRUCTIONS: &str =
    "You are a helpful voice assistant. Use a tool when one fits; otherwise answer briefly.";

/// A call as it came.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Call {
    pub(super) tool: String,
    /// JSON, if the model knows how to write it.
    pub(super) arguments: String,
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) calls: Vec<Call>,
    /// What was said besides.
    pub(super) text: String,
    /// From `response.create` until the first call was whole.
    pub(super) call_ms: Option<u64>,
    /// Why there is no answer.
    pub(super) error: Option<String>,
}

/// Makes a request in a session of its own.
pub(super) async fn ask(server: &Server, requests: &Requests, say: &str) -> Result<Answer, Exit> {
    let session = RealtimeSession {
        output_modalities: vec![Modality::Text].into(),
        instructions: INSTRUCTIONS.into(),
        tools: requests.tools().into(),
        ..RealtimeSession::default()
    };
    let failed = |error: kaiwa_client::ClientError| Exit::new(Code::Failure, error);
    let mut client = Client::over(talk::link(server).await?, session)
        .await
        .map_err(failed)?;
    let item = ConversationItemCreate {
        item: Item::user_text(say),
        ..ConversationItemCreate::default()
    };
    client.send(item).await.map_err(failed)?;
    let asked = Instant::now();
    client
        .respond(ResponseParams::default())
        .await
        .map_err(failed)?;
    let mut answer = Answer::default();
    let listening = listen(&mut client, asked, &mut answer);
    match timeout(LONGEST, listening).await {
        Ok(outcome) => outcome.map_err(failed)?,
        Err(_) => {
            answer.error = Some(format!("no answer within {} s", LONGEST.as_secs()));
        }
    }
    client.close().await;
    Ok(answer)
}

/// Follows the response to its end.
async fn listen(
    client: &mut Client,
    asked: Instant,
    answer: &mut Answer,
) -> Result<(), kaiwa_client::ClientError> {
    while let Some(event) = client.next().await? {
        match event {
            ServerEvent::ResponseOutputItemDone(event) => {
                if let Item::FunctionCall(call) = event.item {
                    let ms = asked.elapsed().as_millis() as u64;
                    answer.call_ms.get_or_insert(ms);
                    answer.calls.push(Call {
                        tool: call.name,
                        arguments: call.arguments,
                    });
                }
            }
            ServerEvent::ResponseOutputTextDelta(event) => answer.text.push_str(&event.delta),
            ServerEvent::Error(event) => answer.error = Some(event.error.message),
            ServerEvent::ResponseDone(event) => {
                let status = event.response.status.value().map(|status| status.as_str());
                if let Some(status) = status.filter(|status| *status != "completed") {
                    answer
                        .error
                        .get_or_insert_with(|| format!("the response is {status}"));
                }
                return Ok(());
            }
            _ => {}
        }
    }
    answer.error = Some("the server closed the connection".to_owned());
    Ok(())
}
