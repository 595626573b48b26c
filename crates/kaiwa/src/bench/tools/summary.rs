//! All requests together: the figures, printed and as a page.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    ask::{Answer, Call},
    compare,
    requests::{Request, Requests},
};
use crate::{
    bench::{
        machine::Machine,
        report::{Headline, Page, Report, Section},
        statistics::{Distribution, Proportion, within},
    },
    exit::Exit,
    output::line,
};

/// A request, what would be right, and what came.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    said: String,
    expected: Option<Expected>,
    got: Vec<Call>,
    text: String,
    /// The one call is of the right tool; where none is right, that there is none.
    right_tool: bool,
    /// And it has the right arguments.
    right_arguments: bool,
    well_formed: usize,
    call_ms: Option<u64>,
    pub(super) error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Expected {
    tool: String,
    /// As the benchmark's list has them.
    arguments: Map<String, Value>,
}

impl Outcome {
    pub(super) fn new(requests: &Requests, request: &Request, answer: Answer) -> Self {
        let Answer {
            calls,
            text,
            call_ms,
            error,
        } = answer;
        let (right_tool, right_arguments) = match (&request.tool, calls.as_slice()) {
            _ if error.is_some() => (false, false),
            // To say nothing is no answer either.
            (None, []) => (!text.trim().is_empty(), !text.trim().is_empty()),
            (None, _) => (false, false),
            (Some(tool), [call]) if call.tool == *tool => {
                (true, compare::are_right(request, &call.arguments))
            }
            // The right call among others does more than was asked for.
            (Some(_), _) => (false, false),
        };
        let is_well_formed = |call: &&Call| requests.is_well_formed(&call.tool, &call.arguments);
        Self {
            said: request.say.clone(),
            expected: request.tool.clone().map(|tool| Expected {
                tool,
                arguments: request.arguments.clone(),
            }),
            right_tool,
            right_arguments,
            well_formed: calls.iter().filter(is_well_formed).count(),
            got: calls,
            text,
            call_ms,
            error,
        }
    }

