//! What a finished call does: it is counted, judged with its neighbours, and now and then trips the breaker.

use std::time::Duration;

use crate::models::policy;

use super::circuit::{Active, Circuit};
use super::events::Reason;
use super::ledger::Entry;
use super::window::{Mark, Totals};

/// What a call says about the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Slow,
    Bad { transport: bool, slow: bool, retry_after: Option<Duration> },
    Neutral,
}

impl Verdict {
    pub(super) fn entry(self) -> Entry {
        match self {
            Verdict::Good => Entry::Success,
            Verdict::Slow => Entry::Slow,
            Verdict::Bad { .. } => Entry::Failure,
            Verdict::Neutral => Entry::Neutral,
        }
    }

    fn mark(self) -> Mark {
        Mark {
            failed: matches!(self, Verdict::Bad { .. }),
            slow: matches!(self, Verdict::Slow | Verdict::Bad { slow: true, .. }),
        }
    }
}

impl Circuit {
    /// Settles a call that held no probe slot.
    ///
    /// The evidence is loaded before the control word is read: evidence of this epoch proves that nothing later can
    /// be touched, whatever happens meanwhile.
    pub(super) fn settle_call(&self, epoch: u64, caller: u64, verdict: Verdict, now: u64) -> Entry {
        let active = self.active.load();
        if active.evidence.epoch != epoch || self.word().epoch() != epoch {
            return Entry::Stale;
        }
        if verdict != Verdict::Neutral
            && let Some(reason) = judge(&active, caller, verdict, now)
        {
            self.trip(epoch, reason, now);
        }
        verdict.entry()
    }
}

fn judge(active: &Active, caller: u64, verdict: Verdict, now: u64) -> Option<Reason> {
    let in_a_row = active.settings.consecutive_failures > 0 && row_is_full(active, caller, verdict, now);
    let due = active.evidence.window.record(now, verdict.mark(), active.settings.minimum_calls);
    due.and_then(|totals| totals.exceed(&active.settings))
        .or_else(|| in_a_row.then_some(Reason::ConsecutiveFailures))
}

fn row_is_full(active: &Active, caller: u64, verdict: Verdict, now: u64) -> bool {
    let evidence = &active.evidence;
    evidence.callers.see(caller, now);
    if !matches!(verdict, Verdict::Bad { transport: true, .. }) {
        evidence.streak.end();
        return false;
    }
    let (length, several) = evidence.streak.extend(caller);
    length >= u64::from(active.settings.consecutive_failures)
        && (several || !evidence.callers.are_several(now))
}

impl Totals {
    /// The threshold that was reached, if any.
    fn exceed(self, settings: &policy::Breaker) -> Option<Reason> {
        if self.failures > 0 && self.failure_rate() >= settings.failure_rate {
            return Some(Reason::FailureRate);
        }
        let slow = settings.slow_call.filter(|slow| self.slow > 0 && self.slow_rate() >= slow.rate);
        slow.map(|_| Reason::SlowRate)
    }
}
