//! What a key may do, and what was spent with it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use kaiwa_client::costs::Usd;
use tokio::time::Instant;

use super::{
    config::{Period, RelayKey, UnixClock},
    state::Kept,
};
use crate::{
    auth::{self, Digest},
    http::ApiError,
};

/// How far back the responses of a minute are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// A key of the relay. Only its digest is kept.
pub(super) struct Key {
    pub(super) name: String,
    pub(super) digest: Digest,
    pub(super) models: Vec<String>,
    budget: Option<Usd>,
    period: Period,
    max_sessions: usize,
    requests_per_minute: Option<usize>,
    /// The reserve of a response while none was dearer.
    least_reserve: Usd,
    clock: UnixClock,
    account: Mutex<Account>,
}

#[derive(Default)]
struct Account {
    sessions: usize,
    /// The period `spent` is of.
    period: String,
    spent: Usd,
    /// Set aside for responses under way.
    reserved: Usd,
    /// The dearest response of the period so far.
    largest: Usd,
    /// Responses that were asked for and have not begun.
    asked: usize,
    /// When responses began, in the last minute.
    begun: VecDeque<Instant>,
    /// Something was used whose price nobody knows, with a budget in force.
    stopped: bool,
    /// How often something was used whose price nobody knows.
    unpriced: u64,
}

/// Why a key is not good for something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Refused {
    /// What is left of the budget is less than what a response is taken to cost.
    Budget,
    /// An event has the id of one that asks for a response and was not answered yet.
    EventId,
    /// A frame that the relay cannot judge as its upstream will.
    Frame,
    /// The key is not for this model.
    Model(String),
    /// As many responses as a minute may have.
    Rate(usize),
    /// As many sessions as the key may have.
    Sessions(usize),
    /// There is a budget, and no price.
    Unpriced,
}

impl Refused {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Budget => "budget_exhausted",
            Self::EventId => "event_id_in_use",
            Self::Frame => "invalid_frame",
            Self::Model(_) => "model_not_allowed",
            Self::Rate(_) => "rate_limit_exceeded",
            Self::Sessions(_) => "session_limit_reached",
            Self::Unpriced => "budget_unpriced",
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::Budget => "The budget of this key has no room for another response.".to_owned(),
            Self::EventId => "The event_id is that of a response.create that is still to be \
                              answered; choose another."
                .to_owned(),
            Self::Frame => "This key has limits: events have to be text frames of one JSON \
                            object in which no member is there twice."
                .to_owned(),
            Self::Model(model) => format!("This key is not for the model '{model}'."),
            Self::Rate(limit) => {
                format!("This key may have {limit} responses a minute; try again later.")
            }
            Self::Sessions(limit) => {
                format!("This key may have {limit} sessions at once; close one of them.")
            }
            Self::Unpriced => "This key has a budget, and it cannot be kept to: what was used \
                               has no known price."
                .to_owned(),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::EventId | Refused::Frame => StatusCode::BAD_REQUEST,
            Refused::Model(_) | Refused::Unpriced => StatusCode::FORBIDDEN,
            Refused::Budget | Refused::Rate(_) | Refused::Sessions(_) => {
                StatusCode::TOO_MANY_REQUESTS
            }
        };
        Self::new(status, refused.code(), refused.message())
    }
}

impl Key {
    pub(super) fn new(key: RelayKey, least_reserve: Usd, clock: UnixClock) -> Self {
        Self {
            digest: auth::digest(&key.key),
            ..Self::without_limits(key, least_reserve, clock)
        }
    }

    /// What those have who need no key.
    pub(super) fn of_anybody(least_reserve: Usd, clock: UnixClock) -> Self {
        let key = RelayKey {
            name: "anybody".to_owned(),
            ..RelayKey::default()
        };
        Self::without_limits(key, least_reserve, clock)
    }

    fn without_limits(key: RelayKey, least_reserve: Usd, clock: UnixClock) -> Self {
        Self {
            name: key.name,
            digest: Digest::default(),
            models: key.models,
            budget: key.budget,
            period: key.period,
            max_sessions: key.max_sessions.unwrap_or(usize::MAX),
            requests_per_minute: key.requests_per_minute,
            least_reserve,
            clock,
            account: Mutex::default(),
        }
    }

