//! The price table: which model costs what, where.

use serde::Deserialize;

use super::usd::Usd;

/// The table this crate comes with.
const BUILT_IN: &str = include_str!("prices.toml");

/// What models cost. Its form is that of the built-in table, `prices.toml` in this crate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Prices {
    /// Of two entries that fit equally well, the first counts.
    entries: Vec<Price>,
}

/// What one model costs, in US dollars.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Price {
    /// The model, which stands for its dated snapshots too.
    pub name: String,
    /// The host that asks this price; `None` for all.
    pub at: Option<String>,
    /// A million tokens of text seen.
    pub text_input: Option<Usd>,
    /// A million tokens of text seen and cached; as fresh ones where it is not known.
    pub text_cached: Option<Usd>,
    /// A million tokens of text made.
    pub text_output: Option<Usd>,
    /// A million tokens of sound heard.
    pub audio_input: Option<Usd>,
    /// A million tokens of sound heard and cached; as fresh ones where it is not known.
    pub audio_cached: Option<Usd>,
    /// A million tokens of sound made.
    pub audio_output: Option<Usd>,
    /// A million tokens of pictures seen.
    pub image_input: Option<Usd>,
    /// A million tokens of pictures seen and cached; as fresh ones where it is not known.
    pub image_cached: Option<Usd>,
    /// A minute of sound, for transcription billed by its length.
    pub per_minute: Option<Usd>,
    /// Tokens that the model sees at most.
    pub context: Option<u64>,
    /// Tokens that the model makes at most in one response.
    pub max_output: Option<u64>,
    /// The day on which the source said so, as in `2026-11-23`.
    pub as_of: String,
    /// Where it is said.
    pub source: String,
}

/// A table as it is in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    model: Vec<Price>,
}

impl Prices {
    /// The table this crate comes with: OpenAI's prices, at OpenAI.
    #[must_use]
    pub fn built_in() -> Self {
        // A test reads it; a table that nobody could read is a table without prices.
        Self::parse(BUILT_IN).unwrap_or_default()
    }

    /// Reads a table.
    ///
    /// # Errors
    ///
    /// When the text is not TOML, or not a table of prices.
    pub fn parse(text: &str) -> Result<Self, PricesError> {
        let file: File = toml::from_str(text).map_err(|error| PricesError {
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            reason: error.message().replace('\n', "; "),
        })?;
        Ok(Self {
            entries: file.model,
        })
    }

    /// This table, with another's prices where this has none.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }

    /// What holds at this host alone.
    #[must_use]
    pub fn at(mut self, host: &str) -> Self {
        self.entries.retain(|price| {
            let at = price.at.as_deref();
            at.is_none_or(|at| at.eq_ignore_ascii_case(host))
        });
        self
    }

    /// The price of a model: its own, or else that of the model it is a dated snapshot of.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<&Price> {
        let named = |name: &str| self.entries.iter().find(|price| price.name == name);
        named(model).or_else(|| named(undated(model)?))
    }
}

/// `gpt-realtime` of `gpt-realtime-2025-08-28`.
fn undated(model: &str) -> Option<&str> {
    const DATE: &[u8] = b"-dddd-dd-dd";
    let (name, date) = model.split_at_checked(model.len().checked_sub(DATE.len())?)?;
    let fits = |(byte, form): (u8, &u8)| match form {
        b'd' => byte.is_ascii_digit(),
        _ => byte == *form,
    };
    date.bytes().zip(DATE).all(fits).then_some(name)
}

/// The line, from 1, of a place in a text.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    before.filter(|&&byte| byte == b'\n').count() + 1
}

/// Why a text is no table of prices.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct PricesError {
    /// The line at fault, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_price_has_a_date_a_source_and_a_seller() {
        let prices = Prices::parse(BUILT_IN).expect("a table");
        assert!(prices.entries.len() >= 10);
        for price in &prices.entries {
            let date = format!("-{}", price.as_of);
            assert_eq!(undated(&date), Some(""), "{}", price.name);
            assert!(price.source.contains("https://"), "{}", price.name);
            assert!(price.at.is_some(), "{}", price.name);
            let sold_by_token = price.text_input.is_some() && price.audio_output.is_some();
            assert!(
                sold_by_token || price.per_minute.is_some(),
                "{}",
                price.name
            );
            let twins = prices.entries.iter().filter(|p| p.name == price.name);
            assert_eq!(twins.count(), 1, "{} stands twice", price.name);
        }
    }

    #[test]
    fn a_name_stands_for_its_dated_snapshots_and_for_nothing_else() {
        let prices = Prices::built_in();
        for (model, name) in [
            ("gpt-realtime", Some("gpt-realtime")),
            ("gpt-realtime-2025-08-28", Some("gpt-realtime")),
            ("gpt-realtime-mini-2025-12-15", Some("gpt-realtime-mini")),
            ("gpt-realtime-2", Some("gpt-realtime-2")),
            ("gpt-realtime-3", None),
            ("gpt-realtime-2025-08-2x", None),
            ("2025-08-28", None),
            ("日本語-2025-08-28", None),
            ("", None),
        ] {
            let found = prices.of(model).map(|price| price.name.as_str());
            assert_eq!(found, name, "{model}");
        }
    }

    #[test]
    fn a_price_holds_at_its_host_and_another_table_goes_before() {
        let own = "[[model]]\nname = \"gpt-realtime\"\naudio_output = \"1\"\nas_of = \"2026-01-01\"\nsource = \"the contract\"\n";
        let own = Prices::parse(own).expect("a table");
        let both = own.or(Prices::built_in());
        let price = |host| both.clone().at(host).of("gpt-realtime").cloned();
        let contract = price("api.openai.com").expect("a price");
        assert_eq!(contract.source, "the contract");
        assert_eq!(price("127.0.0.1"), Some(contract));
        let built_in = Prices::built_in();
        assert!(
            built_in
                .clone()
                .at("API.openai.com")
                .of("whisper-1")
                .is_some()
        );
        assert!(built_in.at("127.0.0.1").of("whisper-1").is_none());
    }

    #[test]
    fn a_bad_table_is_refused_with_its_line() {
        for (text, line, part) in [
            ("\n\n[[model]]\nnmae = \"a\"\n", 4, "nmae"),
            ("[[model]]\nname = \"a\"\ntext_input = 4.0\n", 3, "string"),
            (
                "[[model]]\nname = \"a\"\ntext_input = \"4,0\"\n",
                3,
                "US dollars",
            ),
            ("[[model]]\nname = \"a\"\n", 1, "as_of"),
            ("model = 5", 1, ""),
            ("[[model]", 1, ""),
        ] {
            let error = Prices::parse(text).expect_err(text);
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(error.reason.contains(part), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
