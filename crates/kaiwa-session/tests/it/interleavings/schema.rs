//! Whether events obey the published schemas.
//!
//! Validating every event would take most of the time, and millions of events look like
//! each other. Events that differ only in their texts, ids and the size of numbers are valid
//! alike, so one of each kind is validated.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use jsonschema::Validator;
use serde_json::{Value, json};

/// The schemas of what clients read; optional members may be null there, as on the wire.
const SCHEMAS: &str = "realtime-schemas-sdk-3.54.0.json";

/// Members whose text is free.
const FREE: &[&str] = &[
    "arguments",
    "audio",
    "delta",
    "image_url",
    "instructions",
    "message",
    "output",
    "text",
    "transcript",
];

/// Validators of all server events, compiled once in a process.
static VALIDATORS: OnceLock<Option<HashMap<String, Validator>>> = OnceLock::new();

/// Remembers which kinds of events are known to be valid.
#[derive(Default)]
pub(super) struct Schemas {
    valid: HashSet<u64>,
}

impl Schemas {
    /// How many different kinds of events were validated.
    pub(super) fn validated(&self) -> usize {
        self.valid.len()
    }

    /// Panics when an event does not obey its schema.
    pub(super) fn check(&mut self, event: &Value) {
        let Some(validators) = VALIDATORS.get_or_init(compile) else {
            return;
        };
        let mut hasher = DefaultHasher::new();
        shape("", event, &mut hasher);
        if !self.valid.insert(hasher.finish()) {
            return;
        }
        let kind = event["type"].as_str().expect("a type");
        let validator = validators
            .get(kind)
            .unwrap_or_else(|| panic!("{kind} is no server event"));
        let faults: Vec<_> = validator
            .iter_errors(event)
            .map(|fault| format!("{} at {}", fault, fault.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{faults:#?}\n{event}");
    }
}

#[expect(clippy::print_stdout, reason = "a test that skips something says so")]
fn compile() -> Option<HashMap<String, Validator>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/protocol");
    let folder = std::env::var_os("KAIWA_PROTOCOL_DIR").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped the schemas: no protocol data");
        return None;
    }
    let text = std::fs::read_to_string(folder.join(SCHEMAS)).expect("the schemas can be read");
    let all: Value = serde_json::from_str(&text).expect("the schemas are JSON");
    let schema = &all["ga_server_event"];
    let events = schema["anyOf"].as_array().expect("a list of events");
    let compiled = events.iter().map(|reference| {
        let reference = reference["$ref"].as_str().expect("a reference");
        let name = reference.rsplit('/').next().expect("a name");
        let kind = schema["$defs"][name]["properties"]["type"]["const"].as_str();
        let whole = json!({"$ref": reference, "$defs": schema["$defs"]});
        let validator = jsonschema::validator_for(&whole).expect("the schema compiles");
        (kind.expect("a type").to_owned(), validator)
    });
    Some(compiled.collect())
}

/// What an event is like: its members, its words, but not its texts, ids and numbers.
fn shape(name: &str, value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(_) => 1_u8.hash(hasher),
        Value::Number(number) => {
            (2_u8, number.is_f64(), number.is_u64()).hash(hasher);
        }
        Value::String(text) => {
            let free = FREE.contains(&name) || name == "id" || name.ends_with("_id");
            (3_u8, if free { "" } else { text.as_str() }).hash(hasher);
        }
        Value::Array(values) => {
            (4_u8, values.len()).hash(hasher);
            for value in values {
                shape(name, value, hasher);
            }
        }
        Value::Object(members) => {
            (5_u8, members.len()).hash(hasher);
            for (name, value) in members {
                name.hash(hasher);
                shape(name, value, hasher);
            }
        }
    }
}
