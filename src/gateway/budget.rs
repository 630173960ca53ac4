//! The retry budget: retries may be a share of calls, plus a small reserve, over a sliding window.
//!
//! It is shared by all callers of an upstream, because a retry storm is: when everything fails, each caller's
//! own limit still multiplies the load. Charged before the backoff sleep, so that sleepers count.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::fleet::Replicas;
use crate::models::policy::Retry;

const BUCKETS: usize = 10;

/// Calls and retries of the last window.
#[derive(Debug)]
pub struct Budget {
    percent: f64,
    /// Of all replicas together.
    reserve: f64,
    replicas: Replicas,
    bucket: Duration,
    start: Instant,
    window: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    tick: u64,
    buckets: [Counts; BUCKETS],
    sum: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    calls: u64,
    retries: u64,
}

impl Budget {
    /// A budget with nothing spent.
    pub fn new(settings: &Retry, replicas: Replicas) -> Self {
        Self {
            replicas,
            percent: settings.budget_percent,
            reserve: settings.budget_min_per_second * settings.budget_window.as_secs_f64(),
            bucket: (settings.budget_window / BUCKETS as u32).max(Duration::from_millis(1)),
            start: Instant::now(),
            window: Mutex::new(Ring::default()),
        }
    }

    /// Counts a call, which earns its share of a retry.
    pub fn deposit(&self) {
        let mut ring = self.window.lock();
        let at = self.advance(&mut ring);
        ring.buckets[at].calls += 1;
        ring.sum.calls += 1;
    }

    /// Takes one retry, unless the window's share is spent.
    pub fn withdraw(&self) -> bool {
        let mut ring = self.window.lock();
        let at = self.advance(&mut ring);
        if self.left(ring.sum) < 1.0 {
            return false;
        }
        ring.buckets[at].retries += 1;
        ring.sum.retries += 1;
        true
    }

    /// Retries left in the window, for the gauge.
    pub fn remaining(&self) -> f64 {
        let mut ring = self.window.lock();
        self.advance(&mut ring);
        self.left(ring.sum).max(0.0)
    }

    fn left(&self, sum: Counts) -> f64 {
        let reserve = self.reserve / f64::from(self.replicas.live());
        sum.calls as f64 * self.percent / 100.0 + reserve - sum.retries as f64
    }

    /// Forgets what has left the window; answers with the current bucket.
    fn advance(&self, ring: &mut Ring) -> usize {
        let tick = (self.start.elapsed().as_nanos() / self.bucket.as_nanos()) as u64;
        let passed = tick.saturating_sub(ring.tick).min(BUCKETS as u64);
        for step in 0..passed {
            let at = ((tick - step) % BUCKETS as u64) as usize;
            let old = std::mem::take(&mut ring.buckets[at]);
            ring.sum.calls -= old.calls;
            ring.sum.retries -= old.retries;
        }
        ring.tick = ring.tick.max(tick);
        (ring.tick % BUCKETS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(percent: f64, per_second: f64) -> Budget {
        Budget {
            percent,
            reserve: per_second * 10.0,
            replicas: Replicas::new(None),
            bucket: Duration::from_secs(1),
            start: Instant::now(),
            window: Mutex::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_share_of_calls() {
        let budget = budget(20.0, 0.0);
        assert!(!budget.withdraw(), "nothing earned yet");
        (0..100).for_each(|_| budget.deposit());
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 20);
        assert!(budget.remaining() < 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_lets_a_quiet_upstream_retry() {
        let budget = budget(20.0, 3.0);
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_is_divided_among_the_replicas() {
        let shared = Budget { replicas: Replicas::pretending(3), ..budget(20.0, 3.0) };
        assert_eq!((0..100).filter(|_| shared.withdraw()).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_spent_is_forgotten_after_the_window() {
        let budget = budget(20.0, 1.0);
        while budget.withdraw() {}
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!budget.withdraw());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(budget.withdraw());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 10);
    }
}
