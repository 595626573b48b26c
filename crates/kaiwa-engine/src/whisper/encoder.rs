use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_simd::SimdOp;
use rten_vecmath::Softmax;

use super::{
    linear::{Dense, LayerNorm, gelu, strided},
    weights::Weights,
};
use crate::{Cancel, ComputeBudget, EngineError, mel::BANDS};

/// Turns a log-mel spectrogram into one vector per 20 ms.
pub(super) struct Encoder {
    conv1: Dense,
    conv2: Dense,
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: LayerNorm,
    width: usize,
    heads: usize,
}

struct Layer {
    attention_norm: LayerNorm,
    /// Query, key and value, one after the other.
    qkv: Dense,
    out: Dense,
    feed_norm: LayerNorm,
    feed_in: Dense,
    feed_out: Dense,
}

/// Frames of the spectrogram that a convolution looks at.
const KERNEL: usize = 3;

impl Encoder {
    pub(super) fn load(weights: &Weights, gemm: &GemmExecutor) -> Result<Self, EngineError> {
        let width = weights.shape("encoder/conv1/weight", 3)?[0];
        let heads = weights.count("encoder/num_heads")?;
        if width == 0 || heads == 0 || !width.is_multiple_of(heads) {
            return Err(weights.error(format_args!(
                "{heads} attention heads cannot share a width of {width}"
            )));
        }
        let context = weights.shape("encoder/position_encodings/encodings", 2)?[0];
        let positions =
            weights.values("encoder/position_encodings/encodings", &[context, width])?;
        let mut layers = Vec::new();
        while weights.has(&format!(
            "encoder/layer_{}/ffn/linear_0/weight",
            layers.len()
        )) {
            let name = format!("encoder/layer_{}", layers.len());
            layers.push(Layer::load(weights, gemm, &name, width)?);
        }
        Ok(Self {
            conv1: convolution(weights, gemm, "encoder/conv1", width, BANDS)?,
            conv2: convolution(weights, gemm, "encoder/conv2", width, width)?,
            positions,
            layers,
            norm: LayerNorm::load(weights, "encoder/layer_norm", width)?,
            width,
            heads,
        })
    }

    /// Width of a vector.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The most vectors it can give; twice as many frames go in.
    pub(super) fn context(&self) -> usize {
        self.positions.len() / self.width
    }

    /// Encodes `mel` ([`BANDS`] values per frame, an even number of frames, at most twice
    /// [`context`](Self::context)): one vector per two frames. `None` if cancelled.
    pub(super) fn encode(
        &self,
        gemm: &GemmExecutor,
        mel: &[f32],
        budget: &ComputeBudget,
        cancel: &Cancel,
    ) -> Option<Vec<f32>> {
        let pool = budget.pool();
        let mut x = {
            let _slot = budget.slot(true);
            pool.run(|| self.convolve(gemm, mel))
        };
        for layer in &self.layers {
            if cancel.is_cancelled() {
                return None;
            }
            let _slot = budget.slot(true);
            pool.run(|| layer.apply(gemm, &mut x, self.heads));
        }
        Some(self.norm.apply(&x))
    }

    fn convolve(&self, gemm: &GemmExecutor, mel: &[f32]) -> Vec<f32> {
        let frames = mel.len() / BANDS;
        let padded = [&[0.0; BANDS][..], mel, &[0.0; BANDS]].concat();
        let mut first = self.conv1.apply_windows(gemm, &padded, frames, BANDS);
        gelu(&mut first);
        let edge = vec![0.0; self.width];
        let padded = [&edge[..], &first, &edge].concat();
        let mut x = self
            .conv2
            .apply_windows(gemm, &padded, frames / 2, 2 * self.width);
        gelu(&mut x);
        for (x, position) in x.iter_mut().zip(&self.positions) {
            *x += position;
        }
        x
    }
}