    /// Whether there is anything to look for in what clients send.
    pub(super) fn has_limits(&self) -> bool {
        self.budget.is_some() || self.requests_per_minute.is_some() || !self.models.is_empty()
    }

    pub(super) fn has_budget(&self) -> bool {
        self.budget.is_some()
    }

    /// Judges a model.
    pub(super) fn allow(&self, model: &str) -> Result<(), Refused> {
        if self.models.is_empty() || self.models.iter().any(|allowed| allowed == model) {
            Ok(())
        } else {
            Err(Refused::Model(model.to_owned()))
        }
    }

    /// A session begins.
    pub(super) fn admit(&self) -> Result<(), Refused> {
        let mut account = self.account();
        if account.stopped {
            return Err(Refused::Unpriced);
        }
        if account.sessions >= self.max_sessions {
            return Err(Refused::Sessions(self.max_sessions));
        }
        if self.is_exhausted(&account) {
            return Err(Refused::Budget);
        }
        account.sessions += 1;
        Ok(())
    }

    /// A session has ended.
    pub(super) fn leave(&self) {
        self.account().sessions -= 1;
    }

    /// A client asks for a response. Gives what was set aside for it.
    pub(super) fn ask(&self, now: Instant) -> Result<Usd, Refused> {
        let mut account = self.account();
        self.count_against_minute(&mut account, now)?;
        let reserve = self.set_aside(&mut account)?;
        account.asked += 1;
        Ok(reserve)
    }

    /// What was asked for will not be made.
    pub(super) fn refuse_asked(&self, reserve: Usd) {
        let mut account = self.account();
        account.asked -= 1;
        account.reserved = account.reserved.less(reserve);
    }

    /// A response that was asked for begins.
    pub(super) fn begin_asked(&self, now: Instant) {
        let mut account = self.account();
        account.asked -= 1;
        account.begun.push_back(now);
    }

    /// The server begins a response by itself. Gives what was set aside for it.
    pub(super) fn begin(&self, now: Instant) -> Result<Usd, Refused> {
        let mut account = self.account();
        let counted = self.count_against_minute(&mut account, now);
        account.begun.push_back(now);
        counted?;
        self.set_aside(&mut account)
    }

    /// A response has ended that so much was set aside for; `seen` where its cost was reported.
    pub(super) fn settle(&self, reserve: Usd, cost: Usd, seen: bool) {
        let mut account = self.account();
        account.reserved = account.reserved.less(reserve);
        account.spent += cost;
        if seen {
            account.largest = account.largest.max(cost);
        }
    }

    /// Something else was used.
    pub(super) fn spend(&self, cost: Usd) {
        self.account().spent += cost;
    }

    /// Something was used that has no price. With a budget, the key is good for nothing more.
    pub(super) fn use_unpriced(&self) -> Result<(), Refused> {
        let mut account = self.account();
        account.unpriced += 1;
        if self.budget.is_none() {
            return Ok(());
        }
        account.stopped = true;
        Err(Refused::Unpriced)
    }

    /// Whether there is room for another response once those under way have ended.
    pub(super) fn check(&self) -> Result<(), Refused> {
        let account = self.account();
        if account.stopped {
            return Err(Refused::Unpriced);
        }
        match self.is_exhausted(&account) {
            true => Err(Refused::Budget),
            false => Ok(()),
        }
    }

    /// Whether there is any money left, whatever is under way.
    pub(super) fn check_spent(&self) -> Result<(), Refused> {
        let account = self.account();
        match self.budget.is_some_and(|budget| account.spent >= budget) {
            true => Err(Refused::Budget),
            false => Ok(()),
        }
    }

    /// What a response is taken to cost.
    pub(super) fn reserve(&self) -> Usd {
        self.reserve_of(&self.account())
    }

    /// What was spent in this period, and how often something without a price was used.
    pub(super) fn spent(&self) -> (Usd, u64) {
        let account = self.account();
        (account.spent, account.unpriced)
    }

    /// What outlives the process.
    pub(super) fn kept(&self) -> Kept {
        let account = self.account();
        Kept {
            period: account.period.clone(),
            spent: account.spent,
            under_way: account.reserved,
            largest: account.largest,
        }
    }

