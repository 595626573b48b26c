//! A transcription session as a configuration: it has sound in and nothing else.

use kaiwa_protocol::{
    Maybe, RealtimeSession, Session, SessionAudio, TRANSCRIPTION_SESSION_OBJECT,
    TranscriptionAudio, TranscriptionSession, TurnDetection,
};

use super::check::check_known;
use crate::refusal::Refusal;

/// What the client asks of a transcription session, as an update of the configuration that
/// both types of session share; or the key that has no place in it.
pub(super) fn as_update(session: TranscriptionSession) -> Result<RealtimeSession, Refusal> {
    check_known("session", &session.extra)?;
    let audio = match session.audio {
        Maybe::Value(audio) => {
            check_known("session.audio", &audio.extra)?;
            Maybe::Value(SessionAudio {
                input: audio.input,
                ..SessionAudio::default()
            })
        }
        Maybe::Absent | Maybe::Null => Maybe::Absent,
    };
    Ok(RealtimeSession {
        audio,
        include: session.include,
        ..RealtimeSession::default()
    })
}

/// The configuration as a client of a transcription session is shown it.
pub(super) fn shown(session: &RealtimeSession) -> Session {
    let input = session
        .audio
        .value()
        .map_or(Maybe::Absent, |audio| audio.input.clone());
    Session::from(TranscriptionSession {
        object: TRANSCRIPTION_SESSION_OBJECT.into(),
        id: session.id.clone(),
        expires_at: session.expires_at,
        audio: Maybe::Value(TranscriptionAudio {
            input,
            ..TranscriptionAudio::default()
        }),
        include: session.include.clone(),
        ..TranscriptionSession::default()
    })
}

/// Leaves out what is about responses, which a transcription session does not make.
pub(super) fn without_responses(mut detection: TurnDetection) -> TurnDetection {
    match &mut detection {
        TurnDetection::ServerVad(vad) => {
            vad.create_response = Maybe::Absent;
            vad.interrupt_response = Maybe::Absent;
            vad.idle_timeout_ms = Maybe::Absent;
        }
        TurnDetection::SemanticVad(vad) => {
            vad.create_response = Maybe::Absent;
            vad.interrupt_response = Maybe::Absent;
        }
        TurnDetection::Unknown(_) => {}
    }
    detection
}
