//! What every voice does alike: text to pieces, pieces to trimmed audio, audio to the sink.

use std::ops::Range;

use super::english::{self, English, Spoken};
use crate::{Cancel, EngineError, Flow, Speech, SpokenWord, VoiceSpec};

/// A piece has at most this many phonemes and marks, so that no run of a network is long.
const LONGEST_PIECE: usize = 200;
/// The first piece of a call ends at the first pause after this many, so that it is heard
/// soon.
const SHORT_FIRST_PIECE: usize = 40;
/// Quieter than this part of a piece's loudest 5 ms is silence (-46 dB).
const SILENCE: f32 = 0.005;
/// Of the silence before and after a piece this much stays, for soft onsets and echoes.
const MARGIN_MS: usize = 20;
/// Both ends of a piece rise from and fall to zero over this time.
const FADE_MS: usize = 4;
/// Silence after a sentence, after a clause, and where a long clause had to be cut.
const PAUSES_MS: [usize; 3] = [320, 160, 40];

/// A run of phonemes that is synthesised at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) phonemes: String,
    /// Per word: bytes of the original text, and where its phonemes are (in characters).
    words: Vec<(Range<usize>, Range<usize>)>,
}

/// A piece as a voice gives it.
pub(super) struct Rendered {
    pub(super) pcm: Vec<f32>,
    /// The sample at which each character of the phonemes begins, and the end of the last:
    /// one more than there are characters, never falling.
    pub(super) starts: Vec<usize>,
}