    /// Goes on where another process ended. What was under way then is counted as spent.
    pub(super) fn resume(&self, kept: Kept) {
        let mut account = self.account();
        if kept.period != account.period {
            return;
        }
        account.spent = kept.spent + kept.under_way;
        // One dear response must not lock out what is left for good.
        account.largest = match self.budget {
            Some(budget) => kept.largest.min(budget.less(account.spent)),
            None => kept.largest,
        };
    }

    fn count_against_minute(&self, account: &mut Account, now: Instant) -> Result<(), Refused> {
        let Some(limit) = self.requests_per_minute else {
            account.begun.clear();
            return Ok(());
        };
        while account
            .begun
            .front()
            .is_some_and(|begun| *begun + MINUTE <= now)
        {
            account.begun.pop_front();
        }
        if account.begun.len() + account.asked >= limit {
            return Err(Refused::Rate(limit));
        }
        Ok(())
    }

    fn set_aside(&self, account: &mut Account) -> Result<Usd, Refused> {
        if account.stopped {
            return Err(Refused::Unpriced);
        }
        let reserve = self.reserve_of(account);
        let would_be = account.spent + account.reserved + reserve;
        if self.budget.is_some_and(|budget| would_be > budget) {
            return Err(Refused::Budget);
        }
        account.reserved += reserve;
        Ok(reserve)
    }

    fn is_exhausted(&self, account: &Account) -> bool {
        let would_be = account.spent + self.reserve_of(account);
        self.budget.is_some_and(|budget| would_be > budget)
    }

    fn reserve_of(&self, account: &Account) -> Usd {
        self.least_reserve.max(account.largest)
    }

