//! One tool.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kaiwa_protocol::{FunctionTool, RawJson};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::parameters::Parameters;
use super::{ToolError, output};

/// How long a call may take unless something else is said.
const LIMIT: Duration = Duration::from_secs(30);
/// Characters of a name, as servers have it.
const LONGEST_NAME: usize = 64;

type Run = dyn Fn(Value) -> BoxFuture<'static, Result<String, String>> + Send + Sync;

/// A function that the assistant may call.
#[derive(Clone)]
pub struct Tool {
    name: String,
    description: String,
    parameters: Arc<Parameters>,
    run: Arc<Run>,
    limit: Duration,
    confirm: Confirm,
}

/// Whether somebody has to agree before a tool runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Confirm {
    /// To each call.
    Always,
    /// To its first call in a conversation.
    First,
    /// Nobody.
    #[default]
    Never,
}

impl Tool {
    /// A function of arguments `A`, whose schema is derived. What it returns is given to the model
    /// as it is if it is a string, and as JSON if not.
    ///
    /// Call it from a tokio runtime with several threads if it blocks.
    ///
    /// # Errors
    ///
    /// When the name is none that servers take, or `A` is not read from a JSON object.
    pub fn function<A, F, R, T, E>(
        name: impl Into<String>,
        description: impl Into<String>,
        run: F,
    ) -> Result<Self, ToolError>
    where
        A: DeserializeOwned + JsonSchema + 'static,
        F: Fn(A) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: fmt::Display,
    {
        let name = checked(name.into())?;
        let parameters = Parameters::of::<A>(&name)?;
        let run = move |arguments| -> BoxFuture<'static, Result<String, String>> {
            // What a schema cannot say, the type does.
            let running = serde_json::from_value(arguments).map(&run);
            Box::pin(async move {
                let running =
                    running.map_err(|error| format!("the arguments do not fit: {error}"))?;
                let value = running.await.map_err(|error| error.to_string())?;
                let value = serde_json::to_value(value)
                    .map_err(|error| format!("the result cannot be told: {error}"))?;
                Ok(output::text(value))
            })
        };
        Ok(Self::make(
            name,
            description.into(),
            parameters,
            Arc::new(run),
        ))
    }

    /// A function of JSON arguments that fit the JSON Schema `parameters`. What it returns is
    /// given to the model as it is.
    ///
    /// # Errors
    ///
    /// When the name is none that servers take, or `parameters` is no schema of an object.
    pub fn new<F, R>(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
        run: F,
    ) -> Result<Self, ToolError>
    where
        F: Fn(Value) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, String>> + Send + 'static,
    {
        let name = checked(name.into())?;
        let parameters = Parameters::new(&name, parameters)?;
        let run = move |arguments| -> BoxFuture<'static, Result<String, String>> {
            Box::pin(run(arguments))
        };
        Ok(Self::make(
            name,
            description.into(),
            parameters,
            Arc::new(run),
        ))
    }

    fn make(name: String, description: String, parameters: Parameters, run: Arc<Run>) -> Self {
        Self {
            name,
            description,
            parameters: Arc::new(parameters),
            run,
            limit: LIMIT,
            confirm: Confirm::default(),
        }
    }

    /// The same with another time limit for each call, instead of 30 s.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The same for which somebody has to agree, or not.
    #[must_use]
    pub fn confirmed(self, confirm: Confirm) -> Self {
        Self { confirm, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long a call may take.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether somebody has to agree.
    pub(crate) fn confirm(&self) -> Confirm {
        self.confirm
    }

    /// Reads arguments, and says what is wrong with them.
    pub(crate) fn read(&self, arguments: &str) -> Result<Value, String> {
        self.parameters.read(arguments)
    }

    /// Runs it with arguments that were [read](Self::read).
    pub(crate) fn run(&self, arguments: Value) -> BoxFuture<'static, Result<String, String>> {
        (self.run)(arguments)
    }

    /// As a server is told of it.
    pub(crate) fn declaration(&self) -> FunctionTool {
        FunctionTool {
            name: self.name.as_str().into(),
            description: self.description.as_str().into(),
            parameters: RawJson::from(self.parameters.schema().clone()).into(),
            ..FunctionTool::default()
        }
    }

    /// Bytes of what a server is told of it.
    pub(crate) fn size(&self) -> usize {
        let schema = self.parameters.schema().to_string();
        self.name.len() + self.description.len() + schema.len()
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .field("confirm", &self.confirm)
            .finish_non_exhaustive()
    }
}

fn checked(name: String) -> Result<String, ToolError> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_good) {
        true => Ok(name),
        false => Err(ToolError::Name { name }),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    struct Sum {
        a: i64,
        b: i64,
    }

    fn adder() -> Tool {
        let add = |sum: Sum| async move {
            let sum = sum.a.checked_add(sum.b).ok_or("the sum is too large")?;
            Ok::<_, &str>(json!({ "sum": sum }))
        };
        Tool::function("add", "Adds.", add).expect("a tool")
    }

    async fn call(tool: &Tool, arguments: &str) -> Result<String, String> {
        tool.run(tool.read(arguments)?).await
    }

    #[tokio::test]
    async fn a_typed_function_is_called_with_what_it_says_it_takes() {
        let adder = adder();
        let called = call(&adder, r#"{"a": 1, "b": 2}"#).await;
        assert_eq!(called.as_deref(), Ok(r#"{"sum":3}"#));
        let failed = call(&adder, &json!({"a": i64::MAX, "b": 1}).to_string()).await;
        assert_eq!(failed, Err("the sum is too large".to_owned()));
        let refused = call(&adder, r#"{"a": 1}"#).await.expect_err("b is missing");
        assert!(
            refused.contains("\"b\" is a required property"),
            "{refused}"
        );
        let declared = serde_json::to_value(adder.declaration()).expect("JSON");
        assert_eq!(declared["parameters"]["properties"]["a"]["type"], "integer");
        assert_eq!(declared["type"], "function");
    }

    #[test]
    fn a_name_is_one_that_servers_take() {
        let named = |name: &str| {
            let schema = json!({"type": "object"});
            Tool::new(name, "", schema, |_| async { Ok(String::new()) }).map(|_| ())
        };
        for name in ["a", "get_time", "a-b-9", &"x".repeat(64)] {
            assert_eq!(named(name), Ok(()), "{name}");
        }
        for name in ["", "get time", "a.b", "é", &"x".repeat(65)] {
            let name = name.to_owned();
            assert_eq!(named(&name), Err(ToolError::Name { name }));
        }
    }
}
