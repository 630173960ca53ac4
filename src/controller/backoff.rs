//! Pauses that double up to a longest one, with jitter, so that replicas do not come back all at once.

use std::time::Duration;

/// The pauses of one thing that fails.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0 }
    }

    /// The next pause: between half and the whole of base · 2ⁿ.
    pub(super) fn next(&mut self) -> Duration {
        let doubled = self.base.saturating_mul(1 << self.failures.min(16)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        doubled.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// It went well.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_longest_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let pause = backoff.next().as_secs_f64();
            assert!(
                pause >= f64::from(expected) / 2.0 && pause <= f64::from(expected),
                "{pause} of {expected}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}
