//! What is asked, and what would be right.

use kaiwa_protocol::{FunctionTool, RawJson, Tool};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The requests of the benchmark, and the tools they are about.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Requests {
    #[serde(rename = "tool")]
    pub(super) tools: Vec<Declared>,
    #[serde(rename = "request")]
    pub(super) all: Vec<Request>,
}

/// A tool, as the model is told of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Declared {
    pub(super) name: String,
    description: String,
    parameters: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) say: String,
    /// The tool that is right; `None` where none is.
    pub(super) tool: Option<String>,
    /// The arguments that must be there.
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
    /// Arguments that may be there with any value.
    #[serde(default)]
    pub(super) free: Vec<String>,
}

impl Requests {
    pub(super) fn built_in() -> Self {
        toml::from_str(include_str!("requests.toml")).expect("a test reads the same text")
    }

    /// Leaves so many of the requests, evenly from all.
    pub(super) fn spread(&mut self, most: usize) {
        let all = self.all.len();
        let most = most.min(all);
        let chosen = |index: &usize| (index * most) / all != ((index + 1) * most) / all;
        let mut index = 0;
        self.all.retain(|_| {
            index += 1;
            chosen(&(index - 1))
        });
    }

    /// The tools as a session has them.
    pub(super) fn tools(&self) -> Vec<Tool> {
        let tools = self.tools.iter().map(|tool| {
            Tool::Function(FunctionTool {
                name: tool.name.as_str().into(),
                description: tool.description.as_str().into(),
                parameters: RawJson::from(tool.parameters.clone()).into(),
                ..FunctionTool::default()
            })
        });
        tools.collect()
    }

    /// Whether a call could be made: a tool that there is, and an object with the arguments that
    /// it needs and no others.
    pub(super) fn is_well_formed(&self, name: &str, arguments: &str) -> bool {
        let Some(tool) = self.tools.iter().find(|tool| tool.name == name) else {
            return false;
        };
        let Ok(given) = serde_json::from_str::<Map<String, Value>>(arguments) else {
            return false;
        };
        let properties = tool.parameters.get("properties");
        let required = tool.parameters.get("required").and_then(Value::as_array);
        let is_given = |name: &Value| name.as_str().is_some_and(|name| given.contains_key(name));
        given
            .keys()
            .all(|name| properties.is_some_and(|all| all.get(name).is_some()))
            && required.is_none_or(|names| names.iter().all(is_given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_make_sense() {
        let requests = Requests::built_in();
        assert_eq!(requests.tools.len(), 6);
        assert_eq!(requests.all.len(), 40);
        let none = requests.all.iter().filter(|it| it.tool.is_none()).count();
        assert_eq!(none, 6);
        for request in &requests.all {
            let Some(name) = &request.tool else {
                assert!(request.arguments.is_empty() && request.free.is_empty());
                continue;
            };
            let tool = requests.tools.iter().find(|tool| tool.name == *name);
            let tool = tool.expect(name);
            for argument in request.arguments.keys().chain(&request.free) {
                let known = tool.parameters["properties"].get(argument);
                assert!(known.is_some(), "{}: {argument}", request.say);
            }
            for needed in tool.parameters["required"].as_array().expect("a list") {
                let needed = needed.as_str().expect("a name");
                assert!(request.arguments.contains_key(needed), "{}", request.say);
            }
        }
    }

    #[test]
    fn fewer_requests_are_taken_from_everywhere() {
        for most in [1, 7, 39, 40, 100] {
            let mut requests = Requests::built_in();
            requests.spread(most);
            assert_eq!(requests.all.len(), most.min(40));
        }
        let mut requests = Requests::built_in();
        requests.spread(8);
        assert!(requests.all.iter().any(|request| request.tool.is_none()));
    }

    #[test]
    fn a_call_is_well_formed_when_it_could_be_made() {
        let requests = Requests::built_in();
        for (name, arguments, expected) in [
            ("set_timer", r#"{"minutes": 5}"#, true),
            ("set_timer", r#"{"minutes": 5, "label": "tea"}"#, true),
            ("set_timer", r#"{"label": "tea"}"#, false),
            ("set_timer", r#"{"minutes": 5, "seconds": 1}"#, false),
            ("set_timer", r#"{"minutes": 5"#, false),
            ("set_timer", "[5]", false),
            ("start_timer", r#"{"minutes": 5}"#, false),
        ] {
            assert_eq!(
                requests.is_well_formed(name, arguments),
                expected,
                "{name} {arguments}"
            );
        }
    }
}
