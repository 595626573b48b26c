// gate evaluation: far-only, double talk with clean near
use kaiwa_audio::{Clip, echo::*, rms_dbfs};
fn load(p: &str) -> Vec<f32> { Clip::open(format!("/work/shared/speech/{p}")).unwrap().resampled(24000).samples }
fn run(refr: &[f32], mic: &[f32], gate: bool) -> (Vec<f32>, Vec<bool>) {
    let n = refr.len().min(mic.len()) / 480 * 480;
    let mut p = VoiceProcessor::new(VoiceOptions { gate, ..Default::default() });
    let mut out = mic[..n].to_vec(); let mut s = vec![];
    for (i,(f, r)) in out.chunks_exact_mut(480).zip(refr.chunks_exact(480)).enumerate() { p.process(r.try_into().unwrap(), f.try_into().unwrap(), 0); s.push(p.silenced);
      if std::env::var("V").is_ok() && i%10==9 { println!("{:.2} coupling {:.1} erle {:.1} delay {}", i as f32*0.02, p.coupling(), p.stats().echo_return_loss_enhancement.unwrap(), p.stats().delay_ms.unwrap()); } }
    (out, s)
}
fn conv(x: &[f32], h: &[f32]) -> Vec<f32> { let mut y = vec![0.0; x.len()]; for (k, &c) in h.iter().enumerate() { if c == 0.0 {continue;} for n in k..x.len() { y[n] += c * x[n - k]; } } y }
fn main() {
    let near_files = ["en_librispeech", "en_ljspeech", "en_harvard_speechbrain", "en_dialog_turns"];
    let mut nears = vec![]; let mut fars: Vec<(String, Vec<f32>, Vec<f32>)> = vec![];
    for d in near_files { let mut v: Vec<_> = std::fs::read_dir(format!("/work/shared/speech/{d}")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|f| f.ends_with(".flac")).collect(); v.sort(); for f in v.into_iter().take(4) { nears.push(load(&format!("{d}/{f}"))); } }
    fars.push(("real".into(), load("aec_conditions/farend_singletalk_lpb.flac"), load("aec_conditions/farend_singletalk_mic.flac")));
    for (k, rir) in ["rir1", "rir3", "rir4"].into_iter().enumerate() { for (j, (delay, db)) in [(20usize, 0.0f32), (60, -5.0), (120, -10.0)].into_iter().enumerate() {
        let mut h = load(&format!("noise_rir/{rir}.wav")); let peak = h.iter().position(|x| x.abs() == h.iter().fold(0.0f32, |m, x| m.max(x.abs()))).unwrap();
        h.drain(..peak.saturating_sub(24)); h.truncate(7200); 
        let x: Vec<f32> = nears.iter().cycle().skip(3*k + j).take(3).flatten().copied().take(24000*12).collect();
        let y = conv(&x, &h); let g = 10f32.powf((rms_dbfs(&x) + db - rms_dbfs(&y)) / 20.0);
        let mut s = 7u32;
        let mic: Vec<f32> = std::iter::repeat_n(0.0, delay*24).chain(y.iter().map(|v| v * g)).map(|v| { s = s.wrapping_mul(1664525).wrapping_add(1013904223); v + ((s >> 8) as f32 / 8388608.0 - 1.0) * 0.001 }).take(x.len()).collect();
        fars.push((format!("{rir} {delay} ms {db} dB"), x, mic)); } }
    for (name, x, mic) in &fars {
        let (out, s) = run(x, mic, true); let (raw, _) = run(x, mic, false);
        let n = out.len(); let c = 60000;
        let active: Vec<usize> = (0..n/480).filter(|&i| rms_dbfs(&mic[i*480..(i+1)*480]) > -45.0).collect();
        let open = active.iter().filter(|&&i| !s[i]).count();
        let loud = active.iter().filter(|&&i| rms_dbfs(&raw[i*480..(i+1)*480]) > -45.0).count();
        let loudg = active.iter().filter(|&&i| rms_dbfs(&out[i*480..(i+1)*480]) > -45.0).count();
        println!("FAR {name:24} erle all {:5.1} conv {:5.1} | gated {:5.1} conv {:5.1} | frames {} open {} aloud {} gated aloud {}", rms_dbfs(&mic[..n])-rms_dbfs(&raw), rms_dbfs(&mic[c..n])-rms_dbfs(&raw[c..]), rms_dbfs(&mic[..n])-rms_dbfs(&out), rms_dbfs(&mic[c..n])-rms_dbfs(&out[c..]), active.len(), open, loud, loudg);
        for at in [1.0f32, 5.0] { for ser in [10.0f32, 0.0, -10.0] {
            let (mut frames, mut kept, mut kept_aec, mut first) = (0, 0, 0, vec![]);
            for near in nears.iter().take(8) {
                let speech: Vec<f32> = near.iter().copied().take(24000*4).collect();
                let g = 10f32.powf((rms_dbfs(mic) + ser - rms_dbfs(&speech)) / 20.0);
                let start = (at * 24000.0) as usize / 480 * 480;
                let mut m = mic.clone(); for (i, v) in speech.iter().enumerate() { if let Some(m) = m.get_mut(start + i) { *m += v * g; } }
                let (o, sil) = run(x, &m, true); let (r, _) = run(x, &m, false);
                let lev = rms_dbfs(&speech) + 20.0*g.log10();
                let mut f0 = None;
                for i in 0..speech.len()/480 { let k = start/480 + i; if k*480+960 > o.len() { break; } let sp: Vec<f32> = speech[i*480..(i+1)*480].iter().map(|v| v*g).collect();
                    if rms_dbfs(&sp) > lev - 10.0 { frames += 1; if !sil[k] { kept += 1; if f0.is_none() { f0 = Some(i); } } else if false { let _ = &r; } if rms_dbfs(&r[k*480..k*480+960]) > rms_dbfs(&sp) - 10.0 { kept_aec += 1; } if f0.is_none() && i > 0 { } } }
                let on = (0..speech.len()/480).find(|&i| rms_dbfs(&speech[i*480..(i+1)*480]) + 20.0*g.log10() > lev - 10.0).unwrap_or(0);
                first.push(f0.map_or(999, |f| f.saturating_sub(on)*20));
            }
            first.sort();
            println!("   DT at {at} s near {ser:+} dB: speech frames {frames} aec passes {:.1} % gate open {:.1} %  onset loss ms {:?}", 100.0*kept_aec as f32/frames as f32, 100.0*kept as f32/frames as f32, first);
        } }
    }
}
