use std::ops::Range;

/// Length of the stretches whose loudness is compared: 0.2 s at 16 000 Hz.
const STRETCH: usize = 3_200;

/// Cuts audio of `length` samples into windows of at most `most` samples, each cut in the
/// middle of the quietest 0.2 s of the window's last third.
pub(super) fn windows(audio: &[f32], most: usize) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    while audio.len() - start > most {
        let searched = start + most * 2 / 3..start + most;
        let cut = quietest(&audio[searched.clone()]) + searched.start;
        windows.push(start..cut);
        start = cut;
    }
    windows.push(start..audio.len());
    windows
}

/// The middle of the quietest stretch, which begins at a multiple of half a stretch.
fn quietest(audio: &[f32]) -> usize {
    let energy = |stretch: &[f32]| stretch.iter().map(|sample| sample * sample).sum::<f32>();
    audio
        .windows(STRETCH)
        .step_by(STRETCH / 2)
        .map(energy)
        .enumerate()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(audio.len() / 2, |(at, _)| at * (STRETCH / 2) + STRETCH / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_audio_is_one_window() {
        assert_eq!(windows(&[0.5; 100], 100), std::slice::from_ref(&(0..100)));
        assert_eq!(windows(&[], 100), std::slice::from_ref(&(0..0)));
    }

    #[test]
    fn long_audio_is_cut_where_it_is_quiet() {
        let most = 90_000;
        let mut audio = vec![0.5; 150_000];
        audio[70_000..74_000].fill(0.001);
        let windows = windows(&audio, most);
        assert_eq!(windows.len(), 2);
        assert!((70_000..74_000).contains(&windows[0].end), "{windows:?}");
        assert_eq!(windows[1], windows[0].end..audio.len());
    }

    #[test]
    fn audio_without_a_pause_is_cut_all_the_same() {
        let windows = windows(&vec![0.5; 500_000], 90_000);
        assert!(
            windows
                .iter()
                .all(|window| !window.is_empty() && window.len() <= 90_000)
        );
        assert!(windows.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(windows.last().map(|window| window.end), Some(500_000));
    }
}
