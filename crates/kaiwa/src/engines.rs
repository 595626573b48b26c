//! From names on the command line to engines a server can run on.

use std::{num::NonZeroUsize, ops::ControlFlow, path::Path, sync::Arc};

use kaiwa_audio::{Resampler, WIRE_RATE_HZ};
#[cfg(any(feature = "llama", feature = "whisper"))]
use kaiwa_engine::models::ModelRole;
use kaiwa_engine::{
    Cancel, ComputeBudget, EngineError, LanguageModel, Synthesizer, Transcriber, VoiceSpec,
    models::Store,
    scripted::{Script, ScriptedEngines},
    silero::SileroModel,
    smart_turn::SmartTurn,
};
use kaiwa_server::{Engines, ServerConfig};

use crate::{
    cli::{EngineArgs, EngineKind, Speculation},
    exit::{Code, Exit},
    fetch::{self, Attendant},
};

pub(crate) const VOICE_ACTIVITY: &str = "silero-vad";
pub(crate) const END_OF_TURN: &str = "smart-turn-v3.2";
/// The assistant's voice.
pub(crate) const VOICE: &str = "hibari";

/// The second voice, which the demo's user speaks with.
pub(crate) const USER_VOICE: &str = "piper-joe";

/// What a conversation needs unless other models are named.
pub(crate) const DEFAULT_MODELS: &[&str] = &[
    VOICE_ACTIVITY,
    END_OF_TURN,
    "whisper-tiny.en",
    "smollm2-135m",
    VOICE,
];

/// The roles whose engines a build may leave out: what, feature, whether it is here.
const BUILT: [(&str, &str, bool); 3] = [
    ("speech to text", "whisper", cfg!(feature = "whisper")),
    ("a language model", "llama", cfg!(feature = "llama")),
    ("text to speech", "tts", cfg!(feature = "tts")),
];

/// Voices of the hosted service. Clients hard-code them; the local default voice speaks for
/// them.
const HOSTED_VOICES: [&str; 10] = [
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
];

/// How a server on these engines is configured, unless somebody says otherwise.
pub(crate) fn server_config(engines: &Engines, arguments: &EngineArgs) -> ServerConfig {
    let mut config = ServerConfig::default();
    match (arguments.speculate, arguments.engine) {
        (Some(Speculation(ahead_ms)), _) => config.session.ahead_ms = ahead_ms,
        (None, EngineKind::Scripted) => config.session.ahead_ms = None,
        (None, EngineKind::Local) => {}
    }
    config.session.voices = engines.synthesizer.voices();
    config
        .session
        .voices
        .extend(HOSTED_VOICES.map(str::to_owned));
    config
}

/// The models of the store that local engines need.
pub(crate) fn needed(arguments: &EngineArgs) -> Vec<String> {
    let mut needed = [VOICE_ACTIVITY, END_OF_TURN, &arguments.stt, VOICE]
        .map(str::to_owned)
        .to_vec();
    if !is_file(&arguments.llm) {
        needed.push(arguments.llm.clone());
    }
    needed
}

/// Fetches what is missing (after saying so) and loads the engines.
///
/// `extra` names models to have besides, whose voices are then there too.
pub(crate) fn load(
    arguments: &EngineArgs,
    extra: &[&str],
    attendant: &mut dyn Attendant,
) -> Result<Engines, Exit> {
    match arguments.engine {
        EngineKind::Local => local(arguments, extra, attendant),
        EngineKind::Scripted => scripted(arguments.script.as_deref()),
    }
}

fn scripted(script: Option<&Path>) -> Result<Engines, Exit> {
    let script = match script {
        Some(path) => Script::read(path).map_err(|error| Exit::new(Code::Input, error))?,
        None => Script::default(),
    };
    let engines = ScriptedEngines::new(script);
    let voice_activity = engines.clone();
    Ok(Engines {
        voice_activity: Arc::new(move || Ok(Box::new(voice_activity.voice_activity()))),
        end_of_turn: Some(Arc::new(engines.end_of_turn())),
        transcriber: Arc::new(engines.transcriber()),
        language_model: Arc::new(engines.language_model()),
        synthesizer: Arc::new(engines.synthesizer()),
    })
}

fn local(
    arguments: &EngineArgs,
    extra: &[&str],
    attendant: &mut dyn Attendant,
) -> Result<Engines, Exit> {
    if arguments.script.is_some() {
        return Err(Exit::new(
            Code::Usage,
            "--script plays only with --engine scripted",
        ));
    }
    // Nothing is fetched for engines that this build does not have.
    for (what, feature, built) in BUILT {
        if !built {
            return Err(built_without(what, feature));
        }
    }
    let store = Store::open_default()?;
    let needed = needed(arguments);
    let mut needed: Vec<&str> = needed.iter().map(String::as_str).collect();
    needed.extend(extra);
    fetch::provide(&store, &needed, arguments.yes, attendant)?;

    attendant.loading();
    let budget = ComputeBudget::new(arguments.threads);
    let detector = SileroModel::load(store.dir(VOICE_ACTIVITY)?, &budget)?;
    let judge = SmartTurn::load(store.dir(END_OF_TURN)?, budget.clone())?;
    let voices = [&[VOICE], extra].concat();
    Ok(Engines {
        voice_activity: Arc::new(move || Ok(Box::new(detector.detector()))),
        end_of_turn: Some(Arc::new(judge)),
        transcriber: transcriber(&store, &arguments.stt, &budget)?,
        language_model: language_model(&store, &arguments.llm, &budget)?,
        synthesizer: synthesizer(&store, &voices, &budget)?,
    })
}

