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
use super::bulkhead::Place;
use crate::models::policy::{self, OnExhausted};
use crate::telemetry::metrics::{QuotaResult, UpstreamMetrics};

mod bucket;
mod hints;

/// Attempts that wait for a token, at most.
pub const LINE: usize = 4096;

/// The longest pause an upstream can ask for.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How late a timer may ring, or a waiting attempt get its turn, without a token being lost to it, nanoseconds.
const SLACK: u64 = 10_000_000;

/// The quota of one upstream or operation.
#[derive(Debug)]
pub struct Quota {
    on_exhausted: OnExhausted,
    bucket: Bucket,
    /// Nanoseconds since `base`.
    paused_until: AtomicU64,
    /// Who waits takes turns: first come, first served.
    turn: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
    base: Instant,
    metrics: Arc<UpstreamMetrics>,
}

/// Leave for one attempt; given back unless it is spent.
#[derive(Debug)]
#[must_use = "a token that is dropped is given back"]
pub struct Token {
    quota: Arc<Quota>,
    spent: bool,
}

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
    /// A full one. A pause that `before` learned goes on.
    pub fn new(settings: &policy::Quota, metrics: Arc<UpstreamMetrics>, before: Option<&Self>) -> Self {
        let quota = Self {
            on_exhausted: settings.on_exhausted,
            bucket: Bucket::new(settings.rate.interval(), settings.burst),
            paused_until: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            base: Instant::now(),
            metrics,
        };
        quota.pause(before.map_or(Duration::ZERO, Self::paused_for));
        quota
    }

    /// Takes a token: at once, or after waiting in line until `until`. `may_go` is asked before a token is taken that
    /// was waited for.
    pub async fn take(self: &Arc<Self>, until: Instant, may_go: impl Fn() -> bool) -> Result<Token, NoToken> {
        let taken = match self.at_once() {
            Ok(token) => Ok((token, QuotaResult::AtOnce)),
            Err(shortage) if self.on_exhausted == OnExhausted::Reject => Err(self.refusal(shortage, 0)),
            Err(_) => self.wait(until, may_go).await.map(|token| (token, QuotaResult::Waited)),
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
        began.then_some(pause)
    }

    /// Tokens that could be taken at once.
    pub fn remaining(&self) -> u64 {
        if self.paused_for().is_zero() { self.bucket.remaining(self.now()) } else { 0 }
    }

    /// Attempts that wait for a token.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// What is left of a pause the upstream asked for; zero when there is none.
    pub fn paused_for(&self) -> Duration {
        Duration::from_nanos(self.paused_until.load(Relaxed).saturating_sub(self.now()))
    }

    fn pause(&self, pause: Duration) {
        self.paused_until.fetch_max(self.now() + pause.as_nanos() as u64, Relaxed);
    }

    /// A token for who comes when nobody waits.
    fn at_once(self: &Arc<Self>) -> Result<Token, Shortage> {
        let now = self.now();
        if self.waiting() > 0 || self.try_take(now, now).is_err() {
            return Err(self.shortage());
        }
        Ok(self.token())
    }

    async fn wait(self: &Arc<Self>, until: Instant, may_go: impl Fn() -> bool) -> Result<Token, NoToken> {
        let entered = self.now();
        let ahead = self.waiting();
        let _place = Place::take(&self.waiting, LINE).ok_or_else(|| self.refusal(Shortage::Room, ahead))?;
        if self.due(ahead) > until {
            // Nobody is served by waiting in vain.
            return Err(self.refusal(self.shortage(), ahead));
        }
        let _turn =
            timeout_at(until, self.turn.lock()).await.map_err(|_| self.refusal(self.shortage(), ahead))?;
        loop {
            if !may_go() {
                return Err(NoToken::Overtaken);
            }
            let now = self.now();
            match self.try_take(now, entered.max(now.saturating_sub(SLACK))) {
                Ok(()) => return Ok(self.token()),
                Err(at) if self.instant(at) > until => return Err(self.refusal(self.shortage(), 0)),
                Err(at) => sleep_until(self.instant(at)).await,
            }
        }
    }

    fn try_take(&self, now: u64, since: u64) -> Result<(), u64> {
        let paused_until = self.paused_until.load(Relaxed);
        if now < paused_until { Err(paused_until) } else { self.bucket.take(now, since) }
    }

    fn token(self: &Arc<Self>) -> Token {
        Token { quota: Arc::clone(self), spent: false }
    }

    /// When a token can be expected behind so many others.
    fn due(&self, ahead: usize) -> Instant {
        let next = self.bucket.next_at().max(self.paused_until.load(Relaxed)).max(self.now());
        self.instant(next.saturating_add(self.bucket.interval().saturating_mul(ahead as u64)))
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
            self.quota.bucket.give_back();
        }
    }
}

#[cfg(test)]
mod tests;
