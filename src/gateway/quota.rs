//! Stage 10: how many attempts an upstream gets in a while.
//!
//! It stands inside the breaker, so that an open circuit burns no token, and outside the seats, so that who waits holds
//! none. What the upstream says of its own limit pauses it for all callers. Tokens are guards: one that was not used is
//! given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, sleep_until, timeout_at};

use self::bucket::Bucket;
use self::shared::{Origin, Shared};
use super::bulkhead::Place;
use crate::fleet::Fleet;
use crate::models::policy::{self, OnExhausted, Scope};
use crate::redis::Allowance;
use crate::telemetry::metrics::{QuotaResult, UpstreamMetrics};

mod bucket;
mod hints;
mod shared;

pub use self::shared::Standing;

/// Attempts that wait for a token, at most.
pub const LINE: usize = 4096;

/// The longest pause an upstream can ask for.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How late a timer may ring, or a waiting attempt get its turn, without a token being lost to it, nanoseconds.
const SLACK: u64 = 10_000_000;

/// Longest wait of one attempt for Redis, within what its call may wait; its own question may take no more than is left
/// of it, nor less than the second.
const FLEET_LIMIT: Duration = Duration::from_millis(8);
const SHORTEST_ASK: Duration = Duration::from_millis(1);

/// The quota of one upstream or operation.
#[derive(Debug)]
pub struct Quota {
    on_exhausted: OnExhausted,
    source: Source,
    /// Nanoseconds since `base`.
    paused_until: AtomicU64,
    /// Who waits takes turns: first come, first served.
    turn: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
    base: Instant,
    metrics: Arc<UpstreamMetrics>,
}

/// Where tokens come from.
#[derive(Debug)]
enum Source {
    /// This replica's own.
    Replica(Bucket),
    /// The fleet's.
    Fleet(Arc<Shared>),
}

/// Why there is no token at hand. Times are nanoseconds since the quota's `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// There is none before.
    Until(u64),
    /// The fleet has to be asked.
    Unasked,
}

/// Leave for one attempt; given back unless it is spent.
#[derive(Debug)]
#[must_use = "a token that is dropped is given back"]
pub struct Token {
    quota: Arc<Quota>,
    origin: Origin,
    spent: bool,
}

/// A token, and how it was got.
type Taken = (Token, QuotaResult);

/// Why there was no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoToken {
    /// None in time, and how long it may take until there is one.
    Refused(Shortage, Duration),
    /// While it waited, the breaker moved on: ask that again first.
    Overtaken,
}

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Tokens.
    Tokens,
    /// Time: the upstream asked for a pause.
    Paused,
    /// Room in the line.
    Room,
}

impl Quota {
    /// A full one. The fleet knows it by `name`. A pause that `before` learned goes on.
    pub fn new(
        settings: &policy::Quota,
        name: &str,
        fleet: &Fleet,
        metrics: Arc<UpstreamMetrics>,
        before: Option<&Self>,
    ) -> Self {
        let base = Instant::now();
        let quota = Self {
            on_exhausted: settings.on_exhausted,
            source: match &fleet.redis {
                Some(redis) if settings.scope == Scope::Fleet => {
                    Source::Fleet(Shared::new(settings, name, fleet, redis, (base, &metrics)))
                }
                _ => Source::Replica(Bucket::new(settings.rate.interval(), settings.burst)),
            },
            paused_until: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            base,
            metrics,
        };
        quota.pause(before.map_or(Duration::ZERO, Self::paused_for));
        quota
    }

    /// Takes a token: at once, or after waiting in line until `until`. `may_go` is asked before a token is taken that
    /// was waited for.
    pub async fn take(
        self: &Arc<Self>,
        until: Instant,
        redis: &Allowance,
        may_go: impl Fn() -> bool,
    ) -> Result<Token, NoToken> {
        let taken = match self.at_once() {
            Ok(token) => Ok((token, QuotaResult::AtOnce)),
            Err(Missing::Until(at)) if self.instant(at) > self.patience(until) => {
                Err(self.refusal(self.shortage(), 0))
            }
            Err(_) => self.wait(until, redis, may_go).await,
        };
        match &taken {
            Ok((_, how)) => self.metrics.quota(*how),
            Err(NoToken::Refused(..)) => self.metrics.quota(QuotaResult::Refused),
            Err(NoToken::Overtaken) => {}
        }
        taken.map(|(token, _)| token)
    }

    /// Heeds what an answer of the upstream says of its limit. Answers with the pause it began, if it began one.
    pub fn learn(&self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        let pause = hints::pause(status, headers)?.min(LONGEST_PAUSE);
        let began = self.paused_for().is_zero();
        self.pause(pause);
        if let (true, Source::Fleet(shared)) = (began, &self.source) {
            shared.spread(pause);
        }
        began.then_some(pause)
    }

    /// Tokens that could be taken at once.
    pub fn remaining(&self) -> u64 {
        let now = self.now();
        match &self.source {
            _ if now < self.paused_until() => 0,
            Source::Replica(bucket) => bucket.remaining(now),
            Source::Fleet(shared) => shared.remaining(now),
        }
    }

    /// Where its tokens come from now.
    pub fn standing(&self) -> Standing {
        match &self.source {
            Source::Replica(_) => Standing::Replica,
            Source::Fleet(shared) => shared.standing(),
        }
    }

