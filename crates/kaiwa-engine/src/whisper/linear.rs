//! The two kinds of matrix product: many rows at once for the encoder (`f32`, packed
//! once for the machine's kernels), few rows for the decoder (weights of 8 bits, because
//! a decoder step does little more than read every weight once from memory).

use rayon::prelude::*;
use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::{SimdOp, SimdUnaryOp};
use rten_tensor::{Matrix, NdTensorView};
use rten_vecmath::{Gelu, Normalize, NormalizeOptions, Sum, SumSquareSub};

use super::weights::Weights;
use crate::EngineError;

/// A linear layer for many rows.
pub(super) struct Dense {
    weight: PackedBMatrix<f32>,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl Dense {
    /// Takes a weight of the shape outputs × inputs.
    pub(super) fn new(gemm: &GemmExecutor, weight: &[f32], bias: Vec<f32>) -> Self {
        let outputs = bias.len();
        let inputs = weight.len() / outputs;
        let transposed = NdTensorView::from_data([outputs, inputs], weight);
        Self {
            weight: gemm.prepack_b(transposed.transposed()),
            bias,
            inputs,
            outputs,
        }
    }

    /// Reads the variables `{name}/weight` and `{name}/bias`.
    pub(super) fn load(
        gemm: &GemmExecutor,
        weights: &Weights,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, EngineError> {
        let weight = weights.values(&format!("{name}/weight"), &[outputs, inputs])?;
        let bias = weights.values(&format!("{name}/bias"), &[outputs])?;
        Ok(Self::new(gemm, &weight, bias))
    }

    /// Values per row of the result.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// `x` (rows × inputs) times the weight, plus the bias.
    pub(super) fn apply(&self, gemm: &GemmExecutor, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len() / self.inputs * self.outputs];
        self.run(gemm, matrix(x, self.inputs), &mut out, 0.0);
        out
    }

    /// The same, added to `sum` (rows × outputs).
    pub(super) fn add_to(&self, gemm: &GemmExecutor, x: &[f32], sum: &mut [f32]) {
        self.run(gemm, matrix(x, self.inputs), sum, 1.0);
    }

    /// The same for rows that overlap in memory: row `n` begins at `n * step`.
    pub(super) fn apply_windows(
        &self,
        gemm: &GemmExecutor,
        x: &[f32],
        rows: usize,
        step: usize,
    ) -> Vec<f32> {
        let mut out = vec![0.0; rows * self.outputs];
        let windows = strided(x, [rows, self.inputs], [step, 1]);
        self.run(gemm, windows, &mut out, 0.0);
        out
    }

    fn run(&self, gemm: &GemmExecutor, x: Matrix<'_, f32>, out: &mut [f32], beta: f32) {
        let options = GemmOptions {
            beta,
            bias: Some(BiasVector::Row(&self.bias)),
            ..GemmOptions::default()
        };
        gemm.gemm(
            out,
            GemmInputA::Unpacked(x),
            GemmInputB::Packed(&self.weight),
            options,
        )
        .expect("the shapes were checked when the model was loaded");
    }
}

/// A row-major matrix with `columns` columns.
fn matrix(data: &[f32], columns: usize) -> Matrix<'_, f32> {
    NdTensorView::from_data([data.len() / columns, columns], data)
}

/// A view of `data` with the given strides, which may overlap.
pub(super) fn strided(data: &[f32], shape: [usize; 2], strides: [usize; 2]) -> Matrix<'_, f32> {
    NdTensorView::from_slice_with_strides(shape, data, strides)
        .expect("the callers' strides stay inside their buffers")
}

/// A linear layer for few rows: 8-bit weights with one scale per output.
pub(super) struct Quantized {
    weight: Vec<i8>,
    /// Value of one step of an output's weights.
    scales: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
    /// Largest magnitude of a quantised input for which no sum can overflow.
    input_limit: f32,
}

/// Below this many weights a product is not worth waking another thread for.
const PARALLEL_WEIGHTS: usize = 400_000;

