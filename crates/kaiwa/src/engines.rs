//! From names on the command line to engines a server can run on.

use std::{num::NonZeroUsize, ops::ControlFlow, path::Path, sync::Arc};

use kaiwa_audio::{Resampler, WIRE_RATE_HZ};
#[cfg(any(feature = "llama", feature = "whisper"))]
use kaiwa_engine::models::ModelRole;
use kaiwa_engine::{
    Cancel, ComputeBudget, EngineError, LanguageModel, Synthesizer, Transcriber, VoiceSpec,
    models::Store,
    remote::Fallback,
    scripted::{Script, ScriptedEngines},
    silero::SileroModel,
    smart_turn::SmartTurn,
};
use kaiwa_server::{Engines, ServerConfig};

use crate::{
    cli::{EngineArgs, EngineKind, Speculation},
    exit::{Code, Exit},
    fetch::{self, Attendant},
    remote::{Builder, Elsewhere, RemoteArgs},
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

/// A role whose engine a build may leave out: what, feature, whether it is here.
type Built = (&'static str, &'static str, bool);

const STT: Built = ("speech to text", "whisper", cfg!(feature = "whisper"));
const LLM: Built = ("a language model", "llama", cfg!(feature = "llama"));
const TTS: Built = ("text to speech", "tts", cfg!(feature = "tts"));

/// Voices of the hosted service. Clients hard-code them; the local default voice speaks for
/// them.
const HOSTED_VOICES: [&str; 10] = [
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
];

/// What a set of engines is made of.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The engines in this process.
    pub(crate) engines: EngineArgs,
    /// The engines elsewhere, which go before those.
    pub(crate) remote: RemoteArgs,
}

impl Wanted {
    /// Engines in this process alone.
    fn here(engines: &EngineArgs) -> Self {
        Self {
            engines: engines.clone(),
            remote: RemoteArgs::default(),
        }
    }

    /// The name by which clients know the language model.
    pub(crate) fn model(&self) -> Result<String, Exit> {
        Ok(match (self.remote.llm()?, self.engines.engine) {
            (Some(there), _) => there.endpoint.model().to_owned(),
            (None, EngineKind::Local) => self.engines.llm.clone(),
            (None, EngineKind::Scripted) => "scripted".to_owned(),
        })
    }

    /// The names of the other engines.
    pub(crate) fn others(&self) -> Result<Vec<String>, Exit> {
        let is_local = self.engines.engine == EngineKind::Local;
        let name = |there: Option<Elsewhere>, here: &str| match there {
            Some(there) => Some(there.endpoint.model().to_owned()),
            None => is_local.then(|| here.to_owned()),
        };
        let names = [
            name(self.remote.stt()?, &self.engines.stt),
            name(self.remote.tts()?, VOICE),
        ];
        Ok(names.into_iter().flatten().collect())
    }

    /// The models of the store that are needed in this process.
    pub(crate) fn needed(&self) -> Result<Vec<String>, Exit> {
        let roles = self.roles()?;
        if self.engines.engine == EngineKind::Scripted {
            return Ok(Vec::new());
        }
        let models = roles.into_iter().map(|(_, model)| model);
        let models = models.filter(|model| !is_file(model));
        let needed = [VOICE_ACTIVITY, END_OF_TURN].into_iter().chain(models);
        Ok(needed.map(str::to_owned).collect())
    }

    /// Whether this build has the engines that are needed in this process: nothing is fetched for
    /// others.
    fn is_built(&self) -> Result<(), Exit> {
        if self.engines.engine == EngineKind::Local {
            for (&(what, feature, is_built), _) in self.roles()? {
                if !is_built {
                    return Err(built_without(what, feature));
                }
            }
        }
        Ok(())
    }

    /// The roles that local engines play in this process, and their models.
    fn roles(&self) -> Result<Vec<(&'static Built, &str)>, Exit> {
        let roles = [
            (self.remote.stt()?, &STT, self.engines.stt.as_str()),
            (self.remote.llm()?, &LLM, self.engines.llm.as_str()),
            (self.remote.tts()?, &TTS, VOICE),
        ];
        let here = roles
            .into_iter()
            .filter(|(there, ..)| is_here(there.as_ref()));
        Ok(here.map(|(_, role, model)| (role, model)).collect())
    }

    /// Silence after which a turn is answered ahead of its end, unless that is the default of
    /// sessions (`None`). A script's replies come in order, and what is made ahead and dropped
    /// is paid for all the same where requests are.
    pub(crate) fn ahead(&self) -> Result<Option<Speculation>, Exit> {
        let is_dear = self.engines.engine == EngineKind::Scripted || self.remote.is_billed()?;
        let unasked = is_dear.then_some(Speculation(None));
        Ok(self.engines.speculate.or(unasked))
    }

