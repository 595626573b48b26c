//! Responses of the default conversation, asked for one after another.

use std::collections::VecDeque;
use std::time::Duration;

use kaiwa_protocol::{
    ConversationChoice, ErrorDetail, Maybe, Response, ResponseCreate, ServerEvent, Session,
    TurnDetection, codes,
};
use tokio::time::Instant;

/// How long to wait for a response that the server is about to begin by itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often in a row a request may be refused for a response that is never announced.
const MOST_REFUSALS: u32 = 5;

/// Holds requests back while a response runs, since a server refuses a second one.
///
/// The server begins responses by itself at the end of a spoken turn, so a request may
/// cross one of those on its way. The refusal that follows is not the caller's business:
/// the request waits for the other response and is made again.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    /// Requests that are not sent yet, oldest first.
    waiting: VecDeque<ResponseCreate>,
    /// The request that is neither granted nor refused yet.
    asked: Option<ResponseCreate>,
    /// The request that the running response is taken for. It may be the server's own
    /// instead, and the refusal on its way.
    presumed: Option<ResponseCreate>,
    /// The running response.
    active: Option<String>,
    /// Out-of-band requests that are not answered yet.
    aside: usize,
    /// Until when a response of the server's own is expected.
    hold: Option<Instant>,
    /// Whether the server answers spoken turns by itself.
    automatic: bool,
    /// Refusals since a response was last announced.
    refusals: u32,
}

/// Whether an event is the caller's business.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Concern {
    /// It is.
    Caller,
    /// It was about the order of requests, and is dealt with.
    Settled,
}

impl Responses {
    /// Puts a request in line; `event_id` must be set. Gives it back when it is to be sent
    /// at once, beside all others, being out of band.
    pub(crate) fn ask(&mut self, create: ResponseCreate) -> Option<ResponseCreate> {
        let params = create.response.value();
        let choice = params.and_then(|params| params.conversation.value());
        if choice == Some(&ConversationChoice::None) {
            self.aside += 1;
            return Some(create);
        }
        self.waiting.push_back(create);
        None
    }

    /// The request to send now, if one may be.
    pub(crate) fn due(&mut self, now: Instant) -> Option<ResponseCreate> {
        if self.hold.is_some_and(|until| until <= now) {
            self.hold = None;
        }
        if self.active.is_some() || self.asked.is_some() || self.hold.is_some() {
            return None;
        }
        self.asked = self.waiting.pop_front();
        self.asked.clone()
    }

