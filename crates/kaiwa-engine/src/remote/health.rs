use serde::Deserialize;

use std::time::Duration;

use super::http::Http;
use crate::{Cancel, EngineError, EngineErrorKind};

/// Bytes of a list of models.
const MAX_LIST: usize = 4 << 20;

/// Names that are repeated of such a list.
const MOST_NAMES: usize = 8;

/// What a server says of the model it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It lists it.
    Listed,
    /// It lists others, and may know it all the same; the sentence names some.
    Unlisted(String),
    /// It lists nothing.
    Unsaid,
}

#[derive(Deserialize)]
struct List {
    data: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

/// How long a list of models may take: whoever has just been started waits for it.
const MOST_TIME: Duration = Duration::from_secs(5);

/// Asks a server for its models.
pub(super) fn check(http: &Http) -> Result<Known, EngineError> {
    let listing = async {
        let listed = tokio::time::timeout(MOST_TIME, list(http)).await;
        listed.unwrap_or_else(|_| Err(http.too_silent(MOST_TIME)))
    };
    let known = http.run(&Cancel::new(), listing)?;
    // Nobody cancels.
    Ok(known.unwrap_or(Known::Unsaid))
}

async fn list(http: &Http) -> Result<Known, EngineError> {
    let mut answer = match http.get("/models", MAX_LIST).await {
        Ok(answer) => answer,
        // A server for one purpose may have nothing but its one route.
        Err(error) if is_no_such_route(error.kind()) => return Ok(Known::Unsaid),
        Err(error) => return Err(error),
    };
    let body = answer.rest().await?;
    let Ok(List { data }) = serde_json::from_slice(&body) else {
        return Ok(Known::Unsaid);
    };
    let model = http.endpoint().model();
    // Ollama lists "name:latest" and takes "name".
    let latest = format!("{model}:latest");
    if data.is_empty() {
        return Ok(Known::Unsaid);
    }
    if data.iter().any(|one| one.id == model || one.id == latest) {
        return Ok(Known::Listed);
    }
    let mut names: Vec<String> = data
        .iter()
        .take(MOST_NAMES)
        .map(|one| http.subject().shortened(&one.id))
        .collect();
    if data.len() > MOST_NAMES {
        names.push("others".to_owned());
    }
    let sentence = http.subject().failed(&format!(
        "does not list the model \"{model}\"; it lists {}",
        names.join(", ")
    ));
    Ok(Known::Unlisted(sentence.message().to_owned()))
}

fn is_no_such_route(kind: EngineErrorKind) -> bool {
    matches!(kind, EngineErrorKind::Model | EngineErrorKind::InvalidInput)
}
