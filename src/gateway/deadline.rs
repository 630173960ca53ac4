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
