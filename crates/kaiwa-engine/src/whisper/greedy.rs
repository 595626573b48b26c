use rten_simd::SimdOp;
use rten_vecmath::{MaxNum, SumExpSub};

use super::{
    decoder::{Decoder, Heard, Said},
    vocabulary::Vocabulary,
};
use crate::{Cancel, ComputeBudget};

/// What the greedy search needs to know about one stretch of audio.
pub(super) struct Search<'a> {
    pub(super) decoder: &'a Decoder,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) budget: &'a ComputeBudget,
    pub(super) cancel: &'a Cancel,
    /// The most tokens to decode.
    pub(super) limit: usize,
    /// Tokens that repeat what came before them: from so many on they are a loop.
    pub(super) loop_tokens: usize,
}

/// How an attempt at decoding ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempt {
    /// Tokens of text with their log-probabilities.
    pub(super) tokens: Vec<(u32, f32)>,
    /// Mean log-probability of the tokens and, if it was reached, the end.
    pub(super) average: f32,
    /// Whether the text fell into a loop and was cut there.
    pub(super) looped: bool,
}

/// The state after the tokens that come before the text.
pub(super) struct Opening {
    said: Said,
    /// Logits of the first token of the text.
    logits: Vec<f32>,
    /// Index of the language in [`Vocabulary::languages`], if the model knows languages.
    pub(super) language: Option<usize>,
    /// Probability that nothing was said.
    pub(super) no_speech: f32,
}

/// Decoder steps (each a few milliseconds) per compute slot.
const STEPS_PER_SLOT: usize = 4;

/// A retry draws tokens at this temperature, so that it leaves the loop.
const RETRY_TEMPERATURE: f32 = 0.4;

impl Search<'_> {
    /// Runs the tokens before the text: what was said earlier (`prompt`, may be empty),
    /// the start, and the language and task of a multilingual model.
    pub(super) fn open(&self, heard: &Heard, prompt: &[u32], language: Option<usize>) -> Opening {
        let pool = self.budget.pool();
        let _slot = self.budget.slot(true);
        pool.run(|| self.opening(heard, prompt, language))
    }

    fn opening(&self, heard: &Heard, prompt: &[u32], language: Option<usize>) -> Opening {
        let names = self.vocabulary;
        let mut said = self.decoder.start();
        let mut tokens = Vec::with_capacity(prompt.len() + 2);
        if !prompt.is_empty() {
            tokens.push(names.previous);
            tokens.extend_from_slice(prompt);
        }
        tokens.push(names.start);
        let vectors = self.decoder.step(heard, &mut said, &tokens);
        let mut logits = self
            .decoder
            .logits(self.decoder.last(&vectors), self.decoder.vocabulary());
        let no_speech = (logits[names.no_speech as usize] - log_sum(&logits)).exp();
        let language = language.or_else(|| {
            let likeliest = |a: &usize, b: &usize| {
                let logit = |n: usize| logits[names.languages[n].0 as usize];
                logit(*a).total_cmp(&logit(*b))
            };
            (0..names.languages.len()).max_by(likeliest)
        });
        let mut tokens = Vec::new();
        if let Some(language) = language {
            tokens.extend([names.languages[language].0, names.transcribe]);
        }
        tokens.push(names.no_timestamps);
        let vectors = self.decoder.step(heard, &mut said, &tokens);
        logits = self
            .decoder
            .logits(self.decoder.last(&vectors), names.end as usize + 1);
        for &token in &names.suppressed_first {
            logits[token as usize] = f32::NEG_INFINITY;
        }
        Opening {
            said,
            logits,
            language,
            no_speech,
        }
    }

    /// Decodes the text, always taking the likeliest token, or drawing one (`retry`).
    pub(super) fn attempt(&self, heard: &Heard, opening: &mut Opening, retry: bool) -> Attempt {
        let pool = self.budget.pool();
        let start = opening.said.len();
        let mut run = Run {
            attempt: Attempt::default(),
            end: None,
            logits: opening.logits.clone(),
            draw: retry.then_some(Draw(1)),
            ended: false,
        };
        while !run.ended && !self.cancel.is_cancelled() {
            let _slot = self.budget.slot(true);
            pool.run(|| {
                for _ in 0..STEPS_PER_SLOT {
                    if run.ended || self.cancel.is_cancelled() {
                        break;
                    }
                    self.advance(heard, &mut opening.said, &mut run);
                }
            });
        }
        opening.said.truncate(start);
        let mut attempt = run.attempt;
        let sum: f32 = attempt.tokens.iter().map(|(_, logprob)| logprob).sum();
        let (ends, end) = run.end.map_or((0, 0.0), |logprob| (1, logprob));
        attempt.average = (sum + end) / (attempt.tokens.len() + ends).max(1) as f32;
        attempt
    }

    fn advance(&self, heard: &Heard, said: &mut Said, run: &mut Run) {
        for &token in &self.vocabulary.suppressed {
            run.logits[token as usize] = f32::NEG_INFINITY;
        }
        let (token, logprob) = choose(&run.logits, run.draw.as_mut());
        if token == self.vocabulary.end {
            run.end = Some(logprob);
            run.ended = true;
            return;
        }
        run.attempt.tokens.push((token, logprob));
        if let Some(first) = repetition(&run.attempt.tokens, self.loop_tokens) {
            run.attempt.tokens.truncate(first);
            run.attempt.looped = true;
        }
        if run.attempt.looped
            || run.attempt.tokens.len() >= self.limit
            || said.len() + 1 >= self.decoder.context()
        {
            run.ended = true;
            return;
        }
        let vector = self.decoder.step(heard, said, &[token]);
        run.logits = self
            .decoder
            .logits(&vector, self.vocabulary.end as usize + 1);
    }
}