/// The engines that decide when a turn is over.
pub(crate) struct Listening {
    pub(crate) voice_activity: SileroModel,
    pub(crate) end_of_turn: SmartTurn,
    pub(crate) transcriber: Arc<dyn Transcriber>,
}

/// Fetches what is missing (after saying so) and loads the engines that listen.
pub(crate) fn listening(
    stt: &str,
    threads: Option<NonZeroUsize>,
    yes: bool,
) -> Result<Listening, Exit> {
    let store = Store::open_default()?;
    fetch::ensure(&store, &[VOICE_ACTIVITY, END_OF_TURN, stt], yes)?;
    let budget = ComputeBudget::new(threads);
    Ok(Listening {
        voice_activity: SileroModel::load(store.dir(VOICE_ACTIVITY)?, &budget)?,
        end_of_turn: SmartTurn::load(store.dir(END_OF_TURN)?, budget.clone())?,
        transcriber: transcriber(&store, stt, &budget)?,
    })
}

/// A language model may be a file of the user's own.
pub(crate) fn is_file(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

#[cfg(feature = "whisper")]
pub(crate) fn transcriber(
    store: &Store,
    name: &str,
    budget: &ComputeBudget,
) -> Result<Arc<dyn Transcriber>, Exit> {
    has_role(store, name, ModelRole::SpeechToText, "--stt")?;
    let whisper = kaiwa_engine::whisper::Whisper::load(&store.dir(name)?, budget.clone())?;
    Ok(Arc::new(whisper))
}

#[cfg(not(feature = "whisper"))]
pub(crate) fn transcriber(
    _: &Store,
    _: &str,
    _: &ComputeBudget,
) -> Result<Arc<dyn Transcriber>, Exit> {
    Err(built_without("speech to text", "whisper"))
}

#[cfg(feature = "llama")]
fn language_model(
    store: &Store,
    name: &str,
    budget: &ComputeBudget,
) -> Result<Arc<dyn LanguageModel>, Exit> {
    use kaiwa_engine::llama::{Llama, LlamaOptions};

    let path = if is_file(name) {
        name.into()
    } else {
        has_role(store, name, ModelRole::LanguageModel, "--llm")?;
        let file = &store.manifest().model(name)?.files[0].name;
        store.path(name, file)?
    };
    let llama = Llama::load(&path, budget, LlamaOptions::default())?;
    Ok(Arc::new(llama))
}

#[cfg(not(feature = "llama"))]
fn language_model(_: &Store, _: &str, _: &ComputeBudget) -> Result<Arc<dyn LanguageModel>, Exit> {
    Err(built_without("a language model", "llama"))
}

#[cfg(feature = "tts")]
pub(crate) fn synthesizer(
    store: &Store,
    voices: &[&str],
    budget: &ComputeBudget,
) -> Result<Arc<dyn Synthesizer>, Exit> {
    use kaiwa_engine::tts::{Hibari, LocalVoices, Piper};

    let hibari = Hibari::load(&store.dir(VOICE)?, budget)?;
    let english = hibari.english();
    let mut local = LocalVoices::new(hibari);
    if voices.contains(&USER_VOICE) {
        local = local.with(Piper::load(&store.dir(USER_VOICE)?, english, budget)?);
    }
    Ok(Arc::new(local))
}

#[cfg(not(feature = "tts"))]
pub(crate) fn synthesizer(
    _: &Store,
    _: &[&str],
    _: &ComputeBudget,
) -> Result<Arc<dyn Synthesizer>, Exit> {
    Err(built_without("text to speech", "tts"))
}

/// Words by [`USER_VOICE`], at the rate of the wire.
pub(crate) fn user_says(voice: &dyn Synthesizer, text: &str) -> Result<Vec<f32>, Exit> {
    let spec = VoiceSpec {
        name: "joe".to_owned(),
        speed: 1.0,
    };
    let mut pcm = Vec::new();
    voice.speak(text, &spec, &Cancel::new(), &mut |speech| {
        pcm.extend_from_slice(speech.pcm);
        ControlFlow::Continue(())
    })?;
    let mut samples = Vec::new();
    let mut resampler = Resampler::new(voice.sample_rate(), WIRE_RATE_HZ);
    resampler.process(&pcm, &mut samples);
    resampler.flush(&mut samples);
    Ok(samples)
}

/// Refuses a model of another kind before anything is loaded.
#[cfg(any(feature = "llama", feature = "whisper"))]
fn has_role(store: &Store, name: &str, role: ModelRole, flag: &str) -> Result<(), Exit> {
    let model = store.manifest().model(name)?;
    if model.role == role {
        return Ok(());
    }
    let fitting = store.manifest().models().iter();
    let fitting = fitting
        .filter(|model| model.role == role)
        .map(|model| model.name.as_str())
        .collect::<Vec<_>>();
    Err(Exit::new(
        Code::Usage,
        format!("{name} is for {}, not for {role}", model.role),
    )
    .with_hint(format!("{flag} takes {}", fitting.join(" or "))))
}

fn built_without(what: &str, feature: &str) -> Exit {
    Exit::new(Code::Failure, format!("this kaiwa was built without {what} (feature {feature})"))
        .with_hint("build it with default features, talk to another endpoint with --url, or use --engine scripted")
}

impl From<EngineError> for Exit {
    fn from(error: EngineError) -> Self {
        Self::new(Code::Models, error)
            .with_hint("\"kaiwa models verify\" tells whether the files are good")
    }
}
