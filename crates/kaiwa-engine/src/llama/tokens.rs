//! The tokens in a conversation's context, and how a new prompt continues them.

use llama_cpp_2::{model::LlamaModel, token::LlamaToken};

/// What the tokenizer of a model is asked for.
pub(super) trait Vocabulary {
    /// The text of a token, markers included; nothing for the one that begins every text.
    fn text_of(&self, token: LlamaToken) -> Vec<u8>;

    /// The tokens of a text. `beginning` is set at the beginning of a context.
    fn tokenised(&self, text: &str, beginning: bool) -> Vec<LlamaToken>;
}

impl Vocabulary for LlamaModel {
    fn text_of(&self, token: LlamaToken) -> Vec<u8> {
        let vocab = self.vocab();
        if vocab.should_add_bos() && token == vocab.bos() {
            Vec::new()
        } else {
            vocab.token_to_piece(token, true, None)
        }
    }

    fn tokenised(&self, text: &str, beginning: bool) -> Vec<LlamaToken> {
        self.vocab().tokenize(text.as_bytes(), beginning, true)
    }
}

/// Tokens and the text they stand for.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    ids: Vec<LlamaToken>,
    text: Vec<u8>,
    /// Where each token's text ends.
    ends: Vec<usize>,
}

impl Tokens {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn push(&mut self, vocabulary: &impl Vocabulary, token: LlamaToken) {
        self.ids.push(token);
        self.text.extend(vocabulary.text_of(token));
        self.ends.push(self.text.len());
    }

    /// Keeps the first `len` tokens.
    pub(super) fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
        self.ends.truncate(len);
        self.text.truncate(self.text_len(self.ends.len()));
    }

    /// Bytes of text that the first `len` tokens stand for.
    pub(super) fn text_len(&self, len: usize) -> usize {
        len.checked_sub(1).map_or(0, |last| self.ends[last])
    }

    /// How many tokens' text ends within the first `bytes`.
    pub(super) fn within(&self, bytes: usize) -> usize {
        self.ends.partition_point(|end| *end <= bytes)
    }

    /// The tokens of `prompt`, and how many of them are the first ones here.
    ///
    /// A generated answer is kept as the tokens that were drawn, which need not be the
    /// ones its text is split into. Where the prompt's text goes on with a control marker
    /// (`<|im_end|>`) the tokenizer starts anew, so up to there the tokens here serve as
    /// they are; only the text after the last such place is tokenised.
    pub(super) fn continued_by(
        &self,
        vocabulary: &impl Vocabulary,
        markers: &[String],
        prompt: &str,
    ) -> (Vec<LlamaToken>, usize) {
        let shared = common_prefix(&self.text, prompt.as_bytes());
        let restart = self.ends[..self.within(shared)]
            .iter()
            .rposition(|end| {
                // A token may end inside a character, a marker never begins there.
                prompt.get(*end..).is_some_and(|rest| {
                    markers
                        .iter()
                        .any(|marker| rest.starts_with(marker.as_str()))
                })
            })
            .map_or(0, |last| last + 1);
        let mut ids = self.ids[..restart].to_vec();
        ids.extend(vocabulary.tokenised(&prompt[self.text_len(restart)..], restart == 0));
        let same = common_prefix(&self.ids, &ids);
        (ids, same)
    }
}

fn common_prefix<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One token for each character, for `|` (the marker), and for "ab" (as a tokenizer
    /// would split it; a model may as well draw "a" and "b").
    struct Letters;

    impl Vocabulary for Letters {
        fn text_of(&self, token: LlamaToken) -> Vec<u8> {
            match token.0 {
                0 => b"ab".to_vec(),
                other => vec![other as u8],
            }
        }

        fn tokenised(&self, text: &str, _beginning: bool) -> Vec<LlamaToken> {
            text.replace("ab", "\0")
                .bytes()
                .map(|byte| LlamaToken(byte.into()))
                .collect()
        }
    }

    fn holding(text: &str) -> Tokens {
        let mut tokens = Tokens::default();
        for byte in text.bytes() {
            tokens.push(&Letters, LlamaToken(byte.into()));
        }
        tokens
    }

    fn markers() -> Vec<String> {
        vec!["|".to_owned()]
    }

    #[test]
    fn drawn_tokens_serve_when_a_marker_follows_their_text() {
        let held = holding("|xabab");
        let (ids, same) = held.continued_by(&Letters, &markers(), "|xabab|ab");
        assert_eq!(same, held.len());
        assert_eq!(ids.len(), held.len() + 2);
    }

    #[test]
    fn a_changed_text_is_tokenised_from_the_last_marker() {
        // The answer "x", "a", "b", "ab" was cut inside its last token.
        let mut held = holding("|q|xab");
        held.push(&Letters, LlamaToken(0));
        let (ids, same) = held.continued_by(&Letters, &markers(), "|q|xaba|n");
        assert_eq!(ids, Letters.tokenised("|q|xaba|n", true));
        assert_eq!(same, 4);
    }

    #[test]
    fn an_answer_cut_between_tokens_serves_as_it_is() {
        let held = holding("|q|xabab");
        let (_, same) = held.continued_by(&Letters, &markers(), "|q|xab|n");
        assert_eq!(same, 6);
    }

    #[test]
    fn another_conversation_shares_nothing() {
        let (ids, same) = holding("|abc").continued_by(&Letters, &markers(), "xabc");
        assert_eq!((ids.len(), same), (3, 0));
    }

    #[test]
    fn truncated_tokens_continue_where_they_end() {
        let mut held = holding("|abcd|e");
        held.truncate(3);
        let (ids, same) = held.continued_by(&Letters, &markers(), "|ab|e");
        assert_eq!((ids.len(), same), (5, 3));
    }
}