    /// In a few words.
    pub(super) fn verdict(&self) -> &'static str {
        match (
            self.expected.is_some(),
            self.right_tool,
            self.right_arguments,
        ) {
            _ if self.error.is_some() => "failed",
            (false, true, _) => "right, no call",
            (false, false, _) if self.got.is_empty() => "no answer",
            (false, false, _) => "false call",
            (true, true, true) => "right",
            (true, true, false) => "wrong arguments",
            (true, false, _) if self.got.is_empty() => "no call",
            (true, false, _) => "wrong call",
        }
    }

    fn got(&self) -> String {
        if let Some(error) = &self.error {
            return error.clone();
        }
        match self.got.as_slice() {
            [] => self.text.trim().to_owned(),
            calls => {
                let calls = calls.iter();
                let calls = calls.map(|call| format!("{} {}", call.tool, call.arguments));
                calls.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

#[derive(Serialize)]
pub(super) struct Summary {
    machine: Machine,
    model: String,
    requests: usize,
    /// Of the requests that were answered and have a right tool, as are the next two.
    right_tool: Proportion,
    right_tool_and_arguments: Proportion,
    no_call: Proportion,
    /// Of all calls in answers.
    well_formed: Proportion,
    /// Of the requests that were answered and for which no tool is right.
    false_calls: Proportion,
    /// Of all requests.
    failed: Proportion,
    /// From `response.create` until a call was whole.
    call_ms: Option<Distribution>,
    outcomes: Vec<Outcome>,
}

impl Summary {
    pub(super) fn new(machine: Machine, model: String, outcomes: Vec<Outcome>) -> Self {
        let share = |of: &dyn Fn(&Outcome) -> bool, is: &dyn Fn(&Outcome) -> bool| {
            let of: Vec<&Outcome> = outcomes.iter().filter(|it| of(it)).collect();
            Proportion::new(of.iter().filter(|it| is(it)).count(), of.len())
        };
        let is_answered = |outcome: &Outcome| outcome.error.is_none();
        let with_tool = |outcome: &Outcome| is_answered(outcome) && outcome.expected.is_some();
        let without = |outcome: &Outcome| is_answered(outcome) && outcome.expected.is_none();
        let answered = || outcomes.iter().filter(|outcome| is_answered(outcome));
        Self {
            machine,
            model,
            requests: outcomes.len(),
            right_tool: share(&with_tool, &|it| it.right_tool),
            right_tool_and_arguments: share(&with_tool, &|it| it.right_arguments),
            no_call: share(&with_tool, &|it| it.got.is_empty()),
            well_formed: Proportion::new(
                answered().map(|it| it.well_formed).sum(),
                answered().map(|it| it.got.len()).sum(),
            ),
            false_calls: share(&without, &|it| !it.got.is_empty()),
            failed: share(&|_| true, &|it| it.error.is_some()),
            call_ms: Distribution::of(answered().filter_map(|it| it.call_ms)),
            outcomes,
        }
    }

    fn shares(&self) -> [(&'static str, Proportion); 6] {
        [
            ("right tool", self.right_tool),
            ("and right arguments", self.right_tool_and_arguments),
            ("no call", self.no_call),
            ("well-formed calls", self.well_formed),
            ("false calls", self.false_calls),
            ("failed", self.failed),
        ]
    }
}

impl Report for Summary {
    fn print(&self) -> Result<(), Exit> {
        line(self.machine.line())?;
        line(format_args!("{}, {} requests", self.model, self.requests))?;
        for (name, share) in self.shares() {
            if share.of > 0 {
                line(format_args!("{name:<20} {}", share.line()))?;
            }
        }
        match self.call_ms {
            Some(call_ms) => line(format_args!("{:<20} {} ms", "time to call", call_ms.line())),
            None => Ok(()),
        }
    }

    fn page(&self) -> Page {
        let shares = self.shares().into_iter().filter(|(_, share)| share.of > 0);
        let mut headlines: Vec<Headline> = shares
            .map(|(name, share)| {
                Headline::new(name, format!("{:.0} %", 100.0 * share.rate), share.line())
            })
            .collect();
        if let Some(ms) = self.call_ms {
            for (name, value, interval) in [
                ("time to call p50", ms.p50, ms.p50_interval),
                ("time to call p95", ms.p95, ms.p95_interval),
            ] {
                headlines.push(Headline::new(
                    name,
                    format!("{value} ms"),
                    within(interval) + " ms",
                ));
            }
        }
        let rows = self.outcomes.iter().map(|outcome| {
            vec![
                outcome.said.clone(),
                outcome.verdict().to_owned(),
                outcome.expected.as_ref().map_or_else(
                    || "none".to_owned(),
                    |it| format!("{} {}", it.tool, Value::Object(it.arguments.clone())),
                ),
                outcome.got(),
                outcome
                    .call_ms
                    .map_or_else(String::new, |ms| ms.to_string()),
            ]
        });
        Page {
            title: format!("Calls of tools, {}", self.model),
            lead: format!(
                "{} requests as people make them, over six tools; for some, none is right. Each \
                 is a session of its own. Intervals are of 95 %.",
                self.requests
            ),
            headlines,
            sections: vec![Section::table(
                "Every request",
                "In the expected arguments, of a list any is right, after ~ all words must occur, \
                 after = the sum must come to the same.",
                &["said", "verdict", "expected", "got", "ms to the call"],
                rows.collect(),
            )],
            machine: self.machine.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(tool: &str, arguments: &str) -> Call {
        Call {
            tool: tool.to_owned(),
            arguments: arguments.to_owned(),
        }
    }

    /// What becomes of the first request that has, or has not, a right tool.
    fn outcome(with_tool: bool, calls: Vec<Call>, error: Option<&str>) -> Outcome {
        let requests = Requests::built_in();
        let mut all = requests.all.iter();
        let request = all.find(|it| it.tool.is_some() == with_tool);
        let answer = Answer {
            call_ms: (!calls.is_empty()).then_some(100),
            calls,
            text: "Well.".to_owned(),
            error: error.map(str::to_owned),
        };
        Outcome::new(&requests, request.expect("there are both"), answer)
    }

    #[test]
    fn an_outcome_has_one_verdict() {
        let right = || call("get_weather", r#"{"city": "paris"}"#);
        for (with_tool, calls, error, verdict) in [
            (true, vec![right()], None, "right"),
            (
                true,
                vec![call("get_weather", "{}")],
                None,
                "wrong arguments",
            ),
            (true, vec![call("lights", "{}")], None, "wrong call"),
            (true, vec![right(), right()], None, "wrong call"),
            (true, vec![], None, "no call"),
            (true, vec![right()], Some("broke"), "failed"),
            (false, vec![], None, "right, no call"),
            (false, vec![right()], None, "false call"),
        ] {
            assert_eq!(outcome(with_tool, calls, error).verdict(), verdict);
        }
    }

    #[test]
    fn figures_are_of_what_they_say() {
        let outcomes = vec![
            outcome(
                true,
                vec![call("get_weather", r#"{"city": "Paris"}"#)],
                None,
            ),
            outcome(true, vec![call("get_weather", r#"{"city": "Rome"}"#)], None),
            outcome(true, vec![call("get_weather", "{")], None),
            outcome(true, vec![], None),
            outcome(false, vec![], None),
            outcome(false, vec![call("lights", "{}")], None),
            outcome(true, vec![call("lights", "{}")], Some("broke")),
            outcome(false, vec![], Some("broke")),
        ];
        let machine = Machine::new(Some(1), Vec::new());
        let summary = Summary::new(machine, "m".to_owned(), outcomes);
        let counts = summary.shares().map(|(_, share)| (share.count, share.of));
        assert_eq!(counts, [(3, 4), (1, 4), (1, 4), (2, 4), (1, 2), (2, 8)]);
        assert_eq!(summary.call_ms.map(|ms| ms.count), Some(4));
    }
}
