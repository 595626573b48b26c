//! The voices on their own files, where those are found.
//!
//! The phonemes below are those of the Python package hibari-tts 0.2.1
//! (`G2P()(text)`).

use std::{env, num::NonZeroUsize, path::PathBuf, sync::OnceLock};

use super::*;
use crate::{Cancel, ComputeBudget, Flow, SpokenWord, Synthesizer, VoiceSpec};

/// The directory of a model's files.
fn model(name: &str) -> Option<PathBuf> {
    let dir = env::var_os("KAIWA_MODELS_DIR").map(|dir| PathBuf::from(dir).join(name));
    let dir = dir.filter(|dir| dir.is_dir());
    if dir.is_none() {
        println!("skipped: no models");
    }
    dir
}

fn hibari() -> Option<&'static Hibari> {
    static VOICE: OnceLock<Option<Hibari>> = OnceLock::new();
    VOICE
        .get_or_init(|| {
            let budget = ComputeBudget::new(NonZeroUsize::new(2));
            Some(Hibari::load(&model("hibari")?, &budget).unwrap())
        })
        .as_ref()
}

fn joe() -> Option<Piper> {
    let budget = ComputeBudget::new(NonZeroUsize::new(2));
    Some(Piper::load(&model("piper-joe")?, hibari()?.english(), &budget).unwrap())
}

fn spec(speed: f32) -> VoiceSpec {
    VoiceSpec {
        name: String::new(),
        speed,
    }
}

/// All audio of a text, its words placed in it, and the number of pieces.
fn speak(voice: &dyn Synthesizer, text: &str, speed: f32) -> (Vec<f32>, Vec<SpokenWord>, usize) {
    let (mut pcm, mut words, mut pieces) = (Vec::new(), Vec::new(), 0);
    voice
        .speak(text, &spec(speed), &Cancel::new(), &mut |speech| {
            for word in speech.words {
                assert!(word.samples.end <= speech.pcm.len());
                words.push(SpokenWord {
                    text: word.text.clone(),
                    samples: pcm.len() + word.samples.start..pcm.len() + word.samples.end,
                });
            }
            pcm.extend_from_slice(speech.pcm);
            pieces += 1;
            Flow::Continue(())
        })
        .unwrap();
    (pcm, words, pieces)
}

fn check_voice(voice: &dyn Synthesizer) {
    let rate = voice.sample_rate() as usize;
    let text = "Dr. Smith paid $3.50 😀 — at 2:30 pm. “Fine,” he said!";
    let (pcm, words, pieces) = speak(voice, text, 1.0);
    assert!(pieces >= 2, "one piece per sentence");
    let written: Vec<&str> = words.iter().map(|w| &text[w.text.clone()]).collect();
    assert_eq!(
        written,
        [
            "Dr.",
            "Smith",
            "paid",
            "$3.50 😀 —",
            "at",
            "2:30",
            "pm.",
            "“Fine,”",
            "he",
            "said!"
        ]
    );
    let mut last = 0;
    for word in &words {
        assert!(
            word.samples.start >= last && !word.samples.is_empty(),
            "{words:?}"
        );
        last = word.samples.end;
    }
    // Three to eight seconds, audible at once, not clipped, and quiet at the end.
    assert!((3 * rate..8 * rate).contains(&pcm.len()), "{}", pcm.len());
    let peak = |part: &[f32]| part.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
    assert!(peak(&pcm[..rate / 10]) > 0.01, "leading silence");
    assert!((0.2..1.0).contains(&peak(&pcm)), "{}", peak(&pcm));
    assert_eq!(peak(&pcm[pcm.len() - rate / 10..]), 0.0);
    // Deterministic, and slower when asked.
    assert_eq!(speak(voice, text, 1.0).0, pcm);
    let slow = speak(voice, text, 0.7).0.len();
    assert!(slow > pcm.len() * 11 / 10, "{slow} against {}", pcm.len());

    for silent in ["", "...", "😀👍", "---\n***", "日本語"] {
        assert!(speak(voice, silent, 1.0).0.is_empty(), "{silent:?}");
    }
    assert!(!speak(voice, "Hm", f32::NAN).0.is_empty());
}

#[test]
fn hibari_speaks() {
    if let Some(voice) = hibari() {
        check_voice(voice);
    }
}

#[test]
fn piper_speaks() {
    if let Some(voice) = joe() {
        assert_eq!(voice.name(), "joe");
        check_voice(&voice);
    }
}

