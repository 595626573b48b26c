//! From the detector's answers to turns: where one begins, pauses and ends.

use kaiwa_protocol::{ErrorDetail, InputAudioBufferSpeechStarted, StatusReason};

use super::{Session, interruption::Doubt, partial::Partial};
use crate::{
    Millis,
    config::TurnTaking,
    endpointing::{Evidence, JUDGED_MS},
    engine::{EngineCommand, EngineEvent, JobId},
    input_buffer::SAMPLES_PER_MS,
    outbox::JobOwner,
    response::Ending,
    vad::{FRAME_SAMPLES, TurnDetector, TurnEvent, TurnParameters},
};

/// Audio kept between turns besides the prefix: more than a beginning of speech takes to be
/// recognised, and enough for a client that commits by itself.
const IDLE_MARGIN_MS: Millis = 500;

/// Frames given to the detector at once (two seconds): the rest waits in the buffer.
const MAX_FRAMES_OUT: u64 = 64;

/// The turn detector's stream.
#[derive(Debug)]
pub(super) struct Detection {
    job: JobId,
    /// Position of its first frame.
    origin: u64,
    /// Frames given to the engine.
    sent: u64,
    /// Frames the engine has judged.
    judged: u64,
    pub(super) detector: TurnDetector,
    /// The turn that is going on.
    pub(super) turn: Option<Turn>,
    /// What is known of it at a pause.
    pub(super) evidence: Evidence,
    /// The job that judges it by its sound.
    pub(super) verdict: Option<JobId>,
    /// A sound over the assistant's voice of which is not known yet whether it begins a turn.
    pub(super) doubt: Option<Doubt>,
}

/// A turn of the user that has begun.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) item_id: String,
    /// Position of its first sample, the prefix included.
    pub(super) start: u64,
    /// Its words while it is spoken.
    pub(super) partial: Partial,
}

impl Detection {
    /// Position behind the last sample that was judged.
    pub(super) fn judged_to(&self) -> u64 {
        self.origin + self.judged * FRAME_SAMPLES
    }
}

impl Session {
    /// Has a stream judged that begins with the audio that is there.
    pub(super) fn detect(&mut self) {
        if self.detection.is_none() {
            self.detection = Some(Detection {
                job: self.outbox.open(JobOwner::Detection),
                origin: self.buffer.start(),
                sent: 0,
                judged: 0,
                detector: TurnDetector::default(),
                turn: None,
                evidence: Evidence::default(),
                verdict: None,
                doubt: None,
            });
        }
        self.feed_detector();
    }

    /// Forgets what the detector knows: the audio was taken away, or detection switched.
    pub(super) fn restart_detection(&mut self) {
        self.drop_ahead();
        self.end_partial();
        self.end_doubt();
        if let Some(detection) = self.detection.take() {
            self.outbox.cancel(detection.job);
        }
    }

    /// The detector's answer to a frame.
    pub(super) fn handle_voice(&mut self, event: EngineEvent, now: Millis) {
        let probability = match event {
            EngineEvent::Voice { probability } => probability,
            EngineEvent::Failed { code, message } => {
                // Without it the session is deaf, which would be worse unsaid.
                let reason = format!("Turn detection failed: {message}");
                let detail = ErrorDetail::server_error(&code, reason);
                self.outbox.refuse(detail, None);
                return self.close(1011, "turn detection failed");
            }
            _ => return,
        };
        let (Some(taking), Some(detection)) = (self.config.turn_taking(), &mut self.detection)
        else {
            return;
        };
        detection.judged += 1;
        let parameters = parameters(&taking, detection, self.options.ahead_ms);
        let event = detection.detector.push(probability, parameters);
        if detection.doubt.is_some() {
            self.weigh_doubt(now);
        } else {
            self.follow_voice(event, &taking, now);
        }
        self.feed_detector();
    }

    /// What is known of the pause has changed: its silence so far may be enough.
    pub(super) fn reconsider_pause(&mut self, now: Millis) {
        let (Some(taking), Some(detection)) = (self.config.turn_taking(), &mut self.detection)
        else {
            return;
        };
        if detection.turn.is_some() && taking.eagerness.is_some() {
            let silence_ms = parameters(&taking, detection, None).silence_ms;
            let event = detection.detector.reconsider(silence_ms);
            if event.is_some() {
                self.follow_voice(event, &taking, now);
            }
        }
    }