    /// The voices a client may choose of a synthesizer; none are all. A remote one may know
    /// more than it says.
    pub(crate) fn voices(&self, synthesizer: &dyn Synthesizer) -> Result<Vec<String>, Exit> {
        if self.remote.tts()?.is_some() {
            return Ok(Vec::new());
        }
        let mut voices = synthesizer.voices();
        voices.extend(HOSTED_VOICES.map(str::to_owned));
        Ok(voices)
    }
}

/// How a server on engines of this process is configured, unless somebody says otherwise.
pub(crate) fn server_config(
    engines: &Engines,
    arguments: &EngineArgs,
) -> Result<ServerConfig, Exit> {
    configured(engines, &Wanted::here(arguments))
}

/// How a server on these engines is configured, unless somebody says otherwise.
pub(crate) fn configured(engines: &Engines, wanted: &Wanted) -> Result<ServerConfig, Exit> {
    let mut config = ServerConfig::default();
    if let Some(Speculation(ahead_ms)) = wanted.ahead()? {
        config.session.ahead_ms = ahead_ms;
    }
    config.session.voices = wanted.voices(&*engines.synthesizer)?;
    Ok(config)
}

/// Fetches what is missing (after saying so) and loads the engines of this process.
///
/// `extra` names models to have besides, whose voices are then there too.
pub(crate) fn load(
    arguments: &EngineArgs,
    extra: &[&str],
    attendant: &mut dyn Attendant,
) -> Result<Engines, Exit> {
    one(&Wanted::here(arguments), extra, attendant)
}

/// The same for a set with engines elsewhere.
pub(crate) fn one(
    wanted: &Wanted,
    extra: &[&str],
    attendant: &mut dyn Attendant,
) -> Result<Engines, Exit> {
    let plan = Plan::new(wanted, &mut Builder::default())?;
    let mut loader = Loader::new(std::slice::from_ref(&plan), extra, attendant)?;
    loader.engines(&plan)
}

/// The same for several sets, which share what they have in common.
pub(crate) fn several(
    wanted: &[Wanted],
    attendant: &mut dyn Attendant,
) -> Result<Vec<Engines>, Exit> {
    let mut builder = Builder::default();
    // Whether the servers are there is known sooner than models are loaded.
    let plans = wanted
        .iter()
        .map(|wanted| Plan::new(wanted, &mut builder))
        .collect::<Result<Vec<_>, _>>()?;
    let mut loader = Loader::new(&plans, &[], attendant)?;
    plans.iter().map(|plan| loader.engines(plan)).collect()
}

/// A set of engines, of which those in this process are still to be loaded.
struct Plan<'a> {
    wanted: &'a Wanted,
    llm: Option<(Arc<dyn LanguageModel>, Elsewhere)>,
    stt: Option<(Arc<dyn Transcriber>, Elsewhere)>,
    tts: Option<(Arc<dyn Synthesizer>, Elsewhere)>,
}

impl<'a> Plan<'a> {
    fn new(wanted: &'a Wanted, builder: &mut Builder) -> Result<Self, Exit> {
        if wanted.engines.engine == EngineKind::Local && wanted.engines.script.is_some() {
            return Err(Exit::new(
                Code::Usage,
                "--script plays only with --engine scripted",
            ));
        }
        let remote = &wanted.remote;
        let (llm, stt, tts) = (remote.llm()?, remote.stt()?, remote.tts()?);
        Ok(Self {
            wanted,
            llm: llm
                .map(|there| Ok::<_, Exit>((builder.language_model(remote, &there)?, there)))
                .transpose()?,
            stt: stt
                .map(|there| Ok::<_, Exit>((builder.transcriber(&there)?, there)))
                .transpose()?,
            tts: tts
                .map(|there| Ok::<_, Exit>((builder.synthesizer(remote, &there)?, there)))
                .transpose()?,
        })
    }
}

/// Whether a role is played in this process, be it when another fails.
fn is_here(there: Option<&Elsewhere>) -> bool {
    there.is_none_or(|there| there.falls_back)
}

/// Loads the engines of this process, each once.
struct Loader {
    local: Option<Local>,
}

/// Engines on the models of the store.
struct Local {
    store: Store,
    budget: ComputeBudget,
    detector: SileroModel,
    judge: Arc<SmartTurn>,
    /// By name.
    transcribers: Vec<(String, Arc<dyn Transcriber>)>,
    /// By name.
    language_models: Vec<(String, Arc<dyn LanguageModel>)>,
    voices: Vec<String>,
    synthesizer: Option<Arc<dyn Synthesizer>>,
}

