//! The right to make one call, given back when it is dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::circuit::{Circuit, NEVER, Pass};
use super::clock::nanos;
use super::ledger::Entry;
use super::settlement::Verdict;
use super::sync::Relaxed;

/// An attempt that ends this long after its own deadline was held up by us: a stalled process, not the upstream.
const LATENESS: Duration = Duration::from_secs(1);

/// The right to make one call. Dropped without a word it is neutral, or a failure when a panic drops it.
#[must_use = "dropping a permit ends its call as neutral"]
pub struct Permit {
    handle: Arc<Handle>,
    epoch: u64,
    pass: Pass,
    caller: u64,
    /// Nanoseconds, when slow calls are watched.
    started: Option<u64>,
    /// Nanoseconds from start to headers, when both were told.
    headers_took: Option<u64>,
    /// Nanoseconds.
    deadline: Option<u64>,
    settled: bool,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream did its part.
    Success,
    /// It did not.
    Failure {
        /// No response came at all: counts towards `consecutiveFailures`.
        transport: bool,
        /// What its `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// Nothing can be said: the caller left, or we refused before sending.
    Neutral,
}

/// A permit's way to the circuit. Each lane has one, so that counting references costs no shared cache line.
#[repr(align(128))]
pub(super) struct Handle(pub(super) Arc<Circuit>);

impl Permit {
    pub(super) fn new(handle: Arc<Handle>, epoch: u64, pass: Pass, caller: u64) -> Permit {
        let (started, headers_took, deadline) = (None, None, None);
        Permit { handle, epoch, pass, caller, started, headers_took, deadline, settled: false }
    }

    /// Whether the call may still go, asked again after a wait: false once the breaker has moved on and admits no
    /// longer.
    pub fn is_current(&self) -> bool {
        let word = self.handle.0.word();
        word.epoch() == self.epoch || word.admits_all()
    }

    /// The upstream's time began at `start`: a slow call is slow from there. The last word counts.
    pub fn start_clock(&mut self, start: Instant) {
        let circuit = &self.handle.0;
        if circuit.slow_above.load(Relaxed) != NEVER {
            self.started = Some(circuit.clock.at(start));
        }
    }

    /// The attempt's own timer ends it at `deadline`. A failure or slow headers well past it (1 s) show that this
    /// process stalled, and say nothing of the upstream.
    pub fn expect_end_by(&mut self, deadline: Instant) {
        self.deadline = Some(self.handle.0.clock.at(deadline));
    }

    /// Response headers are here: the time to this point decides whether the call was slow, and the attempt's
    /// deadline is met. What is still to come is the body.
    pub fn mark_headers(&mut self) {
        let circuit = &self.handle.0;
        let now = circuit.clock.now();
        if self.is_late(now) {
            self.started = None;
        }
        self.headers_took = self.started.map(|started| now.saturating_sub(started));
        self.deadline = None;
        if let Pass::Probe(number) = self.pass {
            circuit.probe_answered(number, now);
        }
    }

    /// The call is over: at its headers, or where it matters at the end of its body.
    pub fn finish(mut self, outcome: Outcome) {
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        self.settled = true;
        let circuit = &self.handle.0;
        let now = circuit.clock.now();
        let verdict = self.verdict(outcome, now);
        let entry = match self.pass {
            Pass::Call => circuit.settle_call(self.epoch, self.caller, verdict, now),
            Pass::Probe(number) => circuit.settle_probe(number, verdict, now),
            Pass::Shadow => Entry::Stale,
        };
        circuit.counters.count(entry);
    }

    fn verdict(&self, outcome: Outcome, now: u64) -> Verdict {
        let late = self.is_late(now);
        let slow = !late && self.was_slow(now);
        match outcome {
            Outcome::Success if slow => Verdict::Slow,
            Outcome::Success => Verdict::Good,
            Outcome::Failure { transport, retry_after } if !late => {
                Verdict::Bad { transport, slow, retry_after }
            }
            Outcome::Failure { .. } | Outcome::Neutral => Verdict::Neutral,
        }
    }

    fn is_late(&self, now: u64) -> bool {
        self.deadline.is_some_and(|deadline| now > deadline.saturating_add(nanos(LATENESS)))
    }

    fn was_slow(&self, now: u64) -> bool {
        let Some(started) = self.started else { return false };
        let took = self.headers_took.unwrap_or(now.saturating_sub(started));
        took > self.handle.0.slow_above.load(Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(if std::thread::panicking() {
                Outcome::Failure { transport: false, retry_after: None }
            } else {
                Outcome::Neutral
            });
        }
    }
}