    fn follow_voice(&mut self, event: Option<TurnEvent>, taking: &TurnTaking, now: Millis) {
        let Some(detection) = &mut self.detection else {
            return;
        };
        let judged = detection.judged_to();
        match event {
            Some(TurnEvent::Start { frame }) => {
                let onset = detection.origin + frame * FRAME_SAMPLES;
                let start = onset
                    .saturating_sub(taking.prefix_ms * SAMPLES_PER_MS)
                    .max(self.buffer.start());
                if self.may_be_nothing(now) {
                    self.doubt(start, onset, now);
                } else {
                    self.start_turn(start, taking.interrupt_response, now);
                }
            }
            Some(TurnEvent::Pause { frame }) => {
                let end = detection.origin + frame * FRAME_SAMPLES;
                let judges_words = taking.eagerness.is_some();
                self.end_partial();
                self.work_ahead(end, taking.create_response, judges_words, now);
            }
            Some(TurnEvent::LongPause { frame }) => {
                let end = detection.origin + frame * FRAME_SAMPLES;
                self.judge_turn(end);
            }
            Some(TurnEvent::Resume) => self.drop_ahead(),
            Some(TurnEvent::End { frame }) => {
                let end = detection.origin + frame * FRAME_SAMPLES;
                self.end_turn(end, taking.create_response, now);
            }
            None => {
                let limit = self.options.max_buffer_ms * SAMPLES_PER_MS;
                match &detection.turn {
                    Some(turn) if judged - turn.start.min(judged) >= limit => {
                        detection.detector.end_turn();
                        self.end_turn(judged, taking.create_response, now);
                    }
                    Some(_) => self.listen_along(judged),
                    None => {
                        let idle_ms = taking.idle_timeout_ms.unwrap_or(0);
                        let kept_ms = idle_ms.max(taking.prefix_ms + IDLE_MARGIN_MS);
                        self.buffer
                            .discard_before(judged.saturating_sub(kept_ms * SAMPLES_PER_MS));
                    }
                }
            }
        }
    }

    /// When the model is to speak up by itself. What may be the beginning of a turn is waited
    /// for.
    pub(super) fn idle_deadline(&self) -> Option<Millis> {
        let may_begin = |detection: &Detection| detection.detector.may_begin();
        let is_quiet = !self.detection.as_ref().is_some_and(may_begin);
        self.idle_at.filter(|_| is_quiet)
    }

    /// Whether the user is speaking.
    pub(super) fn user_is_speaking(&self) -> bool {
        self.detection
            .as_ref()
            .is_some_and(|detection| detection.turn.is_some())
    }

    /// Where the turn going on begins.
    pub(super) fn turn_start(&self) -> Option<u64> {
        Some(self.detection.as_ref()?.turn.as_ref()?.start)
    }

    /// The item that the turn going on will become.
    pub(super) fn turn_item_id(&self) -> Option<&str> {
        let turn = self.detection.as_ref()?.turn.as_ref()?;
        Some(&turn.item_id)
    }

    /// A turn of the user begins.
    pub(super) fn start_turn(&mut self, start: u64, interrupt: bool, now: Millis) {
        self.drop_ahead();
        self.end_doubt();
        let item_id = self.outbox.ids.item();
        self.idle_at = None;
        self.outbox.send(InputAudioBufferSpeechStarted {
            audio_start_ms: start / SAMPLES_PER_MS,
            item_id: item_id.clone(),
            ..InputAudioBufferSpeechStarted::default()
        });
        if let Some(detection) = &mut self.detection {
            let partial = Partial::from(start);
            detection.turn = Some(Turn {
                item_id,
                start,
                partial,
            });
        }
        if interrupt {
            let ending = Ending::Cancelled(StatusReason::TurnDetected);
            self.end_active(ending, now);
            // Whoever plays it stops.
            self.voiced_until = 0;
        }
        self.prime(None);
    }

    /// Gives the detector what it has not judged yet.
    pub(super) fn feed_detector(&mut self) {
        let Some(detection) = &mut self.detection else {
            return;
        };
        while detection.sent - detection.judged < MAX_FRAMES_OUT {
            let from = detection.origin + detection.sent * FRAME_SAMPLES;
            let Some(frame) = self.buffer.samples(from, from + FRAME_SAMPLES) else {
                break;
            };
            let frame = frame.to_vec();
            self.outbox
                .run_in(detection.job, EngineCommand::Detect { frame });
            detection.sent += 1;
        }
    }
}

/// What is asked of the detector now.
fn parameters(
    taking: &TurnTaking,
    detection: &Detection,
    pause_ms: Option<Millis>,
) -> TurnParameters {
    let mut parameters = TurnParameters {
        pause_ms,
        ..taking.parameters
    };
    if let Some(eagerness) = &taking.eagerness {
        parameters.silence_ms = detection.evidence.silence_ms(eagerness);
        parameters.long_pause_ms = Some(JUDGED_MS);
        // Its words are wanted in time, whenever the answer is to be begun.
        parameters.pause_ms = pause_ms.map(|ms| ms.min(JUDGED_MS));
    }
    if detection.doubt.is_some() {
        // Nothing has begun that could pause or end.
        parameters.silence_ms = Millis::MAX;
        parameters.pause_ms = None;
        parameters.long_pause_ms = None;
    }
    parameters
}
