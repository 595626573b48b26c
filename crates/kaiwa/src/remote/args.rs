//! `--llm-url` and its like.

use clap::{Args, ValueEnum};
use kaiwa_engine::remote::Endpoint;

use crate::exit::{Code, Exit};

/// How the options stand together in the help.
const HEADING: &str = "Remote engines";

/// Engines behind HTTP servers with OpenAI's routes, for each role on its own.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RemoteArgs {
    /// Where the language model is; the default is openai where there is a --llm-url.
    #[arg(long, value_enum, help_heading = HEADING)]
    pub(crate) llm_kind: Option<Kind>,

    /// Server of the language model, such as http://127.0.0.1:11434/v1: POST /chat/completions.
    #[arg(long, value_name = "URL", help_heading = HEADING)]
    pub(crate) llm_url: Option<String>,

    /// The language model's name there.
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    pub(crate) llm_model: Option<String>,

    /// Name of an environment variable with the key for --llm-url.
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    pub(crate) llm_key_env: Option<String>,

    /// Seconds the server of the language model may say nothing; the default is 30.
    #[arg(long, value_name = "SECONDS", value_parser = seconds(), help_heading = HEADING)]
    pub(crate) llm_timeout: Option<u64>,

    /// Who answers when the server of the language model fails before its first word; without
    /// it nobody does.
    #[arg(long, value_enum, help_heading = HEADING)]
    pub(crate) llm_fallback: Option<Second>,

    /// How freely a remote language model draws, 0 to 2; without it the server decides.
    #[arg(long, value_name = "T", value_parser = temperature, help_heading = HEADING)]
    pub(crate) llm_temperature: Option<f32>,

    /// A text that ends an answer of a remote language model. May be repeated.
    #[arg(long, value_name = "TEXT", help_heading = HEADING)]
    pub(crate) llm_stop: Vec<String>,

    /// Where speech to text is; the default is openai where there is a --stt-url.
    #[arg(long, value_enum, help_heading = HEADING)]
    pub(crate) stt_kind: Option<Kind>,

    /// Server of speech to text: POST /audio/transcriptions.
    #[arg(long, value_name = "URL", help_heading = HEADING)]
    pub(crate) stt_url: Option<String>,

    /// The speech-to-text model's name there.
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    pub(crate) stt_model: Option<String>,

    /// Name of an environment variable with the key for --stt-url.
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    pub(crate) stt_key_env: Option<String>,

    /// Seconds the server of speech to text may say nothing; the default is 30.
    #[arg(long, value_name = "SECONDS", value_parser = seconds(), help_heading = HEADING)]
    pub(crate) stt_timeout: Option<u64>,

    /// Who listens when the server of speech to text fails; without it nobody does.
    #[arg(long, value_enum, help_heading = HEADING)]
    pub(crate) stt_fallback: Option<Second>,

    /// Where text to speech is; the default is openai where there is a --tts-url.
    #[arg(long, value_enum, help_heading = HEADING)]
    pub(crate) tts_kind: Option<Kind>,

    /// Server of text to speech: POST /audio/speech.
    #[arg(long, value_name = "URL", help_heading = HEADING)]
    pub(crate) tts_url: Option<String>,

    /// The text-to-speech model's name there.
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    pub(crate) tts_model: Option<String>,

    /// Name of an environment variable with the key for --tts-url.
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    pub(crate) tts_key_env: Option<String>,

    /// Seconds the server of text to speech may say nothing; the default is 30.
    #[arg(long, value_name = "SECONDS", value_parser = seconds(), help_heading = HEADING)]
    pub(crate) tts_timeout: Option<u64>,

    /// Who speaks when the server of text to speech fails before its first sound; without it
    /// nobody does.
    #[arg(long, value_enum, help_heading = HEADING)]
    pub(crate) tts_fallback: Option<Second>,

    /// What is asked of the server of text to speech; the default is pcm.
    #[arg(long, value_enum, help_heading = HEADING)]
    pub(crate) tts_format: Option<Sound>,

    /// Samples a second of its PCM; the default is 24000.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(8000..=96_000),
        help_heading = HEADING)]
    pub(crate) tts_rate: Option<u32>,

    /// What the server calls a voice that clients call otherwise, as alloy=af_sky; without "="
    /// the voice for all other names. May be repeated; a name nobody mentions is sent as it is.
    #[arg(long, value_name = "[NAME=]VOICE", help_heading = HEADING)]
    pub(crate) tts_voice: Vec<String>,
}