    /// The account, in the period that it is now.
    fn account(&self) -> MutexGuard<'_, Account> {
        // Valid at every step.
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let period = self.period.of((self.clock)());
        if account.period != period {
            account.period = period;
            account.spent = Usd::ZERO;
            account.largest = Usd::ZERO;
        }
        account
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    fn key(key: RelayKey) -> (Key, Arc<AtomicU64>) {
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&seconds);
        let clock: UnixClock = Arc::new(move || clock.load(Ordering::Relaxed));
        (Key::new(key, usd("0.10"), clock), seconds)
    }

    fn with_budget(budget: &str, period: Period) -> (Key, Arc<AtomicU64>) {
        key(RelayKey {
            budget: Some(usd(budget)),
            period,
            ..RelayKey::default()
        })
    }

    #[test]
    fn responses_under_way_leave_no_room_that_is_not_there() {
        let (key, _) = with_budget("0.25", Period::Ever);
        let now = Instant::now();
        let first = key.ask(now).unwrap();
        let second = key.ask(now).unwrap();
        assert_eq!(key.ask(now), Err(Refused::Budget));
        key.refuse_asked(second);
        let second = key.ask(now).unwrap();
        key.begin_asked(now);
        key.settle(first, usd("0.01"), true);
        assert_eq!(key.ask(now), Ok(usd("0.10")), "0.01, and two under way");
        key.refuse_asked(usd("0.10"));
        key.begin_asked(now);
        key.settle(second, usd("0.02"), true);
        assert_eq!(key.check(), Ok(()));
        assert_eq!(key.spent().0, usd("0.03"));
    }

    #[test]
    fn a_dear_response_makes_the_next_ones_dear() {
        let (key, _) = with_budget("1", Period::Ever);
        let now = Instant::now();
        let reserve = key.begin(now).unwrap();
        key.settle(reserve, usd("0.40"), true);
        assert_eq!(key.reserve(), usd("0.40"));
        key.begin(now).unwrap();
        assert_eq!(key.begin(now), Err(Refused::Budget));
        // An estimate says nothing about what responses cost.
        key.settle(usd("0.40"), usd("0.59"), false);
        assert_eq!(key.reserve(), usd("0.40"));
        assert_eq!(key.check(), Err(Refused::Budget));
        assert_eq!(key.admit(), Err(Refused::Budget));
    }

    #[test]
    fn a_budget_begins_anew_with_its_period() {
        for (period, length) in [(Period::Day, 86_400), (Period::Month, 31 * 86_400)] {
            let (key, seconds) = with_budget("0.10", period);
            key.spend(usd("0.05"));
            seconds.store(length - 1, Ordering::Relaxed);
            assert_eq!(key.check(), Err(Refused::Budget));
            seconds.store(length, Ordering::Relaxed);
            assert_eq!(key.check(), Ok(()));
            assert_eq!(key.spent().0, Usd::ZERO);
        }
    }

    #[test]
    fn a_response_dearer_than_the_budget_locks_a_key_no_longer_than_its_period() {
        let (key, seconds) = with_budget("0.25", Period::Day);
        let now = Instant::now();
        let reserve = key.begin(now).unwrap();
        key.settle(reserve, usd("0.90"), true);
        assert_eq!(key.check(), Err(Refused::Budget));
        assert_eq!(key.check_spent(), Err(Refused::Budget));
        let kept = key.kept();
        seconds.store(86_400, Ordering::Relaxed);
        assert_eq!(key.check(), Ok(()));
        assert_eq!(key.ask(now), Ok(usd("0.10")));
        let (next, seconds) = with_budget("0.25", Period::Day);
        seconds.store(86_400, Ordering::Relaxed);
        next.resume(kept);
        assert_eq!(next.ask(now), Ok(usd("0.10")));
    }

    #[test]
    fn what_is_left_of_a_budget_is_not_locked_for_good() {
        let (key, _) = with_budget("1", Period::Ever);
        let reserve = key.begin(Instant::now()).unwrap();
        key.settle(reserve, usd("0.60"), true);
        assert_eq!(key.check(), Err(Refused::Budget));
        assert_eq!(key.check_spent(), Ok(()));
        let (next, _) = with_budget("1", Period::Ever);
        next.resume(key.kept());
        assert_eq!((next.spent().0, next.reserve()), (usd("0.60"), usd("0.40")));
        assert_eq!(next.check(), Ok(()));
    }

    #[test]
    fn what_was_kept_of_another_period_is_not_spent_in_this() {
        let (key, seconds) = with_budget("1", Period::Day);
        key.spend(usd("0.30"));
        let reserve = key.ask(Instant::now()).unwrap();
        let kept = key.kept();
        assert_eq!(kept.under_way, reserve);
        let (next, _) = with_budget("1", Period::Day);
        next.resume(kept.clone());
        assert_eq!(next.spent().0, usd("0.40"), "with what was under way");
        seconds.store(86_400, Ordering::Relaxed);
        key.resume(kept);
        assert_eq!(key.spent().0, Usd::ZERO);
    }

    #[test]
    fn responses_a_minute_are_counted_when_asked_for_and_when_not() {
        let (key, _) = key(RelayKey {
            requests_per_minute: Some(2),
            ..RelayKey::default()
        });
        let now = Instant::now();
        key.ask(now).unwrap();
        key.begin(now).unwrap();
        assert_eq!(key.ask(now), Err(Refused::Rate(2)));
        key.begin_asked(now);
        let later = now + MINUTE - Duration::from_millis(1);
        assert_eq!(key.begin(later), Err(Refused::Rate(2)));
        let later = now + MINUTE;
        key.ask(later).unwrap();
        assert_eq!(
            key.ask(later),
            Err(Refused::Rate(2)),
            "the one that was one too many counts"
        );
    }

    #[test]
    fn without_a_budget_what_has_no_price_is_counted_and_with_one_it_is_the_end() {
        let (free, _) = key(RelayKey::default());
        assert_eq!(free.use_unpriced(), Ok(()));
        assert_eq!((free.spent().1, free.check()), (1, Ok(())));
        let (key, _) = with_budget("1", Period::Ever);
        assert_eq!(key.use_unpriced(), Err(Refused::Unpriced));
        assert_eq!(key.check(), Err(Refused::Unpriced));
        assert_eq!(key.admit(), Err(Refused::Unpriced));
        assert_eq!(key.ask(Instant::now()), Err(Refused::Unpriced));
    }

    #[test]
    fn a_key_may_be_for_some_models() {
        let (key, _) = key(RelayKey {
            models: vec!["a".to_owned()],
            max_sessions: Some(1),
            ..RelayKey::default()
        });
        assert_eq!(key.allow("a"), Ok(()));
        assert_eq!(key.allow("b"), Err(Refused::Model("b".to_owned())));
        assert_eq!(key.admit(), Ok(()));
        assert_eq!(key.admit(), Err(Refused::Sessions(1)));
        key.leave();
        assert_eq!(key.admit(), Ok(()));
    }
}
