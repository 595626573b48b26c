use sonora::{AudioProcessing, Config, StreamConfig, config};

use super::{BLOCK, FRAME, VoiceOptions, gate::{Canceller, Gate}, reference::Reference};
use crate::WIRE_RATE_HZ;


pub struct VoiceProcessor {
    apm: AudioProcessing,
    reference: Reference,
    pub due: [f32; FRAME],
    gate: Option<Gate>,
    pub silenced: bool,
}

impl VoiceProcessor {
    pub fn new(options: VoiceOptions) -> Self {
        let stream = StreamConfig::new(WIRE_RATE_HZ, 1);
        let config = Config {
            high_pass_filter: None,
            echo_canceller: options.echo_cancellation.then(config::EchoCanceller::default),
            noise_suppression: options.noise_reduction.level().map(|level| config::NoiseSuppression { level, ..Default::default() }),
            gain_controller2: options.gain_control.then(|| config::GainController2 { adaptive_digital: Some(Default::default()), ..Default::default() }),
            ..Default::default()
        };
        Self {
            apm: AudioProcessing::builder().config(config).capture_config(stream).render_config(stream).echo_detector(true).build(),
            reference: Reference::new(),
            due: [0.0; FRAME],
            gate: options.gate.then(Gate::new),silenced:false,
        }
    }
    pub fn process(&mut self, played: &[f32; FRAME], frame: &mut [f32; FRAME], delay: usize) {
        self.reference.tick(played, delay, &mut self.due);
        let left = (delay.saturating_sub(self.reference.held())) as i32 / 24;
        let mut sink = [0.0; BLOCK];
        for (due, block) in self.due.chunks_exact(BLOCK).zip(frame.chunks_exact_mut(BLOCK)) {
            let mut mic = [0.0; BLOCK];
            mic.copy_from_slice(block);
            let _ = self.apm.process_render_f32(&[due], &mut [&mut sink]);
            let _ = self.apm.set_stream_delay_ms(left);
            let _ = self.apm.process_capture_f32(&[&mic], &mut [&mut *block]);
            if let Some(g) = &mut self.gate {
                let s = self.apm.statistics();
                let c = Canceller { loss_db: s.echo_return_loss_enhancement.unwrap_or(0.0) as f32, delay_ms: s.delay_ms.filter(|&d| d > 0).map(|d| d as u32) };
                self.silenced = g.process(due.try_into().unwrap(), &mic, block.try_into().unwrap(), c);
            }
        }
    }
    pub fn coupling(&self) -> f32 { self.gate.as_ref().map_or(0.0, |g| g.coupling_db()) }
    pub fn stats(&self) -> &sonora::AudioProcessingStats { self.apm.statistics() }
}
