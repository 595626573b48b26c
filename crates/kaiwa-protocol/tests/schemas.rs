//! The types know every member, kind and value that the published schemas know, and what they write obeys the schemas.
//!
//! Instances are made from the schemas: every branch, every value of an enumeration, optional members present, null
//! or absent. Each must parse without leaving anything to `extra`, `Unknown` or `Other`, come back as it was, and be
//! valid.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use kaiwa_protocol::{ClientEvent, ServerEvent};
use serde_json::{Map, Value, json};

use common::protocol_file;

const SCHEMAS: &str = "realtime-schemas-sdk-3.54.0.json";
/// Instances made of each event: enough for every branch to be taken, which is checked.
const ROUNDS: u64 = 300;

#[test]
fn client_events_obey_the_schemas() {
    let Some(schemas) = protocol_file(SCHEMAS) else {
        return;
    };
    check(&schemas["ga_client_event"], ClientEvent::KNOWN, |frame| {
        let event = ClientEvent::parse(frame).unwrap_or_else(|error| panic!("{error}\n{frame}"));
        (event.to_json(), format!("{event:?}"))
    });
}

#[test]
fn server_events_obey_the_schemas() {
    let Some(schemas) = protocol_file(SCHEMAS) else {
        return;
    };
    check(&schemas["ga_server_event"], ServerEvent::KNOWN, |frame| {
        let event = ServerEvent::parse(frame).unwrap_or_else(|error| panic!("{error}\n{frame}"));
        (event.to_json(), format!("{event:?}"))
    });
}

/// `round_trip` reads a frame and gives it back as JSON and as debug text.
fn check(schema: &Value, known: &[&str], round_trip: impl Fn(&str) -> (String, String)) {
    let events = events(schema);
    assert_eq!(
        events.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        known.iter().copied().collect()
    );
    let mut maker = Maker {
        defs: &schema["$defs"],
        state: 1,
        visited: BTreeSet::new(),
    };
    for (kind, name) in events {
        let whole = json!({"$ref": format!("#/$defs/{name}"), "$defs": schema["$defs"]});
        let validator = jsonschema::validator_for(&whole).unwrap();
        for _ in 0..ROUNDS {
            let instance = maker.make(&whole);
            let (text, debug) = round_trip(&instance.to_string());
            let written: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(written, instance, "{kind}");
            assert_valid(&validator, &written);
            for lost in ["Extra([(", "Unknown(", "Other("] {
                assert!(!debug.contains(lost), "{kind}: {lost} in {debug}");
            }
        }
    }
    for name in schema["$defs"].as_object().unwrap().keys() {
        assert!(
            maker.visited.contains(name),
            "no instance with {name} was made"
        );
    }
}

fn assert_valid(validator: &Validator, instance: &Value) {
    let errors: Vec<_> = validator
        .iter_errors(instance)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{instance}");
}

/// The schema's events: type and name of the definition.
fn events(schema: &Value) -> BTreeMap<String, String> {
    let references = schema["anyOf"].as_array().unwrap().iter();
    let names = references.map(|reference| definition(reference["$ref"].as_str().unwrap()));
    names
        .map(|name| {
            let kind = schema["$defs"][name]["properties"]["type"]["const"]
                .as_str()
                .unwrap();
            (kind.to_owned(), name.to_owned())
        })
        .collect()
}

fn definition(reference: &str) -> &str {
    reference.strip_prefix("#/$defs/").unwrap()
}

/// Makes instances of schemas.
struct Maker<'a> {
    defs: &'a Value,
    /// State of a linear congruential generator: the test is the same every time.
    state: u64,
    visited: BTreeSet<String>,
}

impl Maker<'_> {
    fn make(&mut self, schema: &Value) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = definition(reference);
            self.visited.insert(name.to_owned());
            let schema = self.defs[name].clone();
            return self.make(&schema);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema["enum"].as_array() {
            return values[self.below(values.len())].clone();
        }
        if let Some(branches) = schema["anyOf"].as_array() {
            // Where names are listed beside "any string", the listed ones are the known ones.
            let listed = branches.iter().any(|branch| branch.get("enum").is_some());
            let is_open = |branch: &Value| listed && *branch == json!({"type": "string"});
            let branches: Vec<_> = branches.iter().filter(|branch| !is_open(branch)).collect();
            let choice = self.below(branches.len());
            return self.make(branches[choice]);
        }
        match schema["type"].as_str() {
            // Both a plain word and base64.
            Some("string") => "QUJD".into(),
            Some("integer") => 7.into(),
            Some("number") => 0.5.into(),
            Some("boolean") => (self.below(2) == 0).into(),
            Some("null") => Value::Null,
            Some("array") => (0..self.below(4))
                .map(|_| self.make(&schema["items"]))
                .collect(),
            Some("object") if schema.get("properties").is_some() => self.object(schema),
            Some("object") => json!({"key": self.make(&schema["additionalProperties"])}),
            None => json!({"any": [1, "thing"]}),
            Some(other) => panic!("a schema of type {other}"),
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let properties = schema["properties"].as_object().unwrap();
        let required: Vec<&str> = schema["required"]
            .as_array()
            .map_or_else(Vec::new, |required| {
                required.iter().map(|name| name.as_str().unwrap()).collect()
            });
        let mut object = Map::new();
        if let Some(kind) = properties.get("type") {
            object.insert("type".to_owned(), self.present(kind));
        }
        let kind = object
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let of_kind = content_members(kind);
        for (name, member) in properties {
            if name == "type" || of_kind.is_some_and(|members| !members.contains(&name.as_str())) {
                continue;
            }
            // Ids and texts may be null by the schemas; nobody sends them so, and the types do not keep it.
            if ["event_id", "id", "text"].contains(&name.as_str()) {
                object.insert(name.clone(), self.present(member));
            } else if required.contains(&name.as_str()) || self.below(4) > 0 {
                object.insert(name.clone(), self.make(member));
            }
        }
        object.into()
    }

    /// An instance that is not null.
    fn present(&mut self, schema: &Value) -> Value {
        loop {
            let value = self.make(schema);
            if !value.is_null() {
                return value;
            }
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        // Constants of Knuth's MMIX generator; its high bits are the good ones.
        self.state = self
            .state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.state >> 33) as usize % limit
    }
}

/// The members of a part of content: the schemas list the members of all kinds together.
fn content_members(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "input_text" | "output_text" | "text" => &["text", "prompt_cache_breakpoint"],
        "input_audio" | "output_audio" | "audio" => &["audio", "transcript"],
        "input_image" => &["image_url", "detail", "file_id", "prompt_cache_breakpoint"],
        _ => return None,
    })
}
