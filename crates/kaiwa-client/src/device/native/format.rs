//! Samples of any format and number of channels, as mono.

use cpal::{Data, FromSample, Sample, SampleFormat, SizedSample};

/// Appends what was heard, mixed. A format nobody knows is silence.
pub(super) fn mix(data: &Data, channels: usize, out: &mut Vec<f32>) {
    match data.sample_format() {
        SampleFormat::I8 => mixed::<i8>(data, channels, out),
        SampleFormat::I16 => mixed::<i16>(data, channels, out),
        SampleFormat::I24 => mixed::<cpal::I24>(data, channels, out),
        SampleFormat::I32 => mixed::<i32>(data, channels, out),
        SampleFormat::I64 => mixed::<i64>(data, channels, out),
        SampleFormat::U8 => mixed::<u8>(data, channels, out),
        SampleFormat::U16 => mixed::<u16>(data, channels, out),
        SampleFormat::U24 => mixed::<cpal::U24>(data, channels, out),
        SampleFormat::U32 => mixed::<u32>(data, channels, out),
        SampleFormat::U64 => mixed::<u64>(data, channels, out),
        SampleFormat::F32 => mixed::<f32>(data, channels, out),
        SampleFormat::F64 => mixed::<f64>(data, channels, out),
        _ => out.extend(std::iter::repeat_n(0.0, data.len() / channels)),
    }
}

/// Writes mono samples to every channel. What a format nobody knows holds is silence already.
pub(super) fn spread(sound: &[f32], channels: usize, data: &mut Data) {
    match data.sample_format() {
        SampleFormat::I8 => spread_as::<i8>(sound, channels, data),
        SampleFormat::I16 => spread_as::<i16>(sound, channels, data),
        SampleFormat::I24 => spread_as::<cpal::I24>(sound, channels, data),
        SampleFormat::I32 => spread_as::<i32>(sound, channels, data),
        SampleFormat::I64 => spread_as::<i64>(sound, channels, data),
        SampleFormat::U8 => spread_as::<u8>(sound, channels, data),
        SampleFormat::U16 => spread_as::<u16>(sound, channels, data),
        SampleFormat::U24 => spread_as::<cpal::U24>(sound, channels, data),
        SampleFormat::U32 => spread_as::<u32>(sound, channels, data),
        SampleFormat::U64 => spread_as::<u64>(sound, channels, data),
        SampleFormat::F32 => spread_as::<f32>(sound, channels, data),
        SampleFormat::F64 => spread_as::<f64>(sound, channels, data),
        _ => {}
    }
}

fn mixed<T>(data: &Data, channels: usize, out: &mut Vec<f32>)
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let frames = data.as_slice::<T>().unwrap_or_default();
    out.extend(frames.chunks_exact(channels).map(|frame| {
        let sum: f32 = frame.iter().map(|&sample| f32::from_sample(sample)).sum();
        sum / channels as f32
    }));
}

fn spread_as<T>(sound: &[f32], channels: usize, data: &mut Data)
where
    T: SizedSample + FromSample<f32>,
{
    let frames = data.as_slice_mut::<T>().unwrap_or_default();
    for (frame, &sample) in frames.chunks_exact_mut(channels).zip(sound) {
        frame.fill(T::from_sample(sample.clamp(-1.0, 1.0)));
    }
}
