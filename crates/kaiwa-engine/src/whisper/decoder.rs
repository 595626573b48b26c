use rten_gemm::GemmExecutor;
use rten_simd::SimdOp;
use rten_vecmath::Softmax;

use super::{
    linear::{Dense, LayerNorm, Quantized, gelu},
    weights::Weights,
};
use crate::{ComputeBudget, EngineError};

/// Turns the encoder's vectors and the tokens so far into the next token's logits.
pub(super) struct Decoder {
    /// Both the tokens' vectors and the last projection.
    embedding: Quantized,
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: LayerNorm,
    width: usize,
    heads: usize,
    vocabulary: usize,
}

struct Layer {
    self_norm: LayerNorm,
    /// Query, key and value, one after the other.
    self_qkv: Quantized,
    self_out: Quantized,
    cross_norm: LayerNorm,
    cross_query: Quantized,
    /// Key and value of the encoder's vectors, one after the other.
    cross_kv: Dense,
    cross_out: Quantized,
    feed_norm: LayerNorm,
    feed_in: Quantized,
    feed_out: Quantized,
}

/// Keys and values of the encoder's vectors per layer: what every decoder step looks at.
pub(super) struct Heard {
    layers: Vec<Vec<f32>>,
    /// Floats per vector and layer.
    stride: usize,
}

impl Heard {
    /// Appends `count` vectors of `other` that follow this one's in time (fewer where
    /// `other` ends). Both begin at time 0.
    pub(super) fn continue_with(&mut self, other: &Self, count: usize) {
        for (layer, other) in self.layers.iter_mut().zip(&other.layers) {
            let start = layer.len().min(other.len());
            let end = (start + count * self.stride).min(other.len());
            layer.extend_from_slice(&other[start..end]);
        }
    }
}

/// Keys and values of the tokens so far per layer.
pub(super) struct Said {
    layers: Vec<Vec<f32>>,
    tokens: usize,
    /// Floats per token and layer.
    stride: usize,
}

impl Said {
    /// Tokens so far.
    pub(super) fn len(&self) -> usize {
        self.tokens
    }

    /// Forgets all but the first `tokens` tokens.
    pub(super) fn truncate(&mut self, tokens: usize) {
        self.tokens = tokens.min(self.tokens);
        for layer in &mut self.layers {
            layer.truncate(self.tokens * self.stride);
        }
    }
}

impl Decoder {
    pub(super) fn load(
        weights: &Weights,
        gemm: &GemmExecutor,
        width: usize,
    ) -> Result<Self, EngineError> {
        let heads = weights.count("decoder/num_heads")?;
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(weights.error(format_args!(
                "{heads} attention heads cannot share a width of {width}"
            )));
        }
        let vocabulary = weights.shape("decoder/embeddings/weight", 2)?[0];
        let embedding = weights.values("decoder/embeddings/weight", &[vocabulary, width])?;
        let context = weights.shape("decoder/position_encodings/encodings", 2)?[0];
        let mut layers = Vec::new();
        while weights.has(&format!(
            "decoder/layer_{}/ffn/linear_0/weight",
            layers.len()
        )) {
            let name = format!("decoder/layer_{}", layers.len());
            layers.push(Layer::load(weights, gemm, &name, width)?);
        }
        Ok(Self {
            embedding: Quantized::new(&embedding, vocabulary, Vec::new()),
            positions: weights.values("decoder/position_encodings/encodings", &[context, width])?,
            layers,
            norm: LayerNorm::load(weights, "decoder/layer_norm", width)?,
            width,
            heads,
            vocabulary,
        })
    }

    /// Tokens the model knows.
    pub(super) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The most tokens it can look back on.
    pub(super) fn context(&self) -> usize {
        self.positions.len() / self.width
    }

    /// Prepares what is attended to in every step.
    pub(super) fn hear(
        &self,
        gemm: &GemmExecutor,
        encoded: &[f32],
        budget: &ComputeBudget,
    ) -> Heard {
        let pool = budget.pool();
        let _slot = budget.slot(true);
        let layers = pool.run(|| {
            let layers = self.layers.iter();
            layers
                .map(|layer| layer.cross_kv.apply(gemm, encoded))
                .collect()
        });
        Heard {
            layers,
            stride: 2 * self.width,
        }
    }

    /// No tokens yet.
    pub(super) fn start(&self) -> Said {
        Said {
            layers: vec![Vec::new(); self.layers.len()],
            tokens: 0,
            stride: 2 * self.width,
        }
    }

    /// Appends tokens (known ones, within the context) to `said`; one vector per token.
    pub(super) fn step(&self, heard: &Heard, said: &mut Said, tokens: &[u32]) -> Vec<f32> {
        let mut x = Vec::with_capacity(tokens.len() * self.width);
        for (offset, &token) in tokens.iter().enumerate() {
            let at = (said.tokens + offset) * self.width;
            let position = &self.positions[at..at + self.width];
            x.extend(
                self.embedding
                    .row(token as usize)
                    .zip(position)
                    .map(|(value, position)| value + position),
            );
        }
        for ((layer, heard), said) in self.layers.iter().zip(&heard.layers).zip(&mut said.layers) {
            layer.apply(&mut x, heard, said, self.width, self.heads);
        }
        said.tokens += tokens.len();
        self.norm.apply(&x)
    }

    /// The logits of the first `count` tokens of the vocabulary, given one vector that
    /// [`step`](Self::step) gave.
    pub(super) fn logits(&self, vector: &[f32], count: usize) -> Vec<f32> {
        self.embedding.apply_first(vector, count)
    }

    /// The last vector of several.
    pub(super) fn last<'a>(&self, vectors: &'a [f32]) -> &'a [f32] {
        &vectors[vectors.len() - self.width..]
    }
}