impl Loader {
    fn new(
        plans: &[Plan<'_>],
        extra: &[&str],
        attendant: &mut dyn Attendant,
    ) -> Result<Self, Exit> {
        let mut needed = Vec::new();
        for plan in plans {
            plan.wanted.is_built()?;
            needed.extend(plan.wanted.needed()?);
        }
        let Some(first) = plans.first().filter(|_| !needed.is_empty()) else {
            return Ok(Self { local: None });
        };
        needed.extend(extra.iter().map(|&name| name.to_owned()));
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let arguments = &first.wanted.engines;
        let store = Store::open_default()?;
        fetch::provide(&store, &needed, arguments.yes, attendant)?;
        attendant.loading();
        let budget = ComputeBudget::new(arguments.threads);
        Ok(Self {
            local: Some(Local {
                detector: SileroModel::load(store.dir(VOICE_ACTIVITY)?, &budget)?,
                judge: Arc::new(SmartTurn::load(store.dir(END_OF_TURN)?, budget.clone())?),
                store,
                budget,
                transcribers: Vec::new(),
                language_models: Vec::new(),
                voices: [&[VOICE], extra]
                    .concat()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                synthesizer: None,
            }),
        })
    }

    fn engines(&mut self, plan: &Plan<'_>) -> Result<Engines, Exit> {
        let arguments = &plan.wanted.engines;
        let base = match &mut self.local {
            Some(local) if arguments.engine == EngineKind::Local => local.base(plan)?,
            _ => scripted(arguments.script.as_deref())?,
        };
        Ok(Engines {
            transcriber: match &plan.stt {
                Some((there, how)) if how.falls_back => {
                    Arc::new(Fallback::new(Arc::clone(there), base.transcriber))
                }
                Some((there, _)) => Arc::clone(there),
                None => base.transcriber,
            },
            language_model: match &plan.llm {
                Some((there, how)) if how.falls_back => {
                    Arc::new(Fallback::new(Arc::clone(there), base.language_model))
                }
                Some((there, _)) => Arc::clone(there),
                None => base.language_model,
            },
            synthesizer: match &plan.tts {
                Some((there, how)) if how.falls_back => {
                    Arc::new(Fallback::new(Arc::clone(there), base.synthesizer))
                }
                Some((there, _)) => Arc::clone(there),
                None => base.synthesizer,
            },
            ..base
        })
    }
}

impl Local {
    /// The engines of this process for a plan. A role that is played elsewhere alone has the
    /// engine from there.
    fn base(&mut self, plan: &Plan<'_>) -> Result<Engines, Exit> {
        let arguments = &plan.wanted.engines;
        let detector = self.detector.clone();
        Ok(Engines {
            voice_activity: Arc::new(move || Ok(Box::new(detector.detector()))),
            end_of_turn: Some(Arc::clone(&self.judge) as _),
            transcriber: match &plan.stt {
                Some((there, how)) if !how.falls_back => Arc::clone(there),
                _ => self.transcriber(&arguments.stt)?,
            },
            language_model: match &plan.llm {
                Some((there, how)) if !how.falls_back => Arc::clone(there),
                _ => self.language_model(&arguments.llm)?,
            },
            synthesizer: match &plan.tts {
                Some((there, how)) if !how.falls_back => Arc::clone(there),
                _ => self.synthesizer()?,
            },
        })
    }

    fn transcriber(&mut self, name: &str) -> Result<Arc<dyn Transcriber>, Exit> {
        if let Some((_, loaded)) = self.transcribers.iter().find(|(known, _)| known == name) {
            return Ok(Arc::clone(loaded));
        }
        let loaded = transcriber(&self.store, name, &self.budget)?;
        self.transcribers
            .push((name.to_owned(), Arc::clone(&loaded)));
        Ok(loaded)
    }

    fn language_model(&mut self, name: &str) -> Result<Arc<dyn LanguageModel>, Exit> {
        if let Some((_, loaded)) = self.language_models.iter().find(|(known, _)| known == name) {
            return Ok(Arc::clone(loaded));
        }
        let loaded = language_model(&self.store, name, &self.budget)?;
        self.language_models
            .push((name.to_owned(), Arc::clone(&loaded)));
        Ok(loaded)
    }

    fn synthesizer(&mut self) -> Result<Arc<dyn Synthesizer>, Exit> {
        let loaded = match self.synthesizer.take() {
            Some(loaded) => loaded,
            None => {
                let voices: Vec<&str> = self.voices.iter().map(String::as_str).collect();
                synthesizer(&self.store, &voices, &self.budget)?
            }
        };
        Ok(Arc::clone(self.synthesizer.insert(loaded)))
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
        .with_hint("build it with default features, name a remote engine (docs/engines.md), talk to another endpoint with --url, or use --engine scripted")
}

impl From<EngineError> for Exit {
    fn from(error: EngineError) -> Self {
        Self::new(Code::Models, error)
            .with_hint("\"kaiwa models verify\" tells whether the files are good")
    }
}
