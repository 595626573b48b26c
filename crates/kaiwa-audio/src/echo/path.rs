//! A simulated way from a loudspeaker to a microphone, to try things on.

use realfft::{RealFftPlanner, num_complex::Complex32};

/// Where a room response begins before its strongest sample, in samples: 1 ms.
const ONSET: usize = 24;

/// The way of a sound from the speaker to the microphone: delay, loss and room.
#[derive(Clone, Debug)]
pub struct EchoPath {
    response: Vec<f32>,
}

impl EchoPath {
    /// A path on which the direct sound takes `delay` samples and the echo has `gain_db` against
    /// what was played, if that was white. `room` is an impulse response at 24 kHz,
    /// as loud and as late as it may be; an empty or silent one is no room at all.
    #[must_use]
    pub fn new(delay: usize, gain_db: f32, room: &[f32]) -> Self {
        let peak = room.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        let first = room.iter().position(|x| x.abs() >= peak).unwrap_or(0);
        let room = &room[first.saturating_sub(ONSET)..];
        let energy: f32 = room.iter().map(|x| x * x).sum();
        let mut response = vec![0.0; delay];
        let gain = 10f32.powf(gain_db / 20.0);
        if energy > 0.0 {
            response.extend(room.iter().map(|x| x * gain / energy.sqrt()));
        } else {
            response.push(gain);
        }
        Self { response }
    }

    /// What of `played` arrives at the microphone, in as many samples.
    #[must_use]
    pub fn echo(&self, played: &[f32]) -> Vec<f32> {
        // One transform over everything: as many samples as both have, so nothing wraps around.
        let length = (played.len() + self.response.len()).next_power_of_two();
        let mut planner = RealFftPlanner::<f32>::new();
        let (forward, back) = (
            planner.plan_fft_forward(length),
            planner.plan_fft_inverse(length),
        );
        let transform = |samples: &[f32]| {
            let mut input = forward.make_input_vec();
            input[..samples.len()].copy_from_slice(samples);
            let mut output = forward.make_output_vec();
            let done = forward.process(&mut input, &mut output);
            debug_assert!(done.is_ok(), "the buffers are the transform's own");
            output
        };
        let mut bins: Vec<Complex32> = transform(played)
            .iter()
            .zip(transform(&self.response))
            .map(|(a, b)| a * b)
            .collect();
        let mut output = back.make_output_vec();
        let done = back.process(&mut bins, &mut output);
        debug_assert!(done.is_ok(), "a product of real signals' spectra");
        output.truncate(played.len());
        for sample in &mut output {
            *sample /= length as f32;
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_a_room_delays_and_attenuates() {
        let mut played = vec![0.0; 100];
        played[3] = 1.0;
        let echo = EchoPath::new(40, -20.0, &[]).echo(&played);
        assert_eq!(echo.len(), 100);
        for (n, sample) in echo.iter().enumerate() {
            let expected = if n == 43 { 0.1 } else { 0.0 };
            assert!((sample - expected).abs() < 1e-6, "{n}: {sample}");
        }
    }

    #[test]
    fn a_room_is_brought_to_its_place_and_level() {
        let mut room = vec![0.0; 1_000];
        room[500] = 3.0;
        room[510] = -4.0;
        let mut played = vec![0.0; 100];
        played[0] = 1.0;
        let echo = EchoPath::new(10, 0.0, &room).echo(&played);
        // The strongest is 24 samples after its beginning.
        assert!((echo[34] + 0.8).abs() < 1e-6 && (echo[24] - 0.6).abs() < 1e-6);
    }

    #[test]
    fn nothing_played_is_nothing_heard() {
        assert!(EchoPath::new(10, 0.0, &[1.0]).echo(&[]).is_empty());
    }
}
