//! Function calls, in the notation the Qwen and Hermes models were trained on: a JSON
//! object between `<tool_call>` and `</tool_call>`.
//!
//! llama-cpp-2 renders templates without their part on functions, so that the functions
//! are described in the system message, in words of our own. A model that has never
//! seen the notation will not call anything by itself; a call that is required is
//! begun for it, and in every call a grammar made of the functions' JSON schemas leaves
//! it no other choice than valid arguments. One answer holds at most one call.

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{EngineError, EngineErrorKind, Prompt, ToolCall, ToolChoice, ToolSpec};

/// What a call begins with, in an answer.
pub(super) const CALL: &str = "<tool_call>";

/// What an answer holds where a model begins a call in a notation of its own, as those do that were
/// trained on programs: the object alone, or in a block of code. None of it is ever to be spoken.
pub(super) const CALLS: [&str; 9] = [
    CALL,
    "```json",
    "{\"name\"",
    "{ \"name\"",
    "{\n\"name\"",
    "{\n  \"name\"",
    "{\n    \"name\"",
    "{\"type\": \"function\"",
    "{\"function\"",
];

/// What stands between [`CALL`] and the object.
pub(super) const CALL_GAP: &str = "\n";

/// Tokens of some vocabularies that are part of the text all the same.
pub(super) const TAGS: [&str; 4] = [CALL, "</tool_call>", "<tool_response>", "</tool_response>"];

/// The functions a prompt lets the model call.
pub(super) fn offered(prompt: &Prompt) -> Result<&[ToolSpec], EngineError> {
    match &prompt.tool_choice {
        ToolChoice::None => Ok(&[]),
        ToolChoice::Auto => Ok(&prompt.tools),
        ToolChoice::Required if prompt.tools.is_empty() => Err(EngineError::invalid_input(
            "a function call is required, but no function is given",
        )),
        ToolChoice::Required => Ok(&prompt.tools),
        ToolChoice::Function(name) => prompt
            .tools
            .iter()
            .position(|tool| tool.name == *name)
            .map(|at| &prompt.tools[at..=at])
            .ok_or_else(|| {
                EngineError::invalid_input(format_args!(
                    "a call of {name} is required, but no such function is given"
                ))
            }),
    }
}

/// The system message's part about functions.
pub(super) fn instructions(tools: &[ToolSpec]) -> String {
    let mut text =
        "# Tools\n\nThese functions can be called. Their signatures:\n<tools>".to_owned();
    for tool in tools {
        let signature = json!({
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        });
        text += &format!("\n{signature}");
    }
    text += "\n</tools>\n\nTo call one, answer with its name and arguments as a JSON object:\n\
             <tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n\
             </tool_call>\nIf no function is needed, answer in plain words.";
    text
}

/// A call in the text of an assistant's message.
pub(super) fn call(call: &ToolCall) -> String {
    format!(
        "{CALL}{CALL_GAP}{{\"name\": {}, \"arguments\": {}}}\n</tool_call>",
        Value::from(call.name.as_str()),
        call.arguments
    )
}

/// A function's output, as a message.
pub(super) fn result(output: &str) -> String {
    format!("<tool_response>\n{output}\n</tool_response>")
}

/// The grammar of a call of one of `tools`, in llama.cpp's notation; its root is `root`.
///
/// # Errors
///
/// [`EngineErrorKind::Unsupported`] when a schema cannot be made a grammar.
pub(super) fn grammar(tools: &[ToolSpec]) -> Result<String, EngineError> {
    let calls: Vec<Value> = tools
        .iter()
        .map(|tool| {
            let arguments = match &tool.parameters {
                Value::Object(schema) if !schema.is_empty() => named_alone(schema),
                _ => json!({"type": "object"}),
            };
            json!({
                "type": "object",
                "properties": {"name": {"const": tool.name}, "arguments": arguments},
                "required": ["name", "arguments"],
                "additionalProperties": false,
            })
        })
        .collect();
    llama_cpp_2::json_schema_to_grammar(&json!({"anyOf": calls}).to_string()).map_err(|error| {
        EngineError::new(
            EngineErrorKind::Unsupported,
            format!("the functions' schemas cannot be followed: {error}"),
        )
    })
}

