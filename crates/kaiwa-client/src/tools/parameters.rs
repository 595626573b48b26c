//! The schema of a tool's arguments, and arguments held against it.

use jsonschema::Validator;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::ToolError;

/// Most mistakes that a model is told of at once.
const MOST_MISTAKES: usize = 5;

/// What a tool may be called with.
#[derive(Debug)]
pub(super) struct Parameters {
    schema: Value,
    validator: Validator,
}

impl Parameters {
    /// Takes a JSON Schema of an object.
    pub(super) fn new(tool: &str, schema: Value) -> Result<Self, ToolError> {
        let refused = |reason: String| ToolError::Parameters {
            name: tool.to_owned(),
            reason,
        };
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(refused("its \"type\" is not \"object\"".to_owned()));
        }
        let validator = jsonschema::options()
            .with_retriever(Nowhere)
            .build(&schema)
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self { schema, validator })
    }

    /// The schema of what `A` is read from.
    pub(super) fn of<A: JsonSchema>(tool: &str) -> Result<Self, ToolError> {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.meta_schema = None;
            // Models read a schema better than they follow references.
            settings.inline_subschemas = true;
        });
        let mut schema = settings.into_generator().into_root_schema_for::<A>();
        schema.remove("title");
        Self::new(tool, schema.to_value())
    }

    pub(super) fn schema(&self) -> &Value {
        &self.schema
    }

    /// Reads arguments; nothing counts as an empty object.
    pub(super) fn read(&self, text: &str) -> Result<Value, String> {
        let arguments = match text.trim() {
            "" => Value::Object(Map::new()),
            text => serde_json::from_str(text)
                .map_err(|error| format!("the arguments are not JSON: {error}"))?,
        };
        let mut mistakes = self.validator.iter_errors(&arguments).map(|mistake| {
            let path = mistake.instance_path().to_string();
            match path.is_empty() {
                true => mistake.to_string(),
                false => format!("at {path}: {mistake}"),
            }
        });
        let told: Vec<_> = mistakes.by_ref().take(MOST_MISTAKES).collect();
        if told.is_empty() {
            drop(mistakes);
            Ok(arguments)
        } else {
            Err(format!("the arguments do not fit: {}", told.join("; ")))
        }
    }
}

/// A schema that refers to another document is refused: nothing is fetched for it.
struct Nowhere;

impl jsonschema::Retrieve for Nowhere {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("{uri} is another document").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn weather() -> Parameters {
        let schema = json!({"type": "object", "required": ["place"], "additionalProperties": false,
            "properties": {"place": {"type": "string"}, "days": {"type": "integer", "maximum": 7}}});
        Parameters::new("weather", schema).expect("a schema")
    }

    #[test]
    fn arguments_that_fit_are_read() {
        let arguments = weather().read(r#"{"place": "Kyoto", "days": 2}"#);
        assert_eq!(arguments, Ok(json!({"place": "Kyoto", "days": 2})));
        let anything = Parameters::new("t", json!({"type": "object"})).expect("a schema");
        assert_eq!(anything.read(" \n"), Ok(json!({})));
    }

    #[test]
    fn arguments_that_do_not_fit_are_told_with_their_place() {
        for (arguments, part) in [
            ("", "\"place\" is a required property"),
            ("[1]", "not of type \"object\""),
            ("null", "not of type \"object\""),
            (r#"{"place": 5}"#, "at /place: 5 is not of type \"string\""),
            (r#"{"place": "a", "days": 9}"#, "at /days: 9"),
            (r#"{"place": "a", "when": 1}"#, "'when' was unexpected"),
            (r#"{"place": "#, "the arguments are not JSON: EOF"),
        ] {
            let mistake = weather().read(arguments).expect_err(arguments);
            assert!(mistake.contains(part), "{arguments}: {mistake}");
        }
    }

    #[test]
    fn a_schema_that_describes_no_object_is_refused() {
        for (schema, part) in [
            (json!({"type": "string"}), "its \"type\" is not \"object\""),
            (json!(true), "its \"type\" is not \"object\""),
            (
                json!({"type": "object", "properties": {"a": {"type": "nonsense"}}}),
                "nonsense",
            ),
            (
                json!({"type": "object", "properties": {"a": {"$ref": "http://a.invalid/b.json"}}}),
                "another document",
            ),
        ] {
            let error = Parameters::new("t", schema.clone()).expect_err("no schema");
            assert!(error.to_string().contains(part), "{schema}: {error}");
        }
    }

    #[test]
    fn a_derived_schema_has_no_references() {
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Outer {
            /// What it is.
            inner: Inner,
        }
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Inner {
            days: Option<u8>,
        }
        let parameters = Parameters::of::<Outer>("t").expect("a schema");
        let schema = parameters.schema().to_string();
        assert!(
            !schema.contains("$ref") && !schema.contains("$schema"),
            "{schema}"
        );
        assert!(schema.contains("What it is."), "{schema}");
        assert!(parameters.read(r#"{"inner": {"days": 300}}"#).is_err());
        assert!(parameters.read(r#"{"inner": {}}"#).is_ok());
    }
}
