//! Whether the engines of the embedded server load, and answer.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use kaiwa_audio::Resampler;
use kaiwa_engine::{
    Cancel, EngineError, LmDelta, Message, Prompt, Role, SttOptions, VoiceSpec, models::Store,
};
use kaiwa_server::Engines;

use super::{Finding, Report, blocking};
use crate::{
    cli::{EngineKind, TalkArgs},
    engines::{self, Wanted},
    exit::Exit,
    fetch::Console,
    talk::{self, Target},
};

/// How long the engines may take to load, and how long each may take to answer.
const LOADING: Duration = Duration::from_secs(120);
const ANSWERING: Duration = Duration::from_secs(60);

/// Said by one engine and understood by another.
const SENTENCE: &str = "The quick brown fox jumps over the lazy dog.";
/// Words of it that are understood, in percent: more is luck of the voice.
const UNDERSTOOD: usize = 60;
/// The rate of speech to text, in Hz.
const EAR_HZ: u32 = 16_000;
/// Tokens of an answer that show that there is one.
const FEW_TOKENS: u32 = 8;

const VERIFY: &str = "\"kaiwa models verify\" tells whether the files are good";

pub(super) async fn examine(
    talk: &TalkArgs,
    target: &Target,
    report: &mut Report,
) -> Result<(), Exit> {
    if matches!(target, Target::Remote(_)) {
        return report.tell(&Finding::ok(
            "engines",
            "none are needed: another server answers",
        ));
    }
    let wanted = talk::wanted(talk)?;
    let kind = wanted.engines.engine;
    if kind == EngineKind::Local
        && let Some(missing) = missing(&wanted)?
    {
        return report.tell(&missing);
    }
    let begun = Instant::now();
    let load = move || engines::one(&wanted, &[], &mut Console::default());
    let loaded = match blocking(LOADING, "engines", load).await {
        Ok(Ok(engines)) => engines,
        Ok(Err(exit)) => {
            let advice = exit.hint.as_deref().unwrap_or(VERIFY);
            return report.tell(&Finding::problem("engines", &exit.message, advice));
        }
        Err(late) => return report.tell(&late),
    };
    if kind == EngineKind::Scripted {
        return report.tell(&Finding::ok(
            "engines",
            "a script answers, and it can be read",
        ));
    }
    report.tell(&Finding::ok(
        "engines",
        format_args!("loaded in {:.1} s", begun.elapsed().as_secs_f64()),
    ))?;
    let (voice, model) = (loaded.clone(), loaded);
    let spoken = blocking(ANSWERING, "voice", move || round_trip(&voice)).await;
    report.tell(&spoken.unwrap_or_else(|late| late))?;
    let answered = blocking(ANSWERING, "language model", move || answer(&model)).await;
    report.tell(&answered.unwrap_or_else(|late| late))
}

/// That models are missing, without which nothing can be loaded.
fn missing(wanted: &Wanted) -> Result<Option<Finding>, Exit> {
    let needed = wanted.needed()?;
    let names: Vec<&str> = needed.iter().map(String::as_str).collect();
    let store = Store::open_default();
    Ok(match store.and_then(|store| store.missing(&names)) {
        Ok(plan) if plan.bytes() == 0 => None,
        Ok(_) => Some(Finding::note(
            "engines",
            "they are not tried: models are missing",
            "\"kaiwa models pull\" fetches them; then look again",
        )),
        Err(error) => Some(Finding::failure("engines", error, VERIFY)),
    })
}

/// Says a sentence, and listens to it.
fn round_trip(engines: &Engines) -> Finding {
    let begun = Instant::now();
    let sound = match spoken(engines) {
        Ok(sound) => sound,
        Err(error) => return Finding::problem("voice", error, VERIFY),
    };
    let spoken = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let options = SttOptions {
        language: Some("en".to_owned()),
        ..SttOptions::default()
    };
    let sink = &mut |_: kaiwa_engine::SttDelta<'_>| ControlFlow::Continue(());
    match engines
        .transcriber
        .transcribe(&sound, &options, &Cancel::new(), sink)
    {
        Ok(transcript) => {
            let understood = begun.elapsed().as_secs_f64();
            let times = format!("said in {spoken:.1} s, understood in {understood:.1} s");
            compared(&transcript.text, &times)
        }
        Err(error) => Finding::problem("speech to text", error, VERIFY),
    }
}