struct Run {
    attempt: Attempt,
    /// Log-probability of the token that ended the text.
    end: Option<f32>,
    logits: Vec<f32>,
    draw: Option<Draw>,
    ended: bool,
}

/// The next token and its log-probability.
fn choose(logits: &[f32], draw: Option<&mut Draw>) -> (u32, f32) {
    let index = match draw {
        None => {
            let largest = MaxNum::new(logits).dispatch();
            logits.iter().position(|&logit| logit == largest)
        }
        Some(draw) => draw.index(logits),
    };
    // Logits are finite but for the suppressed ones: there is always a largest.
    let index = index.unwrap_or(0);
    let token = u32::try_from(index).unwrap_or(u32::MAX);
    (token, logits[index] - log_sum(logits))
}

/// Logarithm of the sum of the exponentials.
fn log_sum(logits: &[f32]) -> f32 {
    let largest = MaxNum::new(logits).dispatch();
    largest + SumExpSub::new(logits, largest).dispatch().ln()
}

/// Draws tokens. The same audio always gives the same text.
struct Draw(u32);

impl Draw {
    fn index(&mut self, logits: &[f32]) -> Option<usize> {
        let scaled: Vec<f32> = logits.iter().map(|x| x / RETRY_TEMPERATURE).collect();
        let total = log_sum(&scaled);
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut left = (self.0 >> 8) as f32 / (1 << 24) as f32;
        let mut last = None;
        for (index, logit) in scaled.iter().enumerate() {
            let share = (logit - total).exp();
            if share > 0.0 {
                last = Some(index);
                left -= share;
                if left < 0.0 {
                    break;
                }
            }
        }
        last
    }
}

/// Where a loop begins its first repetition, if the tokens end in one: the same one to
/// twenty tokens again and again, at least four times and `least` tokens in all.
fn repetition(tokens: &[(u32, f32)], least: usize) -> Option<usize> {
    const LONGEST: usize = 20;
    const REPEATS: usize = 4;
    let end = tokens.len();
    (1..=LONGEST).find_map(|period| {
        let length = (REPEATS * period).max(least.next_multiple_of(period));
        let first = end.checked_sub(length)?;
        let repeated = tokens[first..]
            .iter()
            .zip(&tokens[first + period..])
            .all(|(a, b)| a.0 == b.0);
        repeated.then_some(first + period)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(ids: impl IntoIterator<Item = u32>) -> Vec<(u32, f32)> {
        ids.into_iter().map(|id| (id, 0.0)).collect()
    }

    #[test]
    fn loops_are_found_and_their_first_round_is_kept() {
        let words = tokens([7, 8].into_iter().chain([1, 2, 3].repeat(6)));
        assert_eq!(repetition(&words, 16), Some(2 + 3));
        assert_eq!(repetition(&tokens([5; 16]), 16), Some(1));
    }

    #[test]
    fn what_people_repeat_is_no_loop() {
        assert_eq!(repetition(&tokens([5; 12]), 16), None);
        assert_eq!(repetition(&tokens([1, 2, 3].repeat(3)), 4), None);
        assert_eq!(repetition(&tokens(0..60), 4), None);
    }

    #[test]
    fn the_likeliest_token_is_chosen_with_its_logprob() {
        let logits = [0.0, 2.0, f32::NEG_INFINITY, 1.0];
        let (token, logprob) = choose(&logits, None);
        let expected = 2.0 - (1.0 + 1_f32.exp() + 2_f32.exp()).ln();
        assert_eq!(token, 1);
        assert!((logprob - expected).abs() < 1e-4, "{logprob}");
    }

    #[test]
    fn draws_follow_the_distribution_and_never_take_what_is_suppressed() {
        let logits = [1.0, 1.0, f32::NEG_INFINITY];
        let mut draw = Draw(1);
        let drawn: Vec<usize> = (0..64).filter_map(|_| draw.index(&logits)).collect();
        assert_eq!(drawn.len(), 64);
        let zeros = drawn.iter().filter(|&&index| index == 0).count();
        assert!(
            (16..=48).contains(&zeros) && !drawn.contains(&2),
            "{drawn:?}"
        );
    }
}