    /// Attempts that wait for a token.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// What is left of a pause the upstream asked for; zero when there is none.
    pub fn paused_for(&self) -> Duration {
        Duration::from_nanos(self.paused_until().saturating_sub(self.now()))
    }

    fn paused_until(&self) -> u64 {
        let learned = self.paused_until.load(Relaxed);
        match &self.source {
            Source::Replica(_) => learned,
            Source::Fleet(shared) => learned.max(shared.paused_until()),
        }
    }

    fn pause(&self, pause: Duration) {
        self.paused_until.fetch_max(self.now() + pause.as_nanos() as u64, Relaxed);
    }

    /// A token for who comes when nobody waits.
    fn at_once(self: &Arc<Self>) -> Result<Token, Missing> {
        if self.waiting() > 0 && !self.rejects() {
            return Err(Missing::Unasked);
        }
        let now = self.now();
        self.try_take(now, now).map(|origin| self.token(origin))
    }

    async fn wait(
        self: &Arc<Self>,
        until: Instant,
        redis: &Allowance,
        may_go: impl Fn() -> bool,
    ) -> Result<Taken, NoToken> {
        let (entered, ahead) = (self.now(), self.waiting());
        let _place = Place::take(&self.waiting, LINE).ok_or_else(|| self.refusal(Shortage::Room, ahead))?;
        if self.due(ahead) > until {
            // Nobody is served by waiting in vain.
            return Err(self.refusal(self.shortage(), ahead));
        }
        let _turn =
            timeout_at(until, self.turn.lock()).await.map_err(|_| self.refusal(self.shortage(), ahead))?;
        let mut slept = false;
        loop {
            if !may_go() {
                return Err(NoToken::Overtaken);
            }
            let now = self.now();
            let at = match self.try_take(now, entered.max(now.saturating_sub(SLACK))) {
                Ok(origin) => return Ok((self.token(origin), self.how(now - entered))),
                Err(Missing::Unasked) => {
                    let waited = if slept { Duration::ZERO } else { Duration::from_nanos(now - entered) };
                    let most = FLEET_LIMIT.saturating_sub(waited).max(SHORTEST_ASK);
                    redis.spend(most, |limit| self.ask(limit)).await;
                    continue;
                }
                Err(Missing::Until(at)) => self.instant(at),
            };
            if at > self.patience(until) {
                return Err(self.refusal(self.shortage(), 0));
            }
            slept = true;
            sleep_until(at).await;
        }
    }

    /// Asks the fleet. Whoever is the first in line does it for all.
    async fn ask(&self, limit: Duration) {
        if let Source::Fleet(shared) = &self.source {
            shared.ask(self.waiting(), limit).await;
        }
    }

    fn try_take(&self, now: u64, since: u64) -> Result<Origin, Missing> {
        let paused_until = self.paused_until();
        match &self.source {
            _ if now < paused_until => Err(Missing::Until(paused_until)),
            Source::Replica(bucket) => {
                bucket.take(now, since).map(|()| Origin::Replica).map_err(Missing::Until)
            }
            Source::Fleet(shared) => shared.take(now, since),
        }
    }

    fn token(self: &Arc<Self>, origin: Origin) -> Token {
        Token { quota: Arc::clone(self), origin, spent: false }
    }

    /// When a token can be expected behind so many others, at the earliest.
    fn due(&self, ahead: usize) -> Instant {
        let next = match &self.source {
            Source::Replica(bucket) => {
                bucket.next_at().saturating_add(bucket.interval().saturating_mul(ahead as u64))
            }
            Source::Fleet(shared) => shared.next_at(),
        };
        self.instant(next.max(self.paused_until()).max(self.now()))
    }

    /// What took no longer than a question to Redis may is not called waiting.
    fn how(&self, waited: u64) -> QuotaResult {
        match self.source {
            Source::Fleet(_) if Duration::from_nanos(waited) <= FLEET_LIMIT => QuotaResult::AtOnce,
            _ => QuotaResult::Waited,
        }
    }

    /// Until when a token is waited for. Who does not wait for one still waits for Redis, and as long for a token of the
    /// fleet that is reserved a moment ahead.
    fn patience(&self, until: Instant) -> Instant {
        match self.source {
            _ if !self.rejects() => until,
            Source::Replica(_) => Instant::now(),
            Source::Fleet(_) => until.min(Instant::now() + FLEET_LIMIT),
        }
    }

    fn rejects(&self) -> bool {
        self.on_exhausted == OnExhausted::Reject
    }

    fn shortage(&self) -> Shortage {
        if self.paused_for().is_zero() { Shortage::Tokens } else { Shortage::Paused }
    }

    fn refusal(&self, shortage: Shortage, ahead: usize) -> NoToken {
        NoToken::Refused(shortage, self.due(ahead).saturating_duration_since(Instant::now()))
    }

    fn now(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }

    fn instant(&self, nanoseconds: u64) -> Instant {
        self.base + Duration::from_nanos(nanoseconds)
    }
}

impl Token {
    /// The attempt goes out: the token is used up.
    pub fn spend(mut self) {
        self.spent = true;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if !self.spent {
            match &self.quota.source {
                Source::Replica(bucket) => bucket.give_back(),
                Source::Fleet(shared) => shared.give_back(self.origin),
            }
        }
    }
}

#[cfg(test)]
mod tests;