#[test]
fn cancelling_and_the_sink_stop_between_pieces() {
    let Some(voice) = hibari() else { return };
    let text = "One. Two. Three. Four. ".repeat(4000);
    let cancel = Cancel::new();
    let mut pieces = 0;
    voice
        .speak(&text, &spec(1.0), &cancel, &mut |_| {
            pieces += 1;
            if pieces == 3 {
                cancel.cancel();
            }
            Flow::Continue(())
        })
        .unwrap();
    assert_eq!(pieces, 3);
    let mut pieces = 0;
    voice
        .speak(&text, &spec(1.0), &Cancel::new(), &mut |_| {
            pieces += 1;
            Flow::Break(())
        })
        .unwrap();
    assert_eq!(pieces, 1);
    voice
        .speak(&text, &spec(1.0), &cancel, &mut |_| {
            panic!("cancelled before")
        })
        .unwrap();
}

#[test]
fn local_voices_bring_both_to_one_rate() {
    let Some(joe) = joe() else { return };
    let budget = ComputeBudget::new(NonZeroUsize::new(2));
    let Some(dir) = model("hibari") else { return };
    let hibari = Hibari::load(&dir, &budget).unwrap();
    let voices = LocalVoices::new(hibari).with(joe);
    assert_eq!(voices.voices(), ["hibari", "joe"]);
    let lengths = ["joe", "marin"].map(|name| {
        let voice = VoiceSpec {
            name: name.to_owned(),
            speed: 1.0,
        };
        let mut length = 0;
        voices
            .speak("Hello there.", &voice, &Cancel::new(), &mut |speech| {
                length += speech.pcm.len();
                Flow::Continue(())
            })
            .unwrap();
        length
    });
    assert!(lengths.iter().all(|n| *n > 12_000), "{lengths:?}");
    assert_ne!(lengths[0], lengths[1]);
}

#[test]
fn phonemes_are_those_the_voices_were_trained_with() {
    let Some(voice) = hibari() else { return };
    let english = voice.english();
    for (text, expected) in [
        ("Hello there, how are you?", "həlˈO ðˈɛɹ, hˌW ɑɹ ju?"),
        (
            "I read the book yesterday, and I will read it again.",
            "ˌI ɹˈɛd ðə bˈʊk jˈɛstəɹdˌA, ænd ˌI wɪl ɹˈid ɪt əɡˈɛn.",
        ),
        ("Please record the record.", "plˈiz ɹəkˈɔɹd ðə ɹˈɛkəɹd."),
        (
            "An hour ago an honest man bought a unicorn.",
            "ɐn ˈWəɹ əɡˈO ɐn ˈɑnəst mˈæn bˈɔt ɐ jˈunəkˌɔɹn.",
        ),
        (
            "Can't you see that it's John's car?",
            "kˈænt ju sˈi ðæt ɪts ʤˈɑnz kˈɑɹ?",
        ),
        ("NASA and LLMs.", "nˈæsə ænd ˌɛlˌɛlˈɛmz."),
    ] {
        assert_eq!(
            english.phonemes(text).unwrap().join(" "),
            expected,
            "{text}"
        );
    }
}

#[test]
fn no_word_is_skipped() {
    let Some(voice) = hibari() else { return };
    let english = voice.english();
    for word in [
        "Kubernetes",
        "xqzt",
        "Zhuangzi",
        "brrr",
        "Gdańsk",
        "Ελλάδα",
        "Москва",
        "a11y",
        "tokio-tungstenite",
        "kaiwa",
        "x",
        "Ünïcödé",
        "WYSIWYG",
        "hmm",
        "rten's",
        "O’Reilly",
        "Pneumonoultramicroscopicsilicovolcanoconiosis",
    ] {
        let phonemes = english.phonemes(word).unwrap().concat();
        assert!(!phonemes.is_empty(), "{word}");
    }
}

#[test]
fn missing_files_are_named() {
    let budget = ComputeBudget::new(NonZeroUsize::new(1));
    let empty = tempfile::tempdir().unwrap();
    let error = Hibari::load(empty.path(), &budget).unwrap_err();
    assert!(error.message().contains("lexicon_us_gold"), "{error}");
    std::fs::write(empty.path().join("lexicon_us_gold.json.gz"), b"no gzip").unwrap();
    let error = English::load(empty.path(), &budget).unwrap_err();
    assert!(error.message().contains("lexicon_us_gold"), "{error}");
}
