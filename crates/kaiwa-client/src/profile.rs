//! How a server wants to be spoken to.

use std::fmt;
use std::str::FromStr;

/// How a server wants to be spoken to: where its key goes, how it names the model, and
/// which dialect it speaks.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Profile {
    /// Azure by its host names, else OpenAI's way, and the beta dialect with a server that
    /// turns out to know only that.
    #[default]
    Auto,
    /// Azure: the key goes into `api-key`, and a URL with an `api-version` is of the time
    /// of the beta, when the model was a `deployment`.
    Azure,
    /// OpenAI before 2025: the beta dialect, asked for by `OpenAI-Beta: realtime=v1`.
    Beta,
    /// OpenAI and servers compatible with it.
    OpenAi,
}

impl Profile {
    /// The names that [`from_str`](Self::from_str) takes.
    pub const NAMES: &'static [&'static str] = &["auto", "azure", "beta", "openai"];

    /// The profile's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Azure => "azure",
            Self::Beta => "beta",
            Self::OpenAi => "openai",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        match name {
            "auto" => Ok(Self::Auto),
            "azure" => Ok(Self::Azure),
            "beta" => Ok(Self::Beta),
            "openai" => Ok(Self::OpenAi),
            _ => Err(UnknownProfile(name.to_owned())),
        }
    }
}

/// A name that is no profile's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no profile {0:?}; there are {names}", names = Profile::NAMES.join(", "))]
pub struct UnknownProfile(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_profiles_and_back() {
        for name in Profile::NAMES {
            assert_eq!(name.parse::<Profile>().expect(name).as_str(), *name);
        }
        let error = "gcp".parse::<Profile>().expect_err("no profile");
        assert_eq!(
            error.to_string(),
            "there is no profile \"gcp\"; there are auto, azure, beta, openai"
        );
    }
}