/// Speaks `text` piece by piece with `render`, which is told the phonemes, the speed and
/// whether somebody waits for the result.
pub(super) fn speak(
    english: &English,
    rate: u32,
    text: &str,
    voice: &VoiceSpec,
    cancel: &Cancel,
    sink: &mut dyn FnMut(Speech<'_>) -> Flow,
    mut render: impl FnMut(&str, f32, bool) -> Result<Rendered, EngineError>,
) -> Result<(), EngineError> {
    let speed = if voice.speed.is_finite() {
        voice.speed.clamp(0.25, 4.0)
    } else {
        1.0
    };
    let mut urgent = true;
    for sentence in english::sentences(&english::read(text)) {
        if cancel.is_cancelled() {
            return Ok(());
        }
        for piece in pieces(english.speak(sentence, urgent)?, urgent) {
            if cancel.is_cancelled() {
                return Ok(());
            }
            let rendered = render(&piece.phonemes, speed, urgent)?;
            let (pcm, words) = finish(&piece, rendered, rate);
            if pcm.is_empty() {
                continue;
            }
            urgent = false;
            let speech = Speech {
                pcm: &pcm,
                words: &words,
            };
            if sink(speech).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Cuts a sentence: at [`LONGEST_PIECE`], after a clause where there is one.
fn pieces(sentence: Vec<Spoken>, first: bool) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut current: Vec<Spoken> = Vec::new();
    let mut length = 0;
    for chunk in sentence.into_iter().flat_map(bounded) {
        let more = chunk.phonemes.chars().count() + 1;
        if length + more > LONGEST_PIECE && !current.is_empty() {
            // After the last clause, unless that leaves next to nothing.
            let clause = current.iter().rposition(|c| ends_clause(&c.phonemes));
            let keep = clause
                .map(|at| at + 1)
                .filter(|keep| *keep * 3 > current.len())
                .unwrap_or(current.len());
            let rest = current.split_off(keep);
            pieces.push(piece(&current));
            length = rest.iter().map(|c| c.phonemes.chars().count() + 1).sum();
            current = rest;
        }
        let pause = ends_clause(&chunk.phonemes);
        current.push(chunk);
        length += more;
        if first && pieces.is_empty() && pause && length > SHORT_FIRST_PIECE {
            pieces.push(piece(&current));
            current.clear();
            length = 0;
        }
    }
    if !current.is_empty() {
        pieces.push(piece(&current));
    }
    pieces
}

/// A chunk of which one piece would be too long (a hundred digits) in several, at its
/// spaces where it has any. The first stands for all its text.
fn bounded(chunk: Spoken) -> Vec<Spoken> {
    let mut parts = vec![Spoken {
        range: chunk.range.clone(),
        phonemes: String::new(),
    }];
    let mut length = 0;
    for c in chunk.phonemes.chars() {
        let space = c == ' ' && length > LONGEST_PIECE / 2;
        if space || length == LONGEST_PIECE - 1 {
            parts.push(Spoken {
                range: chunk.range.end..chunk.range.end,
                phonemes: String::new(),
            });
            length = 0;
        }
        if !space && let Some(last) = parts.last_mut() {
            last.phonemes.push(c);
            length += 1;
        }
    }
    parts
}

fn piece(chunks: &[Spoken]) -> Piece {
    let mut phonemes = String::new();
    let mut words = Vec::with_capacity(chunks.len());
    let mut at = 0;
    for chunk in chunks {
        if at > 0 {
            phonemes.push(' ');
            at += 1;
        }
        phonemes.push_str(&chunk.phonemes);
        let end = at + chunk.phonemes.chars().count();
        if !chunk.range.is_empty() {
            words.push((chunk.range.clone(), at..end));
        }
        at = end;
    }
    Piece { phonemes, words }
}

fn ends_clause(phonemes: &str) -> bool {
    phonemes
        .trim_end_matches([')', '”'])
        .ends_with([',', ';', ':', '—', '.', '!', '?', '…'])
}

/// Trims and fades a piece, appends its pause, and places its words.
fn finish(piece: &Piece, rendered: Rendered, rate: u32) -> (Vec<f32>, Vec<SpokenWord>) {
    let ms = |ms: usize| ms * rate as usize / 1000;
    let Rendered { mut pcm, starts } = rendered;
    let Some(sound) = audible(&pcm, ms(5)) else {
        return (Vec::new(), Vec::new());
    };
    let begin = sound.start.saturating_sub(ms(MARGIN_MS));
    pcm.truncate(sound.end + ms(MARGIN_MS));
    pcm.drain(..begin);
    let voiced = pcm.len();
    let fade = ms(FADE_MS).min(voiced / 2);
    for i in 0..fade {
        let gain = i as f32 / fade as f32;
        pcm[i] *= gain;
        pcm[voiced - 1 - i] *= gain;
    }
    let last = piece.phonemes.trim_end_matches([')', '”']);
    let [sentence, clause, cut] = PAUSES_MS;
    let pause = match last.chars().next_back() {
        Some('.' | '!' | '?' | '…') => sentence,
        Some(',' | ';' | ':' | '—') => clause,
        _ => cut,
    };
    pcm.resize(voiced + ms(pause), 0.0);
    let place = |character: usize| {
        let sample = starts.get(character).or_else(|| starts.last()).copied();
        sample.unwrap_or_default().saturating_sub(begin).min(voiced)
    };
    let words = piece
        .words
        .iter()
        .map(|(text, characters)| SpokenWord {
            text: text.clone(),
            samples: place(characters.start)..place(characters.end),
        })
        .collect();
    // A network's overshoot would clip in 16 bits.
    for sample in &mut pcm {
        *sample = sample.clamp(-1.0, 1.0);
    }
    (pcm, words)
}

/// From the first to the last window of `window` samples that is not silent.
fn audible(pcm: &[f32], window: usize) -> Option<Range<usize>> {
    let energies: Vec<f32> = pcm
        .chunks(window.max(1))
        .map(|chunk| chunk.iter().map(|x| x * x).sum::<f32>() / chunk.len() as f32)
        .collect();
    let loudest = energies.iter().copied().fold(0.0, f32::max);
    // Also nothing that would round to silence in 16 bits.
    let least = (loudest * SILENCE * SILENCE).max(1e-9);
    let first = energies.iter().position(|energy| *energy > least)?;
    let last = energies.iter().rposition(|energy| *energy > least)?;
    Some(first * window..((last + 1) * window).min(pcm.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(phonemes: &[&str]) -> Vec<Spoken> {
        phonemes
            .iter()
            .enumerate()
            .map(|(index, phonemes)| Spoken {
                range: index * 10..index * 10 + 9,
                phonemes: (*phonemes).to_owned(),
            })
            .collect()
    }

    fn texts(pieces: &[Piece]) -> Vec<&str> {
        pieces.iter().map(|p| p.phonemes.as_str()).collect()
    }

    #[test]
    fn a_short_sentence_is_one_piece() {
        let pieces = pieces(spoken(&["həlˈO,", "wˈɜɹld."]), true);
        assert_eq!(texts(&pieces), ["həlˈO, wˈɜɹld."]);
        assert_eq!(pieces[0].words, [(0..9, 0..6), (10..19, 7..14)]);
    }

    #[test]
    fn the_first_piece_ends_at_a_pause() {
        let long = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,";
        let sentence = spoken(&[long, "b."]);
        assert_eq!(texts(&pieces(sentence.clone(), true)), [long, "b."]);
        assert_eq!(pieces(sentence, false).len(), 1);
    }

    #[test]
    fn long_sentences_are_cut_after_clauses() {
        let mut words = vec!["aaaaaaaaa"; 40];
        words[12] = "bbbbbbbb,";
        let pieces = pieces(spoken(&words), false);
        assert!(pieces[0].phonemes.ends_with('b') || pieces[0].phonemes.ends_with("b,"));
        assert!(
            pieces
                .iter()
                .all(|p| p.phonemes.chars().count() <= LONGEST_PIECE)
        );
        let words: usize = pieces.iter().map(|p| p.words.len()).sum();
        assert_eq!(words, 40);
        // What is too long alone is cut, and still one word.
        let monster = "a".repeat(3 * LONGEST_PIECE);
        let cut = super::pieces(spoken(&[&monster]), false);
        assert!(cut.iter().all(|p| p.phonemes.len() <= LONGEST_PIECE));
        assert_eq!(
            cut.iter().map(|p| p.phonemes.len()).sum::<usize>(),
            monster.len()
        );
        assert_eq!(cut.iter().map(|p| p.words.len()).sum::<usize>(), 1);
    }

    #[test]
    fn silence_is_trimmed_and_words_are_placed() {
        let rate = 24_000;
        let mut pcm = vec![0.0; 7200];
        pcm.extend((0..12_000).map(|i| (i as f32 * 0.1).sin() * 2.0));
        pcm.extend(vec![0.0; 9600]);
        let piece = piece(&spoken(&["ab", "c."]));
        // a b space c .
        let starts = vec![7200, 9600, 12_000, 14_400, 19_200, 28_800];
        let (pcm, words) = finish(&piece, Rendered { pcm, starts }, rate);
        let margin = rate as usize * MARGIN_MS / 1000;
        let voiced = 12_000 + 2 * margin;
        assert_eq!(pcm.len(), voiced + rate as usize * PAUSES_MS[0] / 1000);
        assert!(pcm.iter().all(|x| x.abs() <= 1.0));
        assert_eq!(pcm[0], 0.0);
        assert_eq!(words[0].samples, margin..margin + 4800);
        assert_eq!(words[1].samples, margin + 7200..voiced);
    }

    #[test]
    fn a_silent_piece_gives_nothing() {
        let piece = piece(&spoken(&["a"]));
        let silent = Rendered {
            pcm: vec![0.0; 4800],
            starts: vec![0, 4800],
        };
        assert_eq!(finish(&piece, silent, 24_000), (vec![], vec![]));
        let empty = Rendered {
            pcm: vec![],
            starts: vec![0, 0],
        };
        assert_eq!(finish(&piece, empty, 24_000), (vec![], vec![]));
    }
}