/// Where an engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// In this process, whatever the url.
    Local,
    /// Behind an HTTP server with OpenAI's routes.
    Openai,
}

/// Who works when a remote engine fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Second {
    /// The engine in this process.
    Local,
    /// Nobody.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sound {
    Pcm,
    Wav,
}

/// A remote engine, as far as all roles are alike.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    /// The role's prefix among the options: `llm`.
    pub(crate) role: &'static str,
    pub(crate) endpoint: Endpoint,
    /// Seconds the server may say nothing.
    pub(crate) timeout: Option<u64>,
    /// Whether the engine in this process works when it fails.
    pub(crate) falls_back: bool,
}

/// What one role's options say.
struct Said<'a> {
    role: &'static str,
    kind: Option<Kind>,
    url: Option<&'a str>,
    model: Option<&'a str>,
    key_env: Option<&'a str>,
    timeout: Option<u64>,
    fallback: Option<Second>,
    /// An option that was given and means nothing without an url.
    further: Option<&'static str>,
}

impl RemoteArgs {
    /// The name of the variable with a role's key; `role` is its prefix among the options.
    pub(crate) fn key_env(&mut self, role: &str) -> &mut Option<String> {
        match role {
            "llm" => &mut self.llm_key_env,
            "stt" => &mut self.stt_key_env,
            _ => &mut self.tts_key_env,
        }
    }

    /// The remote language model, if there is one.
    pub(crate) fn llm(&self) -> Result<Option<Elsewhere>, Exit> {
        let further = self.llm_temperature.map(|_| "temperature");
        elsewhere(&Said {
            role: "llm",
            kind: self.llm_kind,
            url: self.llm_url.as_deref(),
            model: self.llm_model.as_deref(),
            key_env: self.llm_key_env.as_deref().filter(|name| !name.is_empty()),
            timeout: self.llm_timeout,
            fallback: self.llm_fallback,
            further: further.or_else(|| (!self.llm_stop.is_empty()).then_some("stop")),
        })
    }

    /// Remote speech to text, if there is some.
    pub(crate) fn stt(&self) -> Result<Option<Elsewhere>, Exit> {
        elsewhere(&Said {
            role: "stt",
            kind: self.stt_kind,
            url: self.stt_url.as_deref(),
            model: self.stt_model.as_deref(),
            key_env: self.stt_key_env.as_deref().filter(|name| !name.is_empty()),
            timeout: self.stt_timeout,
            fallback: self.stt_fallback,
            further: None,
        })
    }

    /// Remote text to speech, if there is some.
    pub(crate) fn tts(&self) -> Result<Option<Elsewhere>, Exit> {
        let further = self.tts_format.map(|_| "format");
        let further = further.or_else(|| self.tts_rate.map(|_| "rate"));
        elsewhere(&Said {
            role: "tts",
            kind: self.tts_kind,
            url: self.tts_url.as_deref(),
            model: self.tts_model.as_deref(),
            key_env: self.tts_key_env.as_deref().filter(|name| !name.is_empty()),
            timeout: self.tts_timeout,
            fallback: self.tts_fallback,
            further: further.or_else(|| (!self.tts_voice.is_empty()).then_some("voice")),
        })
    }

    /// The names of the variables with keys.
    pub(crate) fn key_envs(&self) -> impl Iterator<Item = &str> {
        let keys = [&self.llm_key_env, &self.stt_key_env, &self.tts_key_env];
        keys.into_iter().flatten().map(String::as_str)
    }

    /// Whether a server outside of one's own network transcribes, answers or speaks: it is likely
    /// to be paid by the request.
    pub(crate) fn is_billed(&self) -> Result<bool, Exit> {
        let engines = [self.llm()?, self.stt()?, self.tts()?];
        let mut engines = engines.iter().flatten();
        Ok(engines.any(|engine| !engine.endpoint.is_private()))
    }
}

