//! What the events of one session cost, and whether it may go on.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use kaiwa_client::costs::{Cost, Prices, Usd};
use kaiwa_protocol::{TranscriptionUsage, Usage};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::time::Instant;

use super::{
    Place,
    keys::{Key, Refused},
    scan::{self, Outline},
};

/// Counts for one session. What is under way when it is dropped is billed as the reserve, the
/// most that such a response is taken to cost.
pub(super) struct Meter {
    /// The model in force, as far as it is known.
    model: Option<String>,
    /// The model that transcribes what is heard.
    transcriber: Option<String>,
    /// Asked for, not begun, in order.
    asked: VecDeque<Asked>,
    /// Begun, not ended: what was set aside for each, by its id.
    under_way: HashMap<String, Usd>,
    own_events: u64,
    place: Place,
}

struct Asked {
    event_id: Option<String>,
    reserve: Usd,
}

#[derive(Deserialize)]
struct OfResponse<'a> {
    #[serde(borrow)]
    response: Response<'a>,
}

#[derive(Default, Deserialize)]
struct Response<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OfTranscription<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl Meter {
    pub(super) fn new(place: Place, model: Option<String>) -> Self {
        Self {
            model,
            transcriber: None,
            asked: VecDeque::new(),
            under_way: HashMap::new(),
            own_events: 0,
            place,
        }
    }

    /// Whether clients may be told something by the relay itself.
    pub(super) fn has_limits(&self) -> bool {
        self.key().has_limits()
    }

    /// Judges a client's frame before it is passed on.
    ///
    /// # Errors
    ///
    /// The event that answers it instead.
    pub(super) fn hear_client(&mut self, frame: &str) -> Result<(), String> {
        if !self.has_limits() {
            return Ok(());
        }
        let Some(Outline { kind, event_id }) = scan::outline(frame) else {
            return Err(self.refusal(&Refused::Frame, None));
        };
        let (creates, judged) = match kind.as_deref() {
            Some("response.create") => (true, self.judge_create(frame)),
            Some("session.update") => (false, self.judge_update(frame)),
            Some("transcription_session.update") => (false, Ok(())),
            // Nothing is used before it is known what it costs.
            _ if self.is_unknown() => (false, Err(Refused::Unpriced)),
            _ => (false, Ok(())),
        };
        if let Err(refused) = judged.and_then(|()| self.judge_id(event_id.as_deref())) {
            return Err(self.refusal(&refused, event_id));
        }
        if creates {
            match self.key().ask(Instant::now()) {
                Ok(reserve) => {
                    self.asked.push_back(Asked { event_id, reserve });
                    self.place.book().changed();
                }
                Err(refused) => return Err(self.refusal(&refused, event_id)),
            }
        }
        Ok(())
    }

    /// Judges a client's binary frame before it is passed on: nobody knows what is in it.
    ///
    /// # Errors
    ///
    /// The event that answers it instead.
    pub(super) fn hear_binary(&mut self) -> Result<(), String> {
        match self.has_limits() {
            true => Err(self.refusal(&Refused::Frame, None)),
            false => Ok(()),
        }
    }

    fn judge_create(&self, frame: &str) -> Result<(), Refused> {
        if self.key().has_budget() && self.model.is_none() {
            return Err(Refused::Unpriced);
        }
        // Its upstream is to read it as it was judged.
        match serde_json::from_str::<Value>(frame) {
            Ok(_) => Ok(()),
            Err(_) => Err(Refused::Frame),
        }
    }

    fn judge_update(&self, frame: &str) -> Result<(), Refused> {
        let event: Value = serde_json::from_str(frame).map_err(|_| Refused::Frame)?;
        match event["session"]["model"].as_str() {
            Some(model) => self.key().allow(model),
            None => Ok(()),
        }
    }