/// A convolution over [`KERNEL`] frames as a linear layer on their values, one after the
/// other. The file stores outputs × inputs × kernel.
fn convolution(
    weights: &Weights,
    gemm: &GemmExecutor,
    name: &str,
    outputs: usize,
    inputs: usize,
) -> Result<Dense, EngineError> {
    let stored = weights.values(&format!("{name}/weight"), &[outputs, inputs, KERNEL])?;
    let bias = weights.values(&format!("{name}/bias"), &[outputs])?;
    let mut weight = Vec::with_capacity(stored.len());
    for output in stored.chunks_exact(inputs * KERNEL) {
        for tap in 0..KERNEL {
            weight.extend(output.chunks_exact(KERNEL).map(|taps| taps[tap]));
        }
    }
    Ok(Dense::new(gemm, &weight, bias))
}

impl Layer {
    fn load(
        weights: &Weights,
        gemm: &GemmExecutor,
        name: &str,
        width: usize,
    ) -> Result<Self, EngineError> {
        let hidden = weights.shape(&format!("{name}/ffn/linear_0/weight"), 2)?[0];
        let dense = |part: &str, outputs, inputs| {
            Dense::load(gemm, weights, &format!("{name}/{part}"), outputs, inputs)
        };
        let norm = |part: &str| LayerNorm::load(weights, &format!("{name}/{part}"), width);
        Ok(Self {
            attention_norm: norm("self_attention/layer_norm")?,
            qkv: dense("self_attention/linear_0", 3 * width, width)?,
            out: dense("self_attention/linear_1", width, width)?,
            feed_norm: norm("ffn/layer_norm")?,
            feed_in: dense("ffn/linear_0", hidden, width)?,
            feed_out: dense("ffn/linear_1", width, hidden)?,
        })
    }

    fn apply(&self, gemm: &GemmExecutor, x: &mut [f32], heads: usize) {
        let qkv = self.qkv.apply(gemm, &self.attention_norm.apply(x));
        let attended = attention(gemm, &qkv, self.out.outputs(), heads);
        self.out.add_to(gemm, &attended, x);
        let mut hidden = self.feed_in.apply(gemm, &self.feed_norm.apply(x));
        gelu(&mut hidden);
        self.feed_out.add_to(gemm, &hidden, x);
    }
}

/// Every row attends to all rows. `qkv` holds query, key and value of a row one after the
/// other; the result has the width of one of them.
///
/// A task is one head and a block of queries, so that its scores stay in the cache
/// between the two products and the softmax.
fn attention(gemm: &GemmExecutor, qkv: &[f32], width: usize, heads: usize) -> Vec<f32> {
    const BLOCK: usize = 128;
    let size = width / heads;
    let stride = 3 * width;
    let rows = qkv.len() / stride;
    let tasks: Vec<(usize, usize)> = (0..heads)
        .flat_map(|head| (0..rows).step_by(BLOCK).map(move |first| (head, first)))
        .collect();
    let scale = (size as f32).powf(-0.5);
    let parts: Vec<Vec<f32>> = tasks
        .par_iter()
        .map(|&(head, first)| {
            let count = BLOCK.min(rows - first);
            let query = &qkv[first * stride + head * size..];
            let key = &qkv[width + head * size..];
            let value = &qkv[2 * width + head * size..];
            let mut scores = vec![0.0; count * rows];
            gemm.gemm(
                &mut scores,
                GemmInputA::Unpacked(strided(query, [count, size], [stride, 1])),
                GemmInputB::Unpacked(strided(key, [size, rows], [1, stride])),
                GemmOptions {
                    alpha: scale,
                    ..GemmOptions::default()
                },
            )
            .expect("both have the head's size");
            for row in scores.chunks_exact_mut(rows) {
                Softmax::new_mut(row).dispatch();
            }
            let mut mixed = vec![0.0; count * size];
            gemm.gemm(
                &mut mixed,
                GemmInputA::Unpacked(strided(&scores, [count, rows], [rows, 1])),
                GemmInputB::Unpacked(strided(value, [rows, size], [stride, 1])),
                GemmOptions::default(),
            )
            .expect("there is one value per score");
            mixed
        })
        .collect();
    let mut out = vec![0.0; rows * width];
    for (&(head, first), part) in tasks.iter().zip(&parts) {
        for (offset, values) in part.chunks_exact(size).enumerate() {
            let at = (first + offset) * width + head * size;
            out[at..at + size].copy_from_slice(values);
        }
    }
    out
}