/// A schema that takes no arguments but those it names, unless it says otherwise: small models copy
/// the schema itself into what is left open.
fn named_alone(schema: &Map<String, Value>) -> Value {
    let mut schema = schema.clone();
    let is_plain = ["anyOf", "oneOf", "allOf", "$ref", "patternProperties"]
        .iter()
        .all(|keyword| !schema.contains_key(*keyword));
    if is_plain && schema.contains_key("properties") {
        schema.entry("additionalProperties").or_insert(false.into());
    }
    Value::Object(schema)
}

/// The name and the arguments (as they stand there) of a generated call.
pub(super) fn parse(object: &str) -> Result<(String, String), EngineError> {
    #[derive(Deserialize)]
    struct Call<'a> {
        name: String,
        #[serde(borrow)]
        arguments: &'a RawValue,
    }
    serde_json::from_str(object)
        .map(|call: Call<'_>| (call.name, call.arguments.get().to_owned()))
        .map_err(|error| {
            EngineError::failed(format_args!(
                "the model's function call is no JSON: {error}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str) -> ToolSpec {
        ToolSpec {
            name: name.to_owned(),
            description: "Tells the weather.".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            }),
        }
    }

    fn prompt(tool_choice: ToolChoice) -> Prompt {
        Prompt {
            tools: vec![spec("weather"), spec("time")],
            tool_choice,
            ..Prompt::default()
        }
    }

    #[test]
    fn the_choice_decides_what_is_offered() {
        let names = |choice| {
            let prompt = prompt(choice);
            offered(&prompt).map(|tools| tools.iter().map(|tool| tool.name.clone()).collect())
        };
        let both = vec!["weather".to_owned(), "time".to_owned()];
        assert_eq!(names(ToolChoice::Auto), Ok(both.clone()));
        assert_eq!(names(ToolChoice::Required), Ok(both.clone()));
        assert_eq!(names(ToolChoice::None), Ok(vec![]));
        assert_eq!(
            names(ToolChoice::Function("time".to_owned())),
            Ok(both[1..].to_vec())
        );
        let error = names(ToolChoice::Function("news".to_owned())).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::InvalidInput);
    }

    #[test]
    fn a_written_call_is_read_again() {
        let written = call(&ToolCall {
            id: String::new(),
            name: "weather".to_owned(),
            arguments: r#"{"city": "Fürth"}"#.to_owned(),
        });
        let object = written
            .trim_start_matches("<tool_call>\n")
            .trim_end_matches("\n</tool_call>");
        assert_eq!(
            parse(object),
            Ok(("weather".to_owned(), r#"{"city": "Fürth"}"#.to_owned()))
        );
        assert!(parse("{\"name\": 1}").is_err());
    }

    #[test]
    fn arguments_nobody_named_are_left_out() {
        let schema = |value: Value| value.as_object().expect("an object").clone();
        let closed = |value| named_alone(&schema(value))["additionalProperties"].clone();
        assert_eq!(closed(json!({"type": "object", "properties": {}})), false);
        assert_eq!(
            closed(json!({"properties": {}, "additionalProperties": true})),
            true
        );
        assert_eq!(closed(json!({"type": "object"})), Value::Null);
        assert_eq!(closed(json!({"properties": {}, "anyOf": []})), Value::Null);
    }

    #[test]
    fn schemas_become_a_grammar() {
        let grammar = grammar(&prompt(ToolChoice::Auto).tools).expect("plain schemas");
        assert!(grammar.contains("root ::="), "{grammar}");
        assert!(grammar.contains("weather"), "{grammar}");
    }
}