    /// An error with the id of a `response.create` sets free what was set aside for it, so no
    /// other event may have that id.
    fn judge_id(&self, event_id: Option<&str>) -> Result<(), Refused> {
        let mut asked = self
            .asked
            .iter()
            .filter_map(|asked| asked.event_id.as_deref());
        match event_id.is_some_and(|id| asked.any(|asked| asked == id)) {
            true => Err(Refused::EventId),
            false => Ok(()),
        }
    }

    /// Whether there is a budget, and nothing is known yet of what is to be paid from it.
    fn is_unknown(&self) -> bool {
        self.key().has_budget() && self.model.is_none() && self.transcriber.is_none()
    }

    /// Responses that were asked for or have begun, and have not ended.
    pub(super) fn pending(&self) -> usize {
        self.asked.len() + self.under_way.len()
    }

    /// Responses that have begun and not ended.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Counts a frame of the upstream, after it was passed on.
    ///
    /// # Errors
    ///
    /// Why the session must not go on.
    pub(super) fn hear_upstream(&mut self, frame: &str) -> Result<(), Refused> {
        let mut outcome = Ok(());
        scan::first_kind(frame, |kind| outcome = self.count(kind, frame));
        outcome
    }

    /// The event by which a client is told something that it did not ask for.
    pub(super) fn notice(&mut self, refused: &Refused) -> String {
        self.refusal(refused, None)
    }