    /// When to look again although nothing came.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.hold.filter(|_| !self.waiting.is_empty())
    }

    /// Takes note of what the server says.
    pub(crate) fn observe(&mut self, event: &ServerEvent, now: Instant) -> Concern {
        match event {
            ServerEvent::SessionCreated(event) => self.session(&event.session),
            ServerEvent::SessionUpdated(event) => self.session(&event.session),
            ServerEvent::InputAudioBufferSpeechStopped(_) if self.automatic => {
                self.hold = Some(now + PATIENCE);
            }
            ServerEvent::ResponseCreated(event) => self.created(&event.response),
            ServerEvent::ResponseDone(event)
                if self.active.as_ref() == Some(&event.response.id) =>
            {
                self.active = None;
                self.presumed = None;
            }
            ServerEvent::Error(event) => return self.fault(&event.error, now),
            _ => {}
        }
        Concern::Caller
    }

    /// How many requests are not answered yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.waiting.len() + usize::from(self.asked.is_some()) + self.aside
    }

    fn session(&mut self, session: &Session) {
        let Session::Realtime(session) = session else {
            return;
        };
        let audio = session.audio.value();
        let turn = audio
            .and_then(|audio| audio.input.value())
            .map(|input| input.turn_detection.as_ref());
        self.automatic = match turn {
            Some(Maybe::Value(turn)) => TurnDetection::creates_response(turn),
            Some(Maybe::Null) => false,
            // A server that does not say has the protocol's default.
            Some(Maybe::Absent) | None => true,
        };
    }

    fn created(&mut self, response: &Response) {
        let unnamed = response.conversation_id.is_absent() && self.asked.is_none();
        if response.conversation_id.is_null() || (unnamed && self.aside > 0) {
            self.aside = self.aside.saturating_sub(1);
            return;
        }
        self.refusals = 0;
        self.active = Some(response.id.clone());
        self.presumed = self.asked.take();
        self.hold = None;
    }

    fn fault(&mut self, error: &ErrorDetail, now: Instant) -> Concern {
        let id = error.event_id.as_deref();
        let named = |request: &Option<ResponseCreate>| {
            let request = request
                .as_ref()
                .and_then(|request| request.event_id.as_deref());
            id.is_some() && request == id
        };
        let busy = error.code.as_deref() == Some(codes::CONVERSATION_ALREADY_HAS_ACTIVE_RESPONSE);
        if !busy {
            if named(&self.asked) {
                self.asked = None;
            }
            return Concern::Caller;
        }
        let refused = if named(&self.asked) || (id.is_none() && self.asked.is_some()) {
            self.asked.take()
        } else if named(&self.presumed) {
            self.presumed.take()
        } else {
            None
        };
        match refused {
            // It runs what it does not tell of: the caller has to know.
            Some(_) if self.active.is_none() && self.refusals == MOST_REFUSALS => {
                self.refusals = 0;
                Concern::Caller
            }
            Some(request) => {
                self.refusals += 1;
                self.waiting.push_front(request);
                if self.active.is_none() {
                    // The other response is still to be announced.
                    self.hold = Some(now + PATIENCE);
                }
                Concern::Settled
            }
            // The server could not begin one of its own.
            None => {
                self.hold = None;
                Concern::Caller
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kaiwa_protocol::Dialect;
    use serde_json::json;

    use super::*;

    fn request(id: &str) -> ResponseCreate {
        ResponseCreate {
            event_id: Some(id.to_owned()),
            ..ResponseCreate::default()
        }
    }

    /// Shows the responses an event.
    fn see(responses: &mut Responses, event: serde_json::Value) -> Concern {
        let event = Dialect::Ga
            .parse_server(&event.to_string())
            .expect("an event");
        responses.observe(&event, Instant::now())
    }

    fn created(id: &str) -> serde_json::Value {
        json!({"type": "response.created", "response": {"id": id, "conversation_id": "conv_1"}})
    }

    fn done(id: &str) -> serde_json::Value {
        json!({"type": "response.done", "response": {"id": id, "conversation_id": "conv_1"}})
    }

    fn busy(event_id: Option<&str>) -> serde_json::Value {
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": "busy",
            "code": "conversation_already_has_active_response", "event_id": event_id}})
    }

    fn due(responses: &mut Responses) -> Option<String> {
        responses
            .due(Instant::now())
            .and_then(|request| request.event_id)
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_made_one_after_another() {
        let mut responses = Responses::default();
        for id in ["a", "b", "c"] {
            assert_eq!(responses.ask(request(id)), None);
        }
        for id in ["a", "b", "c"] {
            assert_eq!(due(&mut responses).as_deref(), Some(id));
            assert_eq!(due(&mut responses), None, "{id} is not answered");
            assert_eq!(see(&mut responses, created(id)), Concern::Caller);
            assert_eq!(due(&mut responses), None, "{id} runs");
            see(&mut responses, done(id));
        }
        assert_eq!(responses.outstanding(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_crosses_the_servers_own_response_is_made_again() {
        for event_id in [Some("a"), None] {
            // The refusal comes before or after the announcement of the other response.
            for refused_first in [true, false] {
                if event_id.is_none() && !refused_first {
                    // Nothing tells this from a refusal of the server's own.
                    continue;
                }
                let mut responses = Responses::default();
                responses.ask(request("a"));
                assert_eq!(due(&mut responses).as_deref(), Some("a"));
                let mut events = [busy(event_id), created("own")];
                if !refused_first {
                    events.reverse();
                }
                let settled = events.map(|event| see(&mut responses, event));
                assert!(settled.contains(&Concern::Settled));
                assert_eq!(due(&mut responses), None);
                see(&mut responses, done("own"));
                assert_eq!(due(&mut responses).as_deref(), Some("a"));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_refused_again_and_again_is_given_back() {
        let mut responses = Responses::default();
        responses.ask(request("a"));
        for _ in 0..MOST_REFUSALS {
            assert_eq!(due(&mut responses).as_deref(), Some("a"));
            assert_eq!(see(&mut responses, busy(Some("a"))), Concern::Settled);
            tokio::time::advance(PATIENCE).await;
        }
        assert_eq!(due(&mut responses).as_deref(), Some("a"));
        assert_eq!(see(&mut responses, busy(Some("a"))), Concern::Caller);
        assert_eq!(responses.outstanding(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_response_of_the_server_does_not_touch_requests() {
        let mut responses = Responses::default();
        responses.ask(request("a"));
        due(&mut responses);
        see(&mut responses, created("resp_a"));
        assert_eq!(see(&mut responses, busy(None)), Concern::Caller);
        see(&mut responses, done("resp_a"));
        assert_eq!(due(&mut responses), None);
        assert_eq!(responses.outstanding(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_the_answer_to_a_spoken_turn() {
        let mut responses = Responses::default();
        see(
            &mut responses,
            json!({"type": "session.created", "session": {"type": "realtime"}}),
        );
        see(
            &mut responses,
            json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1, "item_id": "i"}),
        );
        responses.ask(request("a"));
        assert_eq!(due(&mut responses), None);
        // A server that stays silent is not waited for longer than it takes.
        let wake = responses.wake().expect("a time");
        tokio::time::advance(wake - Instant::now()).await;
        assert_eq!(due(&mut responses).as_deref(), Some("a"));
        assert_eq!(responses.wake(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn out_of_band_requests_go_beside_the_others() {
        let mut responses = Responses::default();
        responses.ask(request("a"));
        due(&mut responses);
        let mut aside = request("b");
        aside.response.get_or_insert_default().conversation = ConversationChoice::None.into();
        assert_eq!(responses.ask(aside.clone()), Some(aside));
        see(
            &mut responses,
            json!({"type": "response.created", "response": {"id": "resp_b", "conversation_id": null}}),
        );
        assert_eq!(
            responses.outstanding(),
            1,
            "the first one is still asked for"
        );
        see(&mut responses, created("resp_a"));
        see(
            &mut responses,
            json!({"type": "response.done", "response": {"id": "resp_b", "conversation_id": null}}),
        );
        responses.ask(request("c"));
        assert_eq!(due(&mut responses), None, "the first one runs");
    }

    #[tokio::test(start_paused = true)]
    async fn a_faulty_request_makes_room_for_the_next() {
        let mut responses = Responses::default();
        responses.ask(request("a"));
        responses.ask(request("b"));
        due(&mut responses);
        let refusal = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "no",
            "code": "invalid_value", "event_id": "a"}});
        assert_eq!(see(&mut responses, refusal), Concern::Caller);
        assert_eq!(due(&mut responses).as_deref(), Some("b"));
    }
}
