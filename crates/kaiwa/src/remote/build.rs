//! Remote engines, made and asked whether they are there.

use std::{sync::Arc, time::Duration};

use kaiwa_engine::{
    EngineError, EngineErrorKind, LanguageModel, Synthesizer, Transcriber,
    remote::{
        Known, LanguageModelOptions, Limits, Network, RemoteLanguageModel, RemoteSynthesizer,
        RemoteTranscriber, SpeechFormat, SynthesizerOptions,
    },
};

use super::{Elsewhere, RemoteArgs, args::Sound};
use crate::{
    exit::{Code, Exit},
    output,
};

/// Makes remote engines, which share a thread.
#[derive(Default)]
pub(crate) struct Builder(Option<Network>);

impl Builder {
    /// The language model there. Nobody is there, or the key is refused: an error, but for an
    /// engine with a fallback, which is told of and made all the same.
    pub(crate) fn language_model(
        &mut self,
        arguments: &RemoteArgs,
        there: &Elsewhere,
    ) -> Result<Arc<dyn LanguageModel>, Exit> {
        let options = LanguageModelOptions {
            temperature: arguments.llm_temperature,
            stop: arguments.llm_stop.clone(),
        };
        let network = self.network()?;
        let engine =
            RemoteLanguageModel::new(there.endpoint.clone(), options, limits(there), &network)
                .map_err(|error| refusal(there, &error))?;
        judge(there, engine.check())?;
        Ok(Arc::new(engine))
    }

    /// Speech to text there.
    pub(crate) fn transcriber(&mut self, there: &Elsewhere) -> Result<Arc<dyn Transcriber>, Exit> {
        let network = self.network()?;
        let engine = RemoteTranscriber::new(there.endpoint.clone(), limits(there), &network)
            .map_err(|error| refusal(there, &error))?;
        judge(there, engine.check())?;
        Ok(Arc::new(engine))
    }

    /// Text to speech there.
    pub(crate) fn synthesizer(
        &mut self,
        arguments: &RemoteArgs,
        there: &Elsewhere,
    ) -> Result<Arc<dyn Synthesizer>, Exit> {
        let defaults = SynthesizerOptions::default();
        let mut options = SynthesizerOptions {
            format: match arguments.tts_format {
                Some(Sound::Wav) => SpeechFormat::Wav,
                Some(Sound::Pcm) | None => SpeechFormat::Pcm,
            },
            rate_hz: arguments.tts_rate.unwrap_or(defaults.rate_hz),
            ..defaults
        };
        for voice in &arguments.tts_voice {
            match voice.split_once('=') {
                Some((name, voice)) => options.voices.push((name.to_owned(), voice.to_owned())),
                None => options.voice = Some(voice.clone()),
            }
        }
        let network = self.network()?;
        let engine =
            RemoteSynthesizer::new(there.endpoint.clone(), options, limits(there), &network)
                .map_err(|error| refusal(there, &error))?;
        judge(there, engine.check())?;
        Ok(Arc::new(engine))
    }

    fn network(&mut self) -> Result<Network, Exit> {
        let network = match &self.0 {
            Some(network) => network,
            None => {
                let network = Network::start().map_err(|error| Exit::new(Code::Failure, error))?;
                self.0.insert(network)
            }
        };
        Ok(network.clone())
    }
}

fn limits(there: &Elsewhere) -> Limits {
    let limits = Limits::default();
    Limits {
        silence: there.timeout.map_or(limits.silence, Duration::from_secs),
        // Who has somebody else need not wait.
        attempts: if there.falls_back { 1 } else { limits.attempts },
        ..limits
    }
}

/// What a server said when it was asked for its models.
fn judge(there: &Elsewhere, known: Result<Known, EngineError>) -> Result<(), Exit> {
    match known {
        Ok(Known::Listed | Known::Unsaid) => {}
        Ok(Known::Unlisted(sentence)) => {
            output::note(format_args!("kaiwa: {sentence} (--{}-model)", there.role));
        }
        Err(error) if there.falls_back => {
            output::note(format_args!(
                "kaiwa: {error}; the fallback works until then"
            ));
        }
        Err(error) => return Err(refusal(there, &error)),
    }
    Ok(())
}

fn refusal(there: &Elsewhere, error: &EngineError) -> Exit {
    let role = there.role;
    let (code, hint) = match error.kind() {
        EngineErrorKind::Unreachable | EngineErrorKind::Timeout => (
            Code::Connection,
            format!("start that server, correct --{role}-url, or add --{role}-fallback local"),
        ),
        EngineErrorKind::Unauthorized => (
            Code::Unauthorized,
            format!(
                "--{role}-key-env names the environment variable with the key, which has to be one \
                 that may do this"
            ),
        ),
        _ => (
            Code::Failure,
            format!("docs/engines.md says how --{role}-url is given"),
        ),
    };
    Exit::new(code, error).with_hint(hint)
}
