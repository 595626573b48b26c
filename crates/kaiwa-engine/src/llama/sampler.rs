//! How the next token is chosen.

use llama_cpp_2::{
    context::LlamaContext, model::LlamaModel, sampling::LlamaSampler, token::LlamaToken,
    token::data_array::LlamaTokenDataArray,
};

use crate::{EngineError, EngineErrorKind, Sampling};

/// A token among the last [`PENALISED_TOKENS`] of this answer has its logit divided
/// (or multiplied, when negative) by this: as light as it can be, for a higher one makes
/// small models avoid words they need.
const REPEAT_PENALTY: f32 = 1.1;

/// How far back the penalty looks, in tokens.
const PENALISED_TOKENS: i32 = 64;

/// A token that would repeat the last `n` tokens together with what followed them before
/// has `DRY_STRENGTH * DRY_GROWTH ^ (n - DRY_FREE_TOKENS)` taken from its logit, for `n`
/// from `DRY_FREE_TOKENS` on ("don't repeat yourself", with its author's figures). It
/// ends loops, which the penalty above alone does not: greedy Qwen2.5-0.5B packed forty
/// sunglasses.
const DRY_STRENGTH: f32 = 0.8;
const DRY_GROWTH: f32 = 1.75;
const DRY_FREE_TOKENS: i32 = 2;

/// Repeating across these is not counted.
const DRY_BREAKERS: [&str; 4] = ["\n", ":", "\"", "*"];

/// Tokens less likely than this share of the likeliest one's probability are never drawn.
const MIN_P: f32 = 0.05;

/// The draw is among the likeliest tokens that together have this probability.
const TOP_P: f32 = 0.95;

/// The draw is among this many tokens (llama.cpp's default; it also makes the draw cheap).
const TOP_K: i32 = 40;

/// The state of one answer's draws.
pub(super) struct Sampler {
    chain: LlamaSampler,
    grammar: Option<LlamaSampler>,
}

impl Sampler {
    /// A sampler at the beginning of an answer. The prompt is not penalised: users ask
    /// about the words they have just said.
    pub(super) fn text(model: &LlamaModel, sampling: Sampling) -> Self {
        let penalties =
            LlamaSampler::penalties(model.n_vocab(), PENALISED_TOKENS, REPEAT_PENALTY, 0.0, 0.0);
        let dry = LlamaSampler::dry(
            model,
            DRY_STRENGTH,
            DRY_GROWTH,
            DRY_FREE_TOKENS,
            PENALISED_TOKENS,
            DRY_BREAKERS,
        );
        Self {
            chain: chain(vec![penalties, dry], sampling),
            grammar: None,
        }
    }

    /// A sampler that draws nothing but what `grammar` allows. JSON repeats itself, so
    /// that nothing is penalised.
    pub(super) fn held_by(
        grammar: &str,
        model: &LlamaModel,
        sampling: Sampling,
    ) -> Result<Self, EngineError> {
        let grammar = LlamaSampler::grammar(model, grammar, "root").map_err(|error| {
            EngineError::new(
                EngineErrorKind::Unsupported,
                format!("the functions' schemas cannot be followed: {error}"),
            )
        })?;
        Ok(Self {
            chain: chain(Vec::new(), sampling),
            grammar: Some(grammar),
        })
    }

    /// Draws the token after the context's last one.
    pub(super) fn draw(&mut self, context: &LlamaContext<'_>) -> Result<LlamaToken, EngineError> {
        let Some(grammar) = &mut self.grammar else {
            return Ok(self.chain.sample(context, -1));
        };
        // Most draws are allowed; asking the grammar about the whole vocabulary is slow.
        let candidates = context.token_data_array_ith(-1);
        let mut drawn = pick(&mut self.chain, candidates.clone())?;
        let only = candidates.data.iter().find(|data| data.id() == drawn);
        let mut asked = LlamaTokenDataArray::from_iter(only.copied(), false);
        grammar.apply(&mut asked);
        if asked
            .data
            .iter()
            .all(|data| data.logit() == f32::NEG_INFINITY)
        {
            let mut allowed = candidates;
            grammar.apply(&mut allowed);
            drawn = pick(&mut self.chain, allowed)?;
        }
        grammar.try_accept(drawn).map_err(EngineError::failed)?;
        self.chain.accept(drawn);
        Ok(drawn)
    }
}

fn chain(mut steps: Vec<LlamaSampler>, sampling: Sampling) -> LlamaSampler {
    let temperature = sampling.temperature.unwrap_or_default();
    if temperature > 0.0 {
        steps.extend([
            LlamaSampler::top_k(TOP_K),
            LlamaSampler::top_p(TOP_P, 1),
            LlamaSampler::min_p(MIN_P, 1),
            LlamaSampler::temp(temperature),
            LlamaSampler::dist(sampling.seed),
        ]);
    } else {
        steps.push(LlamaSampler::greedy());
    }
    LlamaSampler::chain(steps, true)
}

fn pick(
    chain: &mut LlamaSampler,
    mut candidates: LlamaTokenDataArray,
) -> Result<LlamaToken, EngineError> {
    chain.apply(&mut candidates);
    candidates
        .selected_token()
        .ok_or_else(|| EngineError::failed("no token could be drawn"))
}
