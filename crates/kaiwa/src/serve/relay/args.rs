//! `--upstream` and its like.

use std::path::PathBuf;

use clap::Args;
use kaiwa_client::{Profile, costs::Usd};

/// How the options stand together in the help.
const HEADING: &str = "Relay";

/// A Realtime server behind this one.
#[derive(Args, Clone, Debug)]
pub(crate) struct RelayArgs {
    /// Serve no engines, but pass every session on to this Realtime endpoint, such as
    /// wss://api.openai.com/v1/realtime, with keys, limits and budgets of this server.
    #[arg(long, value_name = "URL", help_heading = HEADING)]
    pub(crate) upstream: Option<String>,

    /// Name of an environment variable with the key for --upstream; the default is
    /// KAIWA_UPSTREAM_KEY, and for OpenAI then OPENAI_API_KEY.
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    pub(crate) upstream_key_env: Option<String>,

    /// How the upstream wants to be spoken to: auto, azure, beta or openai.
    #[arg(long, value_name = "NAME", default_value = "auto", help_heading = HEADING)]
    pub(crate) upstream_profile: Profile,

    /// Send the upstream's key over an unencrypted connection to a public address, too.
    #[arg(long, help_heading = HEADING)]
    pub(crate) upstream_insecure: bool,

    /// Keep what was spent with each key in this file, so that a restart does not forget it.
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    pub(crate) relay_state: Option<PathBuf>,

    /// What a response is taken to cost before it is known, in US dollars, unless one of the
    /// same key has cost more.
    #[arg(long, value_name = "USD", default_value = "0.05", help_heading = HEADING)]
    pub(crate) relay_reserve: Usd,

    /// What the upstream's models cost, before the prices kaiwa knows.
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    pub(crate) prices: Option<PathBuf>,
}