impl Quantized {
    /// Takes a weight of the shape outputs × inputs; no bias if `bias` is empty.
    pub(super) fn new(weight: &[f32], outputs: usize, bias: Vec<f32>) -> Self {
        let inputs = weight.len() / outputs;
        let mut quantized = Vec::with_capacity(weight.len());
        let mut scales = Vec::with_capacity(outputs);
        for row in weight.chunks_exact(inputs) {
            let largest = row.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
            let scale = largest / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            quantized.extend(row.iter().map(|value| (value * inverse).round() as i8));
            scales.push(scale);
        }
        Self {
            weight: quantized,
            scales,
            bias,
            inputs,
            input_limit: (i32::MAX as f32 / 128.0 / inputs as f32)
                .min(f32::from(i16::MAX))
                .floor(),
        }
    }

    /// Reads the variables `{name}/weight` and `{name}/bias`.
    pub(super) fn load(
        weights: &Weights,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, EngineError> {
        let weight = weights.values(&format!("{name}/weight"), &[outputs, inputs])?;
        let bias = weights.values(&format!("{name}/bias"), &[outputs])?;
        Ok(Self::new(&weight, outputs, bias))
    }

    /// The weights of one output, as an embedding of the width `inputs`.
    pub(super) fn row(&self, output: usize) -> impl Iterator<Item = f32> {
        let scale = self.scales[output];
        self.weight[output * self.inputs..(output + 1) * self.inputs]
            .iter()
            .map(move |&weight| f32::from(weight) * scale)
    }

    /// `x` (rows × inputs) times the weight, plus the bias.
    pub(super) fn apply(&self, x: &[f32]) -> Vec<f32> {
        self.apply_first(x, self.scales.len())
    }

    /// The same, added to `sum` (rows × outputs).
    pub(super) fn add_to(&self, x: &[f32], sum: &mut [f32]) {
        for (sum, value) in sum.iter_mut().zip(self.apply(x)) {
            *sum += value;
        }
    }

    /// Only the first `outputs` outputs.
    pub(super) fn apply_first(&self, x: &[f32], outputs: usize) -> Vec<f32> {
        let rows = x.len() / self.inputs;
        let mut inputs = Vec::with_capacity(x.len());
        let mut steps = Vec::with_capacity(rows);
        for row in x.chunks_exact(self.inputs) {
            let largest = row.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
            let step = largest / self.input_limit;
            let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
            // Rounding by adding a half keeps the loop free of calls.
            inputs.extend(row.iter().map(|value| {
                let scaled = value * inverse;
                (scaled + 0.5_f32.copysign(scaled)) as i16
            }));
            steps.push(step);
        }
        // Column-major here (all rows of one output together), so that a weight is read
        // once for all rows and threads write to separate parts.
        let mut by_output = vec![0.0; rows * outputs];
        let fill = |first: usize, out: &mut [f32]| {
            for (offset, out) in out.chunks_exact_mut(rows).enumerate() {
                let output = first + offset;
                let weight = &self.weight[output * self.inputs..(output + 1) * self.inputs];
                let bias = self.bias.get(output).copied().unwrap_or(0.0);
                for ((out, input), step) in out
                    .iter_mut()
                    .zip(inputs.chunks_exact(self.inputs))
                    .zip(&steps)
                {
                    *out = dot(weight, input) as f32 * self.scales[output] * step + bias;
                }
            }
        };
        let threads = rayon::current_num_threads();
        if threads > 1 && rows * outputs * self.inputs >= PARALLEL_WEIGHTS {
            let share = outputs.div_ceil(threads);
            by_output
                .par_chunks_mut(share * rows)
                .enumerate()
                .for_each(|(part, out)| fill(part * share, out));
        } else {
            fill(0, &mut by_output);
        }
        if rows == 1 {
            return by_output;
        }
        let mut out = vec![0.0; rows * outputs];
        for (output, values) in by_output.chunks_exact(rows).enumerate() {
            for (row, value) in values.iter().enumerate() {
                out[row * outputs + output] = *value;
            }
        }
        out
    }
}

/// Written so that the compiler turns it into multiply-and-add-pairs instructions.
fn dot(weights: &[i8], inputs: &[i16]) -> i32 {
    weights
        .iter()
        .zip(inputs)
        .map(|(&weight, &input)| i32::from(weight) * i32::from(input))
        .sum()
}

/// Normalisation of each row to mean 0 and variance 1, then scaled and shifted.
pub(super) struct LayerNorm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl LayerNorm {
    const EPSILON: f32 = 1e-5;

