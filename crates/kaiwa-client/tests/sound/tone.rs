//! A tone, and how a card is run that plays or hears it.

use std::time::Duration;

use kaiwa_client::card::{Frame, TICK};
use kaiwa_client::{DeviceCard, DeviceNotice, SoundCard};

/// Nothing that is waited for takes so long, on a busy machine either.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the card's ticks until `done`; `play` makes what is played, `hear` sees what was heard.
pub(crate) async fn run(
    card: &mut DeviceCard,
    mut play: impl FnMut() -> Option<Frame>,
    mut done: impl FnMut(&Frame, Option<DeviceNotice>) -> bool,
) {
    let ticks = async {
        let mut frame = [0.0; TICK];
        loop {
            card.play(play().as_ref()).expect("plays");
            card.capture(&mut frame).await.expect("captures");
            if done(&frame, card.notice()) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ticks)
        .await
        .expect("what is waited for happens");
}

/// A tone of 400 Hz at half of full scale; its steepest step is 0.053.
pub(crate) fn tone(n: usize) -> f32 {
    (n as f32 % 60.0 / 60.0 * std::f32::consts::TAU).sin() * 0.5
}

pub(crate) fn tone_frames() -> impl FnMut() -> Option<Frame> {
    let mut n = 0;
    move || {
        let frame = std::array::from_fn(|index| tone(n + index));
        n += TICK;
        Some(frame)
    }
}

/// Whether a second of tone has been heard without a gap.
pub(crate) fn whole_second() -> impl FnMut(&Frame) -> bool {
    let (mut last, mut run) = (0.0_f32, 0_usize);
    move |frame| {
        for &sample in frame {
            let steady = (sample - last).abs() < 0.06;
            last = sample;
            run = if steady { run + 1 } else { 0 };
        }
        // Silence is steady, too.
        if frame.iter().all(|sample| sample.abs() < 0.4) {
            run = 0;
        }
        run >= 24_000
    }
}
