use std::io::Cursor;

use kaiwa_audio::WavWriter;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Endpoint, Limits, Network,
    health::{self, Known},
    http::{Http, Payload},
    multipart::Form,
};
use crate::{Cancel, EngineError, Flow, SttDelta, SttOptions, Transcriber, Transcript};

/// Rate of the audio that is sent, in Hz.
const RATE_HZ: u32 = 16_000;

/// Bytes of a transcript with everything around it.
const MAX_ANSWER: usize = 4 << 20;

/// Speech to text behind `POST /audio/transcriptions`.
///
/// A turn is sent whole, as a WAV of 16 bits, and its transcript comes whole: as one
/// [`SttDelta`]. How sure the server was it does not say: there are neither
/// [`tokens`](Transcript::tokens) nor [`no_speech`](Transcript::no_speech).
#[derive(Debug)]
pub struct RemoteTranscriber {
    http: Http,
}

#[derive(Deserialize)]
struct Heard {
    text: Option<String>,
    language: Option<String>,
    error: Option<Value>,
}

impl RemoteTranscriber {
    /// The transcriber at `endpoint`; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// No HTTP client can be made.
    pub fn new(endpoint: Endpoint, limits: Limits, network: &Network) -> Result<Self, EngineError> {
        Ok(Self {
            http: Http::new("speech to text", endpoint, limits, network)?,
        })
    }

    /// Asks the server for its models: whether it is there, takes the key, knows the model.
    ///
    /// # Errors
    ///
    /// It cannot be reached, refuses the key, or fails.
    pub fn check(&self) -> Result<Known, EngineError> {
        health::check(&self.http)
    }

    fn form(&self, turn: &[f32], options: &SttOptions) -> Result<Payload, EngineError> {
        let mut form = Form::new();
        form.file("file", "turn.wav", "audio/wav", &wav(turn)?);
        form.field("model", self.http.endpoint().model());
        form.field("response_format", "json");
        if let Some(language) = &options.language {
            form.field("language", language);
        }
        if !options.prompt.is_empty() {
            form.field("prompt", &options.prompt);
        }
        Ok(form.finish())
    }

    async fn hear(&self, payload: &Payload) -> Result<Heard, EngineError> {
        let mut answer = self
            .http
            .post(
                "/audio/transcriptions",
                payload,
                "application/json",
                MAX_ANSWER,
            )
            .await?;
        if answer.media_type() != "application/json" {
            return Err(answer.misplaced("JSON").await);
        }
        let body = answer.rest().await?;
        serde_json::from_slice(&body)
            .map_err(|_| self.http.subject().failed("sends what is no transcript"))
    }
}

impl Transcriber for RemoteTranscriber {
    fn transcribe(
        &self,
        turn: &[f32],
        options: &SttOptions,
        cancel: &Cancel,
        sink: &mut dyn FnMut(SttDelta<'_>) -> Flow,
    ) -> Result<Transcript, EngineError> {
        let mut transcript = Transcript {
            language: options.language.clone(),
            ..Transcript::default()
        };
        if turn.is_empty() {
            return Ok(transcript);
        }
        let payload = self.form(turn, options)?;
        let Some(heard) = self.http.run(cancel, self.hear(&payload))? else {
            return Ok(transcript);
        };
        let subject = self.http.subject();
        if let Some(error) = heard.error.filter(|error| !error.is_null()) {
            return Err(subject.error_object(&error));
        }
        let text = heard
            .text
            .ok_or_else(|| subject.failed("sends what is no transcript"))?;
        // Whisper's tokens begin with their space.
        text.trim().clone_into(&mut transcript.text);
        // Some say "english" here.
        let code = heard.language.filter(|language| language.len() == 2);
        transcript.language = transcript.language.or(code);
        if !transcript.text.is_empty() {
            // It is all there is, whether or not more is wanted.
            let _ = sink(SttDelta {
                text: &transcript.text,
            });
        }
        Ok(transcript)
    }
}

fn wav(turn: &[f32]) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Cursor::new(Vec::with_capacity(turn.len() * 2 + 64));
    let mut writer = WavWriter::new(&mut bytes, RATE_HZ, 1).map_err(EngineError::failed)?;
    writer.write(turn).map_err(EngineError::failed)?;
    writer.finalize().map_err(EngineError::failed)?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::{
        EngineErrorKind,
        remote::testing::{Peer, Step, limits, network, ok},
    };