    /// Reads the variables `{name}/gamma` and `{name}/beta`.
    pub(super) fn load(weights: &Weights, name: &str, width: usize) -> Result<Self, EngineError> {
        Ok(Self {
            gamma: weights.values(&format!("{name}/gamma"), &[width])?,
            beta: weights.values(&format!("{name}/beta"), &[width])?,
        })
    }

    pub(super) fn apply(&self, x: &[f32]) -> Vec<f32> {
        let width = self.gamma.len();
        let mut out = x.to_vec();
        for row in out.chunks_exact_mut(width) {
            let mean = Sum::new(row).dispatch() / width as f32;
            let variance = SumSquareSub::new(row, mean).dispatch() / width as f32;
            Normalize::new_mut(
                row,
                NormalizeOptions {
                    pre_scale_bias: mean,
                    scale: 1.0 / (variance + Self::EPSILON).sqrt(),
                    element_scale: Some(&self.gamma),
                    element_bias: Some(&self.beta),
                    ..NormalizeOptions::default()
                },
            )
            .dispatch();
        }
        out
    }
}

/// `x * Φ(x)` for every value, on all threads when there are many.
pub(super) fn gelu(values: &mut [f32]) {
    const SHARE: usize = 16_384;
    if values.len() <= SHARE {
        Gelu {}.map_mut(values);
    } else {
        values
            .par_chunks_mut(SHARE)
            .for_each(|share| Gelu {}.map_mut(share));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values without a pattern, the same at every run.
    fn noise(count: usize) -> Vec<f32> {
        let mut state = 1_u32;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn product(weight: &[f32], bias: &[f32], x: &[f32]) -> Vec<f32> {
        let inputs = weight.len() / bias.len();
        x.chunks_exact(inputs)
            .flat_map(|row| {
                weight
                    .chunks_exact(inputs)
                    .zip(bias)
                    .map(move |(weight, bias)| {
                        weight.iter().zip(row).map(|(w, x)| w * x).sum::<f32>() + bias
                    })
            })
            .collect()
    }

    fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32) {
        assert_eq!(actual.len(), expected.len());
        for (at, (a, e)) in actual.iter().zip(expected).enumerate() {
            assert!((a - e).abs() < tolerance, "at {at}: {a}, expected {e}");
        }
    }

    #[test]
    fn dense_and_quantized_layers_agree_with_the_definition() {
        let (inputs, outputs, rows) = (48, 20, 3);
        let (weight, bias, x) = (
            noise(inputs * outputs),
            noise(outputs),
            noise(rows * inputs),
        );
        let expected = product(&weight, &bias, &x);
        let gemm = GemmExecutor::new();
        let dense = Dense::new(&gemm, &weight, bias.clone());
        assert_close(&dense.apply(&gemm, &x), &expected, 1e-4);
        let quantized = Quantized::new(&weight, outputs, bias);
        assert_close(&quantized.apply(&x), &expected, 0.1);
        assert_close(&quantized.apply_first(&x[..inputs], 7), &expected[..7], 0.1);
        let row: Vec<f32> = quantized.row(2).collect();
        assert_close(&row, &weight[2 * inputs..3 * inputs], 0.01);
    }

    #[test]
    fn overlapping_rows_are_windows_of_the_input() {
        let gemm = GemmExecutor::new();
        let layer = Dense::new(&gemm, &[1.0, 10.0, 100.0], vec![0.5]);
        let out = layer.apply_windows(&gemm, &[1.0, 2.0, 3.0, 4.0, 5.0], 2, 2);
        assert_close(&out, &[321.5, 543.5], 1e-4);
    }

    #[test]
    fn the_largest_inputs_do_not_overflow() {
        let inputs = 2048;
        let layer = Quantized::new(&vec![-1.0; inputs], 1, Vec::new());
        let sum = layer.apply(&vec![-3.0; inputs])[0];
        assert!((sum - 3.0 * inputs as f32).abs() < 1.0, "{sum}");
    }
}
