use kaiwa_audio::{Clip, echo::*, rms_dbfs};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let dir = "/work/shared/speech";
    let load = |p: &str| Clip::open(format!("{dir}/{p}")).unwrap().resampled(24000).samples;
    for pair in ["aec_conditions/farend_singletalk", "aec_conditions/nearend_singletalk", "aec_conditions/doubletalk", "aec_real_doubletalk/dt1","aec_real_doubletalk/dt1_move","aec_real_doubletalk/dt2","aec_real_doubletalk/dt2_move"] {
        if args.len() > 1 && !pair.contains(&args[1]) { continue; }
        let (mut lpb, mut mic) = (load(&format!("{pair}_lpb.flac")), load(&format!("{pair}_mic.flac")));
        let n = lpb.len().max(mic.len()).next_multiple_of(480);
        lpb.resize(n, 0.0); mic.resize(n, 0.0);
        let t = std::time::Instant::now();
        let mut p = VoiceProcessor::new(VoiceOptions { noise_reduction: match args.get(2).map(|s| s.as_str()) { Some("near") => NoiseReduction::Near, Some("far") => NoiseReduction::Far, _ => NoiseReduction::Off }, ..Default::default() });
        let mut out = mic.clone();
        for (i, (f, r)) in out.chunks_exact_mut(480).zip(lpb.chunks_exact(480)).enumerate() {
            let f: &mut [f32; 480] = f.try_into().unwrap();
            p.process(r.try_into().unwrap(), f, 0);
            if args.len() > 1 && i % 5 == 4 {
                let s = p.stats();
                let w = (i-4)*480..(i+1)*480;
                println!("{:5.2} lpb {:6.1} mic {:6.1}  erle {:5.1} erl {:5.1} delay {:3} red {:4.2} {:4.2}", i as f32 * 0.02, rms_dbfs(&lpb[w.clone()]), rms_dbfs(&mic[w]), s.echo_return_loss_enhancement.unwrap(), s.echo_return_loss.unwrap(), s.delay_ms.unwrap(), s.residual_echo_likelihood.unwrap_or(-1.), s.residual_echo_likelihood_recent_max.unwrap_or(-1.));
            }
        }
        if args.len() > 1 { for i in (0..n).step_by(2400) { let e=(i+2400).min(n); println!("{:5.2} lpb {:6.1} mic {:6.1} out {:6.1}", i as f32/24000., rms_dbfs(&lpb[i..e]), rms_dbfs(&mic[i..e]), rms_dbfs(&out[i..e])); } }
        let el = t.elapsed().as_secs_f64();
        println!("{pair}: mic {:.1} out {:.1}; after 2.5 s mic {:.1} out {:.1}; rt {:.4}", rms_dbfs(&mic), rms_dbfs(&out), rms_dbfs(&mic[60000..]), rms_dbfs(&out[60000..]), el / (n as f64/24000.));
    }
    // latency: near end noise
    for nr in [NoiseReduction::Off, NoiseReduction::Near] { for aec in [false, true] { for agc in [false,true] {
        let mut p = VoiceProcessor::new(VoiceOptions { echo_cancellation: aec, noise_reduction: nr, gain_control: agc, ..Default::default() });
        let mut s = 1u32;
        let mut lp = 0.0f32;
        let x: Vec<f32> = (0..48000).map(|i| { s = s.wrapping_mul(1664525).wrapping_add(1013904223); let v = (s >> 8) as f32 / 8388608.0 - 1.0; lp = 0.7*lp+0.3*v; if i%12000<3000 {lp * 0.2} else {0.0} }).collect();
        let mut y = x.clone();
        for f in y.chunks_exact_mut(480) { p.process(&[0.0; 480], f.try_into().unwrap(), 0); }
        let best = (0..1000).max_by(|&a, &b| { let c = |d: usize| -> f32 { x[..47000].iter().zip(&y[d..]).map(|(a, b)| a * b).sum() }; c(a).total_cmp(&c(b)) }).unwrap();
        println!("latency ns {nr:?} aec {aec} agc {agc}: {best} level {:.1} -> {:.1}", rms_dbfs(&x), rms_dbfs(&y));
    } } }
}