    fn transcriber(peer: &Peer) -> RemoteTranscriber {
        RemoteTranscriber::new(peer.endpoint("whisper-1"), limits(), &network()).expect("an engine")
    }

    fn transcribe(
        engine: &RemoteTranscriber,
        options: &SttOptions,
    ) -> Result<Transcript, EngineError> {
        let mut deltas = String::new();
        let transcript =
            engine.transcribe(&[0.25; 1600], options, &Cancel::new(), &mut |delta| {
                deltas.push_str(delta.text);
                ControlFlow::Continue(())
            })?;
        assert_eq!(deltas, transcript.text);
        Ok(transcript)
    }

    #[test]
    fn a_turn_is_sent_as_a_wav_and_its_text_comes_back() {
        let peer = Peer::start(vec![ok("application/json", r#"{"text":" Good day. "}"#)]);
        let options = SttOptions {
            language: Some("en".into()),
            prompt: "kaiwa".into(),
        };
        let transcript = transcribe(&transcriber(&peer), &options).expect("a transcript");
        assert_eq!(transcript.text, "Good day.");
        assert_eq!(transcript.language.as_deref(), Some("en"));
        let request = peer.request();
        assert!(
            request.head.starts_with("POST /v1/audio/transcriptions "),
            "{}",
            request.head
        );
        let body = String::from_utf8_lossy(&request.body).into_owned();
        for (name, value) in [
            ("model", "whisper-1"),
            ("response_format", "json"),
            ("language", "en"),
            ("prompt", "kaiwa"),
        ] {
            let field = format!("name=\"{name}\"\r\n\r\n{value}\r\n");
            assert!(body.contains(&field), "{name}: {body}");
        }
        let at = request
            .body
            .windows(4)
            .position(|w| w == b"RIFF")
            .expect("a WAV");
        let sound = wav(&[0.25; 1600]).expect("a WAV");
        assert_eq!(request.body[at..at + sound.len()], sound);
        assert_eq!(sound.len(), 44 + 3200);
    }

    #[test]
    fn what_is_no_transcript_is_one_sentence() {
        for (answer, part) in [
            (ok("application/json", "{}"), "no transcript"),
            (ok("application/json", "[1"), "no transcript"),
            (ok("text/html", "<p>Sign in"), "text/html instead of JSON"),
            (
                ok("application/json", r#"{"error":{"message":"no ears"}}"#),
                "no ears",
            ),
        ] {
            let peer = Peer::start(vec![answer]);
            let error = transcribe(&transcriber(&peer), &SttOptions::default()).expect_err(part);
            assert!(error.message().contains(part), "{error}");
            assert!(
                error.message().starts_with("speech to text at 127.0.0.1:"),
                "{error}"
            );
            assert_eq!(error.kind(), EngineErrorKind::Failed);
        }
    }

    #[test]
    fn nothing_costs_nothing() {
        let peer = Peer::start(vec![]);
        let engine = transcriber(&peer);
        let silent = engine.transcribe(&[], &SttOptions::default(), &Cancel::new(), &mut |_| {
            panic!("nothing was said")
        });
        assert_eq!(silent.expect("nothing").text, "");
        let cancel = Cancel::new();
        cancel.cancel();
        let cancelled = engine.transcribe(&[0.1], &SttOptions::default(), &cancel, &mut |_| {
            panic!("nobody asked")
        });
        assert_eq!(cancelled.expect("nothing").text, "");
        assert_eq!(peer.connections(), 0);
    }

    #[test]
    fn cancelling_closes_the_connection() {
        let peer = Peer::start(vec![vec![Step::Hang]]);
        let engine = transcriber(&peer);
        let cancel = Cancel::new();
        std::thread::scope(|scope| {
            let working = scope.spawn(|| {
                engine.transcribe(&[0.1], &SttOptions::default(), &cancel, &mut |_| {
                    panic!("nothing was heard")
                })
            });
            peer.request();
            cancel.cancel();
            peer.hung_up();
            let transcript = working.join().expect("no panic").expect("no error");
            assert_eq!(transcript.text, "");
        });
    }
}
