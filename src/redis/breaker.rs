//! The breaker in front of Redis: `failsafe`'s, as it comes. Five failures in a row open it, for a second at first
//! and twice as long each time up to fifteen.

use std::sync::Arc;
use std::time::Duration;

use failsafe::backoff::{self, Exponential};
use failsafe::failure_policy::{self, ConsecutiveFailures};
use failsafe::{Config, Instrument, StateMachine};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::CALL_LIMIT;
use super::error::RedisError;
use super::presence::Presence;

const FAILURES: u32 = 5;
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);

/// The breaker.
pub(super) struct Breaker {
    machine: StateMachine<ConsecutiveFailures<Exponential>, Told>,
    /// When the last failure was counted.
    failed: Mutex<Option<Instant>>,
}

/// Who is told when it opens and closes.
struct Told(Arc<Presence>);

impl Breaker {
    pub(super) fn new(presence: Arc<Presence>) -> Self {
        let policy = failure_policy::consecutive_failures(FAILURES, backoff::exponential(FIRST, LONGEST));
        Self {
            machine: Config::new().failure_policy(policy).instrument(Told(presence)).build(),
            failed: Mutex::default(),
        }
    }

    pub(super) fn lets_through(&self) -> bool {
        self.machine.is_call_permitted()
    }

    /// An error about the question is an answer all the same; whoever had less than a call's time to wait has learnt
    /// nothing. Questions that were out together and failed together are one failure: one short halt must not open it.
    pub(super) fn learn<T>(&self, asked: Instant, answered: &Result<T, RedisError>) {
        match answered {
            Err(RedisError::Slow(limit)) if *limit < CALL_LIMIT => {}
            Err(error) if error.is_down() => {
                let mut failed = self.failed.lock();
                if failed.is_none_or(|failed| asked >= failed) {
                    *failed = Some(Instant::now());
                    self.machine.on_error();
                }
            }
            _ => self.machine.on_success(),
        }
    }

    /// A connection was made: what was seen before says nothing of it.
    pub(super) fn reset(&self) {
        self.machine.reset();
    }
}

impl Instrument for Told {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.0.answers(false);
    }

    fn on_half_open(&self) {}

    fn on_closed(&self) {
        self.0.answers(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow() -> Result<(), RedisError> {
        Err(RedisError::Slow(CALL_LIMIT))
    }

    fn breaker() -> (Breaker, Arc<Presence>) {
        let presence = Arc::new(Presence::new());
        presence.connected();
        (Breaker::new(Arc::clone(&presence)), presence)
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_new_connection_closes_it() {
        let (breaker, presence) = breaker();
        for _ in 0..4 {
            breaker.learn(Instant::now(), &slow());
        }
        breaker.learn(Instant::now(), &Ok(()));
        for _ in 0..4 {
            breaker.learn(Instant::now(), &slow());
        }
        assert!(breaker.lets_through() && presence.is_up());
        breaker.learn(Instant::now(), &slow());
        assert!(!breaker.lets_through() && !presence.is_up());
        breaker.reset();
        for _ in 0..10 {
            breaker.learn::<()>(Instant::now(), &Err(RedisError::Slow(CALL_LIMIT / 2)));
        }
        assert!(breaker.lets_through() && presence.is_up());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_out_together_and_failed_together_is_one_failure() {
        let (breaker, presence) = breaker();
        for _ in 0..4 {
            let asked = Instant::now();
            tokio::time::advance(CALL_LIMIT).await;
            for _ in 0..100 {
                breaker.learn(asked, &slow());
            }
        }
        assert!(breaker.lets_through() && presence.is_up());
        breaker.learn(Instant::now(), &slow());
        assert!(!breaker.lets_through());
    }
}