/// The sentence as speech at the rate of speech to text.
fn spoken(engines: &Engines) -> Result<Vec<f32>, EngineError> {
    let voice = VoiceSpec {
        name: engines.synthesizer.voices().swap_remove(0),
        speed: 1.0,
    };
    let mut resampler = Resampler::new(engines.synthesizer.sample_rate(), EAR_HZ);
    let mut sound = Vec::new();
    let sink = &mut |speech: kaiwa_engine::Speech<'_>| {
        resampler.process(speech.pcm, &mut sound);
        ControlFlow::Continue(())
    };
    engines
        .synthesizer
        .speak(SENTENCE, &voice, &Cancel::new(), sink)?;
    resampler.flush(&mut sound);
    Ok(sound)
}

/// Compares what was understood with what was said.
fn compared(heard: &str, times: &str) -> Finding {
    let said = words(SENTENCE);
    let mut left = words(heard);
    let understood = said
        .iter()
        .filter(|word| {
            let place = left.iter().position(|other| other == *word);
            place.map(|place| left.swap_remove(place)).is_some()
        })
        .count();
    let message = format!("{understood} of {} words understood, {times}", said.len());
    match understood * 100 >= UNDERSTOOD * said.len() {
        true => Finding::ok("voice and ear", message),
        false => Finding::problem(
            "voice and ear",
            format_args!("{message}: {heard:?} instead of {SENTENCE:?}"),
            "try another model with --stt; \"kaiwa models verify\" tells whether the files are good",
        ),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| {
            word.trim_matches(|c: char| !c.is_alphanumeric())
                .to_lowercase()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// Asks the language model for a few tokens.
fn answer(engines: &Engines) -> Finding {
    let prompt = Prompt {
        conversation: u64::MAX,
        messages: vec![Message::text(Role::User, "Say hello.")],
        max_tokens: Some(FEW_TOKENS),
        ..Prompt::default()
    };
    let begun = Instant::now();
    let mut text = String::new();
    let sink = &mut |delta: LmDelta<'_>| {
        if let LmDelta::Text(more) = delta {
            text.push_str(more);
        }
        ControlFlow::Continue(())
    };
    let result = engines
        .language_model
        .generate(&prompt, &Cancel::new(), sink);
    engines.language_model.forget(prompt.conversation);
    match result {
        Ok(usage) if !text.trim().is_empty() => Finding::ok(
            "language model",
            format_args!(
                "{} tokens in {:.1} s",
                usage.output_tokens,
                begun.elapsed().as_secs_f64()
            ),
        ),
        Ok(_) => Finding::problem(
            "language model",
            "it says nothing when it is asked to say hello",
            "try another model with --llm (\"kaiwa models list\")",
        ),
        Err(error) => Finding::problem("language model", error, VERIFY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::EngineArgs, doctor::finding::Verdict};

    #[test]
    fn engines_that_do_not_understand_each_other_are_a_problem() {
        let arguments = EngineArgs {
            engine: EngineKind::Scripted,
            script: None,
            stt: String::new(),
            llm: String::new(),
            speculate: None,
            threads: None,
            yes: false,
        };
        let engines = engines::load(&arguments, &[], &mut Console::default()).expect("a script");
        // They say words in tones, and hear how long they were.
        let finding = round_trip(&engines);
        assert_eq!(finding.verdict, Verdict::Problem, "{finding}");
        assert!(finding.message.contains("\"I spoke for"), "{finding}");
        let finding = answer(&engines);
        assert_eq!(finding.verdict, Verdict::Ok, "{finding}");
    }

    #[test]
    fn most_words_have_to_be_understood() {
        for (heard, verdict) in [
            (SENTENCE, Verdict::Ok),
            ("the quick brown fox jumps over a lazy dock", Verdict::Ok),
            ("The the the the the the the the the.", Verdict::Problem),
            ("", Verdict::Problem),
        ] {
            let finding = compared(heard, "at once");
            assert_eq!(finding.verdict, verdict, "{finding}");
        }
        let half = compared("the quick brown fox", "at once");
        assert!(half.message.starts_with("4 of 9 words"), "{half}");
    }
}