impl Layer {
    fn load(
        weights: &Weights,
        gemm: &GemmExecutor,
        name: &str,
        width: usize,
    ) -> Result<Self, EngineError> {
        let hidden = weights.shape(&format!("{name}/ffn/linear_0/weight"), 2)?[0];
        let layer = |part: &str, outputs, inputs| {
            Quantized::load(weights, &format!("{name}/{part}"), outputs, inputs)
        };
        let norm = |part: &str| LayerNorm::load(weights, &format!("{name}/{part}"), width);
        Ok(Self {
            self_norm: norm("self_attention/layer_norm")?,
            self_qkv: layer("self_attention/linear_0", 3 * width, width)?,
            self_out: layer("self_attention/linear_1", width, width)?,
            cross_norm: norm("attention/layer_norm")?,
            cross_query: layer("attention/linear_0", width, width)?,
            cross_kv: Dense::load(
                gemm,
                weights,
                &format!("{name}/attention/linear_1"),
                2 * width,
                width,
            )?,
            cross_out: layer("attention/linear_2", width, width)?,
            feed_norm: norm("ffn/layer_norm")?,
            feed_in: layer("ffn/linear_0", hidden, width)?,
            feed_out: layer("ffn/linear_1", width, hidden)?,
        })
    }

    fn apply(&self, x: &mut [f32], heard: &[f32], said: &mut Vec<f32>, width: usize, heads: usize) {
        let qkv = self.self_qkv.apply(&self.self_norm.apply(x));
        let mut attended = vec![0.0; x.len()];
        for (row, out) in qkv
            .chunks_exact(3 * width)
            .zip(attended.chunks_exact_mut(width))
        {
            let (query, kv) = row.split_at(width);
            // A token sees itself and what came before it.
            said.extend_from_slice(kv);
            attend(query, said, heads, out);
        }
        self.self_out.add_to(&attended, x);

        let queries = self.cross_query.apply(&self.cross_norm.apply(x));
        for (query, out) in queries
            .chunks_exact(width)
            .zip(attended.chunks_exact_mut(width))
        {
            attend(query, heard, heads, out);
        }
        self.cross_out.add_to(&attended, x);

        let mut hidden = self.feed_in.apply(&self.feed_norm.apply(x));
        gelu(&mut hidden);
        self.feed_out.add_to(&hidden, x);
    }
}

/// One query attends to rows of keys and values (one after the other in `kv`).
fn attend(query: &[f32], kv: &[f32], heads: usize, out: &mut [f32]) {
    let width = query.len();
    let size = width / heads;
    let scale = (size as f32).powf(-0.5);
    let mut scores = vec![0.0; kv.len() / (2 * width)];
    for (head, out) in out.chunks_exact_mut(size).enumerate() {
        let at = head * size;
        let query = &query[at..at + size];
        for (score, row) in scores.iter_mut().zip(kv.chunks_exact(2 * width)) {
            *score = scale * dot(query, &row[at..at + size]);
        }
        Softmax::new_mut(&mut scores).dispatch();
        out.fill(0.0);
        for (score, row) in scores.iter().zip(kv.chunks_exact(2 * width)) {
            let value = &row[width + at..width + at + size];
            for (out, value) in out.iter_mut().zip(value) {
                *out += score * value;
            }
        }
    }
}

/// A dot product in lanes, so that the compiler may compute several sums at once.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
