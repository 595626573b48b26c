//! A simulated way from a loudspeaker to a microphone, to try things on.

use std::{collections::VecDeque, fmt, sync::Arc};

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex32};

use super::FRAME;

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
        let transform = |samples: &[f32]| transformed(&*forward, samples);
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

/// The same way, 20 ms by 20 ms: for what is not known beforehand.
pub struct RunningEcho {
    forward: Arc<dyn RealToComplex<f32>>,
    back: Arc<dyn ComplexToReal<f32>>,
    /// Spectra of the response, a frame each.
    response: Vec<Vec<Complex32>>,
    /// Of what was played, two frames each, the newest first.
    played: VecDeque<Vec<Complex32>>,
    last: [f32; FRAME],
}

impl EchoPath {
    /// A speaker in this room that has played nothing yet.
    #[must_use]
    pub fn running(&self) -> RunningEcho {
        let mut planner = RealFftPlanner::new();
        let forward = planner.plan_fft_forward(2 * FRAME);
        let spectrum = |frame: &[f32]| transformed(&*forward, frame);
        let response: Vec<_> = self.response.chunks(FRAME).map(spectrum).collect();
        RunningEcho {
            back: planner.plan_fft_inverse(2 * FRAME),
            played: VecDeque::from(vec![forward.make_output_vec(); response.len()]),
            response,
            last: [0.0; FRAME],
            forward,
        }
    }
}

impl RunningEcho {
    /// What the microphone hears in the 20 ms in which this is played.
    pub fn push(&mut self, played: &[f32; FRAME]) -> [f32; FRAME] {
        let both = [self.last, *played].concat();
        self.last = *played;
        self.played.pop_back();
        self.played.push_front(transformed(&*self.forward, &both));
        let mut sum = self.forward.make_output_vec();
        for (played, response) in self.played.iter().zip(&self.response) {
            for ((sum, a), b) in sum.iter_mut().zip(played).zip(response) {
                *sum += a * b;
            }
        }
        let mut output = self.back.make_output_vec();
        let done = self.back.process(&mut sum, &mut output);
        debug_assert!(done.is_ok(), "a product of real signals' spectra");
        // The first half is what wraps around.
        std::array::from_fn(|n| output[FRAME + n] / (2 * FRAME) as f32)
    }
}

impl fmt::Debug for RunningEcho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningEcho")
            .field("frames", &self.response.len())
            .finish_non_exhaustive()
    }
}

/// The spectrum of samples, filled up with silence.
fn transformed(transform: &dyn RealToComplex<f32>, samples: &[f32]) -> Vec<Complex32> {
    let mut input = transform.make_input_vec();
    input[..samples.len()].copy_from_slice(samples);
    let mut output = transform.make_output_vec();
    let done = transform.process(&mut input, &mut output);
    debug_assert!(done.is_ok(), "the buffers are the transform's own");
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_by_frame_it_is_the_same_way() {
        let room: Vec<f32> = (0..2_000u32)
            .map(|n| (n * n % 17) as f32 * (-(n as f32) / 300.0).exp())
            .collect();
        let path = EchoPath::new(700, -6.0, &room);
        let played: Vec<f32> = (0..20 * FRAME as u32)
            .map(|n| (n * n % 31) as f32 / 31.0 - 0.5)
            .collect();
        let mut running = path.running();
        let frames = played.as_chunks::<FRAME>().0.iter();
        let heard: Vec<f32> = frames.flat_map(|frame| running.push(frame)).collect();
        for (n, (heard, whole)) in heard.iter().zip(path.echo(&played)).enumerate() {
            assert!((heard - whole).abs() < 1e-4, "{n}: {heard} {whole}");
        }
    }

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
