//! The thread that listens for speech.

use std::{
    panic::{self, AssertUnwindSafe},
    thread,
};

use kaiwa_engine::{EngineError, VoiceActivity};
use kaiwa_session::{EngineEvent, JobId};
use tokio::sync::mpsc;

use crate::{
    engines::VoiceActivityFactory,
    jobs::work::{self, JobResult},
};

/// A frame of a session's audio and the stream it belongs to.
pub(crate) type Frame = (JobId, Vec<f32>);

const NAME: &str = "the voice activity detector";

/// Starts a session's detector on a thread of its own, so that it never stands behind
/// inference. The thread ends when either channel is closed.
///
/// Each frame is answered by one event, in order.
pub(crate) fn start(
    make: VoiceActivityFactory,
    frames: mpsc::Receiver<Frame>,
    results: mpsc::Sender<JobResult>,
    span: tracing::Span,
) -> std::io::Result<()> {
    thread::Builder::new()
        .name("kaiwa-detector".into())
        .spawn(move || {
            let _entered = span.enter();
            Detector {
                make,
                engine: None,
                stream: None,
            }
            .run(frames, &results);
        })?;
    Ok(())
}

struct Detector {
    make: VoiceActivityFactory,
    /// `None` before the first frame and after a panic.
    engine: Option<Box<dyn VoiceActivity>>,
    /// The stream the engine remembers.
    stream: Option<JobId>,
}

impl Detector {
    fn run(mut self, mut frames: mpsc::Receiver<Frame>, results: &mpsc::Sender<JobResult>) {
        while let Some((stream, frame)) = frames.blocking_recv() {
            let judged = panic::catch_unwind(AssertUnwindSafe(|| self.judge(stream, &frame)));
            let event = match judged {
                Ok(Ok(probability)) => EngineEvent::Voice { probability },
                Ok(Err(error)) => {
                    tracing::warn!(%error, "{NAME} failed");
                    work::failed(&error)
                }
                Err(panic) => {
                    self.engine = None;
                    let panic = work::panic_text(&*panic);
                    tracing::error!(panic, "{NAME} panicked");
                    work::panicked(NAME)
                }
            };
            if results.blocking_send((stream, event)).is_err() {
                return;
            }
        }
    }

    fn judge(&mut self, stream: JobId, frame: &[f32]) -> Result<f32, EngineError> {
        let engine = match &mut self.engine {
            Some(engine) => {
                if self.stream != Some(stream) {
                    engine.reset();
                }
                engine
            }
            none => none.insert((self.make)()?),
        };
        self.stream = Some(stream);
        engine.push(frame)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Answers with the number of frames since its last reset, and panics at a negative
    /// sample.
    struct Counter(f32);

    impl VoiceActivity for Counter {
        fn frame_samples(&self) -> usize {
            1
        }

        fn push(&mut self, frame: &[f32]) -> Result<f32, EngineError> {
            assert!(frame[0] >= 0.0, "on purpose");
            if frame[0] > 1.0 {
                return Err(EngineError::failed("too loud"));
            }
            self.0 += 1.0;
            Ok(self.0)
        }

        fn reset(&mut self) {
            self.0 = 0.0;
        }
    }

    #[test]
    fn frames_are_answered_in_order_through_resets_failures_and_panics() {
        let (frames, to_judge) = mpsc::channel(16);
        let (results, mut answers) = mpsc::channel(16);
        start(
            Arc::new(|| Ok(Box::new(Counter(0.0)))),
            to_judge,
            results,
            tracing::Span::none(),
        )
        .unwrap();
        for (stream, sample) in [
            (1, 0.0),
            (1, 0.0),
            (2, 0.0),
            (2, 2.0),
            (2, 0.0),
            (2, -1.0),
            (2, 0.0),
        ] {
            frames.blocking_send((JobId(stream), vec![sample])).unwrap();
        }
        drop(frames);
        let answers: Vec<_> = std::iter::from_fn(|| answers.blocking_recv())
            .map(|(stream, event)| match event {
                EngineEvent::Voice { probability } => (stream.0, probability.to_string()),
                EngineEvent::Failed { code, .. } => (stream.0, code),
                other => panic!("unexpected {other:?}"),
            })
            .collect();
        let expected = [
            (1, "1"),
            (1, "2"),
            (2, "1"),
            (2, "server_error"),
            (2, "2"),
            (2, "server_error"),
            // Made anew after the panic.
            (2, "1"),
        ]
        .map(|(stream, answer)| (stream, answer.to_owned()));
        assert_eq!(answers, expected);
    }

    #[test]
    fn a_detector_that_cannot_be_made_is_tried_again() {
        let (frames, to_judge) = mpsc::channel(4);
        let (results, mut answers) = mpsc::channel(4);
        let make: VoiceActivityFactory = Arc::new(|| Err(EngineError::model("no such file")));
        start(make, to_judge, results, tracing::Span::none()).unwrap();
        for _ in 0..2 {
            frames.blocking_send((JobId(1), vec![0.0])).unwrap();
            let (_, event) = answers.blocking_recv().unwrap();
            assert_eq!(
                event,
                EngineEvent::Failed {
                    code: "engine_model_unavailable".into(),
                    message: "no such file.".into()
                }
            );
        }
    }
}