    fn count(&mut self, kind: &str, frame: &str) -> Result<(), Refused> {
        match kind {
            "response.created" => self.begun(frame),
            "response.done" => self.done(frame),
            "conversation.item.input_audio_transcription.completed" => self.transcribed(frame),
            "session.created"
            | "session.updated"
            | "transcription_session.created"
            | "transcription_session.updated" => self.configured(frame),
            "error" => {
                self.place.count_error();
                self.failed(frame);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begun(&mut self, frame: &str) -> Result<(), Refused> {
        let id = response(frame).and_then(|response| response.id);
        let now = Instant::now();
        let reserve = match self.asked.pop_front() {
            Some(asked) => {
                self.key().begin_asked(now);
                Ok(asked.reserve)
            }
            None => self.key().begin(now),
        };
        // One that must not be made has begun all the same, and is billed.
        let set_aside = reserve.as_ref().copied().unwrap_or(Usd::ZERO);
        *self.under_way.entry(id.unwrap_or_default()).or_default() += set_aside;
        self.place.book().changed();
        reserve.map(drop)
    }

    fn done(&mut self, frame: &str) -> Result<(), Refused> {
        let Some(response) = response(frame) else {
            return self.unpriced();
        };
        let id = response.id.unwrap_or_default();
        let reserve = self.under_way.remove(&id).unwrap_or_default();
        let is_whole = response.status.as_deref() == Some("completed");
        let outcome = match response.usage {
            // What ended early is not always reported.
            None if !is_whole => {
                let estimate = self.estimate();
                self.key().settle(reserve, estimate, false);
                Ok(())
            }
            usage => match usage.and_then(|usage| self.cost_of_response(usage.get())) {
                Some(cost) => {
                    self.key().settle(reserve, cost.usd, true);
                    Ok(())
                }
                None => {
                    self.key().settle(reserve, Usd::ZERO, false);
                    self.unpriced()
                }
            },
        };
        self.place.book().changed();
        outcome.and_then(|()| self.go_on())
    }

    fn transcribed(&self, frame: &str) -> Result<(), Refused> {
        let usage = serde_json::from_str::<OfTranscription<'_>>(frame).ok();
        let usage = usage.and_then(|event| event.usage);
        match usage.and_then(|usage| self.cost_of_transcription(usage.get())) {
            Some(cost) => self.key().spend(cost.usd),
            None => self.unpriced()?,
        }
        self.place.book().changed();
        self.go_on()
    }

    /// Learns which models are in force.
    fn configured(&mut self, frame: &str) -> Result<(), Refused> {
        let event: Value = serde_json::from_str(frame).unwrap_or_default();
        let session = &event["session"];
        if let Some(model) = session["model"].as_str() {
            self.model = Some(model.to_owned());
            // Upstreams say the whole name of what was asked for by a shorter one.
            let is_dated = |name: &String| {
                let rest = model.strip_prefix(name.as_str());
                rest.is_some_and(|rest| rest.starts_with("-20"))
            };
            if !self.key().models.iter().any(is_dated) {
                self.key().allow(model)?;
            }
        }
        let transcription = match &session["audio"]["input"]["transcription"] {
            Value::Null => &session["input_audio_transcription"],
            transcription => transcription,
        };
        self.transcriber = transcription["model"].as_str().map(str::to_owned);
        let names = [&self.model, &self.transcriber].into_iter().flatten();
        let mut names = names.map(|name| self.prices().of(name));
        match self.key().has_budget() && names.any(|price| price.is_none()) {
            true => Err(Refused::Unpriced),
            false => Ok(()),
        }
    }

    /// An event of the client was refused: perhaps one that asked for a response.
    fn failed(&mut self, frame: &str) {
        let event: Value = serde_json::from_str(frame).unwrap_or_default();
        // An error without an id may be about anything.
        let Some(of) = event["error"]["event_id"].as_str() else {
            return;
        };
        // A response that begins all the same is counted as one nobody has asked for.
        let found = self
            .asked
            .iter()
            .position(|asked| asked.event_id.as_deref() == Some(of));
        if let Some(asked) = found.and_then(|at| self.asked.remove(at)) {
            self.key().refuse_asked(asked.reserve);
            self.place.book().changed();
        }
    }

    /// Whether there is money for another response, or some at all while one has still to end.
    fn go_on(&self) -> Result<(), Refused> {
        self.key().check_spent()?;
        match self.under_way.is_empty() && self.asked.is_empty() {
            true => self.key().check(),
            false => Ok(()),
        }
    }

    fn unpriced(&self) -> Result<(), Refused> {
        self.key().use_unpriced()
    }

    fn cost_of_response(&self, usage: &str) -> Option<Cost> {
        let usage: Usage = serde_json::from_str(usage).ok()?;
        // Usage that counts nothing is none.
        usage.input_tokens.value()?;
        usage.output_tokens.value()?;
        self.prices()
            .of(self.model.as_deref()?)?
            .of_response(&usage)
    }

    fn cost_of_transcription(&self, usage: &str) -> Option<Cost> {
        let usage: TranscriptionUsage = serde_json::from_str(usage).ok()?;
        let price = self.prices().of(self.transcriber.as_deref()?)?;
        price.of_transcription(&usage)
    }

    /// What a response may have cost that nobody has counted.
    fn estimate(&self) -> Usd {
        let model = self.model.as_deref();
        match model.and_then(|model| self.prices().of(model)) {
            Some(_) => self.key().reserve(),
            None => Usd::ZERO,
        }
    }

    fn refusal(&mut self, refused: &Refused, event_id: Option<String>) -> String {
        self.own_events += 1;
        let kind = match refused {
            Refused::Rate(_) => "rate_limit_error",
            Refused::Budget => "insufficient_quota",
            _ => "invalid_request_error",
        };
        self.place.count_error();
        json!({
            "type": "error",
            "event_id": format!("event_of_relay_{}", self.own_events),
            "error": {
                "type": kind,
                "code": refused.code(),
                "message": refused.message(),
                "param": null,
                "event_id": event_id,
            },
        })
        .to_string()
    }

    fn key(&self) -> &Key {
        self.place.key()
    }

    fn prices(&self) -> &Prices {
        self.place.prices()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let estimate = self.estimate();
        let key: &Arc<Key> = self.place.key();
        for asked in self.asked.drain(..) {
            key.refuse_asked(asked.reserve);
            key.spend(estimate);
        }
        for (_, reserve) in self.under_way.drain() {
            key.settle(reserve, estimate, false);
        }
        self.place.book().changed();
    }
}

fn response(frame: &str) -> Option<Response<'_>> {
    let event: OfResponse<'_> = serde_json::from_str(frame).ok()?;
    Some(event.response)
}
