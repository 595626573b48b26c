//! What the endpoint's answers cost, and whether a budget can be kept to.

use std::{fs, path::Path};

use kaiwa_client::{CostConfig, Transcription, costs::Prices};

use super::plan::Target;
use crate::{
    cli::TalkArgs,
    exit::{Code, Exit},
};

/// Prices for whoever is talked to; `None` for the embedded server, which costs nothing.
pub(super) fn config(target: &Target, arguments: &TalkArgs) -> Result<Option<CostConfig>, Exit> {
    let prices = match &arguments.prices {
        Some(path) => read(path)?.or(Prices::built_in()),
        None => Prices::built_in(),
    };
    let Target::Remote(endpoint) = target else {
        return Ok(None);
    };
    let host = endpoint.host().unwrap_or_default();
    let costs = CostConfig {
        prices: prices.at(&host),
        model: endpoint.asked_model(),
        budget: arguments.budget,
    };
    if costs.budget.is_some() {
        let model = costs.model.clone();
        for name in [model, Transcription::default().model] {
            let name = name.unwrap_or_else(|| "a model without a name".to_owned());
            if costs.prices.of(&name).is_none() {
                return Err(Exit::new(
                    Code::Usage,
                    format!("--budget cannot be kept to: no price is known for {name} at {host}"),
                )
                .with_hint(
                    "write it into a file for --prices as docs/costs.md shows, or leave --budget out",
                ));
            }
        }
    }
    Ok(Some(costs))
}

/// Reads a file of prices.
pub(crate) fn read(path: &Path) -> Result<Prices, Exit> {
    let unusable = |error: &dyn std::fmt::Display| {
        let path = path.display();
        Exit::new(
            Code::Usage,
            format!("cannot use the prices {path}: {error}"),
        )
        .with_hint("docs/costs.md shows what a file of prices looks like")
    };
    let text = fs::read_to_string(path).map_err(|error| unusable(&error))?;
    Prices::parse(&text).map_err(|error| unusable(&error))
}

#[cfg(test)]
mod tests {
    use kaiwa_client::Endpoint;

    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn arguments(flags: &[&str]) -> TalkArgs {
        let words = ["kaiwa", "talk"].iter().chain(flags);
        match Cli::try_parse_from(words).expect("flags").command {
            Command::Talk(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    fn remote(url: &str, model: Option<&str>) -> Target {
        let mut endpoint = Endpoint::new(url);
        endpoint.model = model.map(str::to_owned);
        Target::Remote(endpoint)
    }

    #[test]
    fn a_budget_is_refused_where_it_cannot_be_counted() {
        let openai = "wss://api.openai.com/v1/realtime";
        let budget = arguments(&["--budget", "0.50"]);
        for (target, missing) in [
            (remote(openai, Some("gpt-realtime")), None),
            (remote(&format!("{openai}?model=gpt-realtime"), None), None),
            (Target::Embedded, None),
            (
                remote(openai, Some("gpt-9")),
                Some("gpt-9 at api.openai.com"),
            ),
            (remote(openai, None), Some("a model without a name")),
            // What OpenAI asks is not what others ask.
            (
                remote("ws://127.0.0.1:8080/v1", Some("gpt-realtime")),
                Some("gpt-realtime at 127.0.0.1"),
            ),
        ] {
            let refused = config(&target, &budget).err();
            assert_eq!(refused.is_some(), missing.is_some(), "{target:?}");
            if let (Some(exit), Some(missing)) = (refused, missing) {
                assert_eq!(exit.code, Code::Usage);
                assert!(exit.to_string().contains(missing), "{exit}");
                assert!(exit.to_string().contains("--prices"), "{exit}");
            }
            let without = config(&target, &arguments(&[])).expect("no budget, no refusal");
            assert_eq!(without.is_some(), matches!(target, Target::Remote(_)));
        }
    }

    #[test]
    fn a_file_of_prices_that_cannot_be_used_is_named() {
        let target = remote("ws://127.0.0.1:8080/v1", None);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("prices.toml");
        let flags = ["--prices", path.to_str().expect("a name")];
        let shown = config(&target, &arguments(&flags)).expect_err("no file");
        assert_eq!(shown.code, Code::Usage);
        fs::write(&path, "[[model]]\nprice = 5\n").expect("written");
        let shown = config(&target, &arguments(&flags)).expect_err("no price");
        assert!(shown.to_string().contains("line 2"), "{shown}");
    }
}