fn elsewhere(said: &Said<'_>) -> Result<Option<Elsewhere>, Exit> {
    let role = said.role;
    let usage =
        |what: String| Exit::new(Code::Usage, what).with_hint("docs/engines.md has examples");
    let url = match (said.kind, said.url) {
        (Some(Kind::Local), _) => return Ok(None),
        (Some(Kind::Openai), None) => {
            return Err(usage(format!("--{role}-kind openai needs a --{role}-url")));
        }
        (_, Some(url)) => url,
        (None, None) => {
            let orphan = [
                said.model.map(|_| "model"),
                said.key_env.map(|_| "key-env"),
                said.timeout.map(|_| "timeout"),
                said.fallback.map(|_| "fallback"),
                said.further,
            ];
            return match orphan.into_iter().flatten().next() {
                Some(option) => Err(usage(format!(
                    "--{role}-{option} is about a remote engine: it needs a --{role}-url"
                ))),
                None => Ok(None),
            };
        }
    };
    let model = said.model.ok_or_else(|| {
        usage(format!(
            "--{role}-url needs a --{role}-model, the model's name there"
        ))
    })?;
    let refuse = |error: kaiwa_engine::EngineError| usage(format!("--{role}-url: {error}"));
    let mut endpoint = Endpoint::new(url, model).map_err(refuse)?;
    if let Some(name) = said.key_env {
        let key = std::env::var(name).map_err(|_| {
            usage(format!(
                "the environment variable {name} of --{role}-key-env is not set"
            ))
        })?;
        endpoint = endpoint.with_key(&key).map_err(refuse)?;
    }
    Ok(Some(Elsewhere {
        role,
        endpoint,
        timeout: said.timeout,
        falls_back: said.fallback == Some(Second::Local),
    }))
}

fn seconds() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=600)
}

fn temperature(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if (0.0..=2.0).contains(&value) => Ok(value),
        _ => Err("expected 0 to 2".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: &RemoteArgs) -> String {
        let exit = arguments.llm().expect_err("a mistake");
        assert_eq!(exit.code, Code::Usage);
        exit.message
    }

    #[test]
    fn an_engine_is_elsewhere_when_it_has_an_url() {
        let mut arguments = RemoteArgs::default();
        assert!(arguments.llm().expect("nothing said").is_none());
        arguments.llm_url = Some("http://127.0.0.1:11434".into());
        assert!(refusal(&arguments).contains("--llm-model"));
        arguments.llm_model = Some("qwen3:8b".into());
        let engine = arguments.llm().expect("an engine").expect("elsewhere");
        assert_eq!(engine.endpoint.host(), "127.0.0.1:11434");
        assert!(!engine.falls_back);
        assert!(!arguments.is_billed().expect("an engine"));
        arguments.llm_kind = Some(Kind::Local);
        assert!(arguments.llm().expect("nothing said").is_none());
    }

    #[test]
    fn options_that_would_mean_nothing_are_refused() {
        let arguments = RemoteArgs {
            llm_timeout: Some(5),
            ..RemoteArgs::default()
        };
        assert!(refusal(&arguments).starts_with("--llm-timeout is about a remote engine"));
        let arguments = RemoteArgs {
            llm_stop: vec!["x".into()],
            ..RemoteArgs::default()
        };
        assert!(refusal(&arguments).starts_with("--llm-stop "));
        let arguments = RemoteArgs {
            llm_kind: Some(Kind::Openai),
            ..RemoteArgs::default()
        };
        assert!(refusal(&arguments).contains("needs a --llm-url"));
        let arguments = RemoteArgs {
            tts_rate: Some(8000),
            ..RemoteArgs::default()
        };
        let exit = arguments.tts().expect_err("a mistake");
        assert!(exit.message.starts_with("--tts-rate "), "{exit}");
    }

    #[test]
    fn a_public_server_is_likely_to_be_paid() {
        let arguments = RemoteArgs {
            stt_url: Some("https://api.example.com/v1".into()),
            stt_model: Some("whisper-1".into()),
            ..RemoteArgs::default()
        };
        assert!(arguments.is_billed().expect("an engine"));
    }

    #[test]
    fn a_key_is_named_and_not_shown() {
        let arguments = RemoteArgs {
            llm_url: Some("http://gpu:1".into()),
            llm_model: Some("m".into()),
            llm_key_env: Some("KAIWA_TEST_NO_SUCH_VARIABLE".into()),
            ..RemoteArgs::default()
        };
        assert_eq!(
            refusal(&arguments),
            "the environment variable KAIWA_TEST_NO_SUCH_VARIABLE of --llm-key-env is not set"
        );
    }
}
