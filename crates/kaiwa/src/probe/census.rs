//! All that a server sends, counted and held against the shapes of the API.

use std::collections::{BTreeMap, BTreeSet};

use kaiwa_protocol::Dialect;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    key::Secrets,
    report::{Finding, Report, clipped},
    shapes::{self, Shape},
};
use crate::exit::Exit;

/// The most names of a kind that are kept: a server may make up any number.
const MOST: usize = 100;
/// The most names that a line shows.
const SHOWN: usize = 12;
/// The longest name that is kept, in characters.
const LONGEST: usize = 80;

#[derive(Default, Serialize)]
pub(super) struct Census {
    /// Events by type.
    events: BTreeMap<String, u64>,
    /// Types that the API does not have.
    unknown_events: BTreeSet<String>,
    /// Types that only the other dialect has.
    events_of_the_other_dialect: BTreeSet<String>,
    /// Members that the API does not have, as `event.member`.
    unknown_fields: BTreeSet<String>,
    /// Members that the API has and that were not there.
    missing_fields: BTreeSet<String>,
    /// Frames that are no events.
    unreadable_frames: u64,
    /// What was wrong with the first of them.
    #[serde(skip)]
    unreadable: Option<String>,
    /// What is hidden in names, before they are clipped.
    #[serde(skip)]
    secrets: Secrets,
}

impl Census {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self {
            secrets,
            ..Self::default()
        }
    }

    pub(super) fn unreadable(&mut self, why: &str) {
        self.unreadable_frames += 1;
        self.unreadable.get_or_insert_with(|| why.to_owned());
    }

    pub(super) fn note(&mut self, kind: &str, event: &Map<String, Value>, dialect: Dialect) {
        let name = clipped(&self.secrets.hide(kind), LONGEST);
        if self.events.len() < MOST || self.events.contains_key(&name) {
            *self.events.entry(name.clone()).or_default() += 1;
        }
        let Some(shape) = shapes::event(kind) else {
            insert(&mut self.unknown_events, name);
            return;
        };
        if shape.dialect.is_some_and(|of| of != dialect) {
            insert(&mut self.events_of_the_other_dialect, name);
        }
        self.compare(kind, event, shape, &["type", "event_id"]);
        if !event.contains_key("event_id") {
            insert(&mut self.missing_fields, format!("{kind}.event_id"));
        }
        for member in ["session", "item", "response", "part", "error"] {
            self.object(member, event.get(member), dialect);
        }
    }

    /// Holds an object against its shape, and the objects of sound in a session.
    fn object(&mut self, path: &str, value: Option<&Value>, dialect: Dialect) {
        let (Some(Value::Object(members)), Some(shape)) = (value, shapes::object(path, dialect))
        else {
            return;
        };
        self.compare(path, members, shape, &[]);
        let inner: &[&str] = match path {
            "session" => &["audio"],
            "session.audio" => &["input", "output"],
            _ => &[],
        };
        for member in inner {
            self.object(&format!("{path}.{member}"), members.get(*member), dialect);
        }
    }

    fn compare(
        &mut self,
        path: &str,
        members: &Map<String, Value>,
        shape: &Shape,
        beside: &[&str],
    ) {
        for needed in shape.needs {
            if !members.contains_key(*needed) {
                insert(&mut self.missing_fields, format!("{path}.{needed}"));
            }
        }
        for name in members.keys() {
            let known = [shape.needs, shape.may, beside];
            if !known.iter().any(|names| names.contains(&name.as_str())) {
                let name = clipped(&self.secrets.hide(name), LONGEST);
                insert(&mut self.unknown_fields, format!("{path}.{name}"));
            }
        }
    }

    pub(super) fn tell(&self, report: &mut Report) -> Result<(), Exit> {
        if self.unreadable_frames > 0 {
            let why = self.unreadable.as_deref().unwrap_or_default();
            let message = format!(
                "{} that are no events; the first: {why}",
                self.unreadable_frames
            );
            report.tell(Finding::differs("frames", message))?;
        }
        let mut is_clean = true;
        for (names, about, what) in [
            (&self.unknown_events, "events", "that the API does not have"),
            (
                &self.events_of_the_other_dialect,
                "events",
                "that only the other dialect has",
            ),
            (&self.unknown_fields, "fields", "that the API does not have"),
        ] {
            if !names.is_empty() {
                is_clean = false;
                let message = format!("{what}: {}", listed(names));
                report.tell(Finding::differs(about, message))?;
            }
        }
        if !self.missing_fields.is_empty() {
            is_clean = false;
            let message = format!("without {}", listed(&self.missing_fields));
            report.tell(Finding::missing("fields", message))?;
        }
        match is_clean && !self.events.is_empty() {
            true => report.tell(Finding::ok(
                "fields",
                "every event that came has the API's fields",
            )),
            false => Ok(()),
        }
    }
}

fn insert(names: &mut BTreeSet<String>, name: String) {
    if names.len() < MOST {
        names.insert(name);
    }
}

fn listed(names: &BTreeSet<String>) -> String {
    let mut shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("{more} more"));
    shown.extend(more.as_deref());
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(event: Value, dialect: Dialect) -> Census {
        let mut census = Census::default();
        let kind = event["type"].as_str().expect("a type").to_owned();
        census.note(&kind, event.as_object().expect("an object"), dialect);
        census
    }

    fn names(names: &BTreeSet<String>) -> Vec<&str> {
        names.iter().map(String::as_str).collect()
    }

    #[test]
    fn fields_are_held_against_the_api() {
        let census = of(
            json!({"type": "conversation.item.added", "item": {"type": "message", "mood": "good"}}),
            Dialect::Ga,
        );
        assert_eq!(
            names(&census.missing_fields),
            ["conversation.item.added.event_id", "item.id"]
        );
        assert_eq!(names(&census.unknown_fields), ["item.mood"]);
        let census = of(
            json!({"type": "session.updated", "event_id": "e", "session": {"audio": {"input": {}}}}),
            Dialect::Ga,
        );
        let missing = names(&census.missing_fields);
        assert!(missing.contains(&"session.model"), "{missing:?}");
        assert!(missing.contains(&"session.audio.output"), "{missing:?}");
        assert!(
            missing.contains(&"session.audio.input.format"),
            "{missing:?}"
        );
    }

    #[test]
    fn events_of_the_other_dialect_are_told_from_made_up_ones() {
        let audio = json!({"type": "response.audio.done", "event_id": "e", "response_id": "r",
            "item_id": "i", "output_index": 0, "content_index": 0});
        let census = of(audio.clone(), Dialect::Ga);
        assert_eq!(
            names(&census.events_of_the_other_dialect),
            ["response.audio.done"]
        );
        assert!(census.missing_fields.is_empty());
        assert!(
            of(audio, Dialect::Beta)
                .events_of_the_other_dialect
                .is_empty()
        );
        let census = of(json!({"type": "mood.changed"}), Dialect::Ga);
        assert_eq!(names(&census.unknown_events), ["mood.changed"]);
    }

    #[test]
    fn a_server_that_makes_up_names_fills_no_memory() {
        let mut census = Census::default();
        for n in 0..10 * MOST {
            let kind = format!("{n}{}", "x".repeat(10 * LONGEST));
            census.note(&kind, &Map::new(), Dialect::Ga);
        }
        assert_eq!(census.unknown_events.len(), MOST);
        assert_eq!(census.events.len(), MOST);
        assert!(listed(&census.unknown_events).len() < (SHOWN + 1) * (LONGEST + 10));
        assert!(listed(&census.unknown_events).ends_with("88 more"));
    }
}
