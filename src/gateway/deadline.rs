//! Stage 2: how long a call may take, and how much of that is left.
//!
//! It stands outside everything that can wait, and everything inside reads what *remains*. A part is held back
//! so that the fallback still has time to answer when the upstream used up the rest.

use std::time::Duration;

use tokio::time::Instant;

use crate::models::policy::{FallbackStep, Policy};

/// The end of a call, seen from inside and from outside the fallback stage.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// When the stages below the fallback must be done.
    pub inner: Instant,
    /// When the caller must have response headers.
    pub outer: Instant,
}

impl Deadline {
    /// The policy's total, shortened by what the caller asked (`Levee-Timeout` can only shorten).
    pub fn of(policy: &Policy, asked: Option<Duration>, received: Instant) -> Self {
        let total = asked.map_or(policy.timeout.total, |asked| asked.min(policy.timeout.total));
        let outer = received + total;
        Self { inner: outer - reserve(policy, total), outer }
    }

    /// What is left for the stages below the fallback.
    pub fn remaining(&self) -> Duration {
        self.inner.saturating_duration_since(Instant::now())
    }

    /// What is left for a fallback.
    pub fn remaining_for_fallback(&self) -> Duration {
        self.outer.saturating_duration_since(Instant::now())
    }
}

/// Answers from memory need next to nothing; another upstream needs a real share.
fn reserve(policy: &Policy, total: Duration) -> Duration {
    let calls_another =
        policy.fallback.steps.iter().any(|step| matches!(step, FallbackStep::Upstream { .. }));
    if policy.fallback.steps.is_empty() {
        Duration::ZERO
    } else if calls_another {
        total / 4
    } else {
        (total / 20).min(Duration::from_millis(50))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::document::{Rules, read_documents};

    fn policy(more: &str) -> Policy {
        let text = format!(
            "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: a }}\n\
             spec: {{ url: 'https://a.example', timeout: {{ total: 4s, attempt: 1s }}{more} }}\n"
        );
        let mut faults = Vec::new();
        let rules = Rules::default();
        let upstreams = read_documents("test", &text, &rules, &mut faults);
        upstreams.into_iter().next().unwrap_or_else(|| panic!("{faults:?}")).policy
    }

    fn spans(policy: &Policy, asked: Option<u64>) -> (Duration, Duration) {
        let now = Instant::now();
        let deadline = Deadline::of(policy, asked.map(Duration::from_millis), now);
        (deadline.inner - now, deadline.outer - now)
    }

    #[test]
    fn the_caller_can_only_shorten() {
        let policy = policy("");
        assert_eq!(spans(&policy, None), (Duration::from_secs(4), Duration::from_secs(4)));
        assert_eq!(spans(&policy, Some(60_000)).1, Duration::from_secs(4));
        assert_eq!(spans(&policy, Some(500)).1, Duration::from_millis(500));
    }

    #[test]
    fn a_fallback_has_time_left_to_answer() {
        let fixed = policy(", fallback: [{ static: { status: 200, body: x } }]");
        assert_eq!(spans(&fixed, None), (Duration::from_millis(3950), Duration::from_secs(4)));
        let another = policy(", fallback: [{ upstream: { name: b } }]");
        assert_eq!(spans(&another, None), (Duration::from_secs(3), Duration::from_secs(4)));
    }
}
