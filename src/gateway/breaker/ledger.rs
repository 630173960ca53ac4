//! Where every call that ever asked went. Counters live in lanes, one per core; sums over lanes are exact as soon
//! as the calls counted have returned.

use super::sync::{AtomicU64, Padded, Relaxed, lane};

/// One line of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Success,
    Failure,
    Slow,
    Neutral,
    Stale,
    Admitted,
    Rejected,
    WouldReject,
}

/// The live counters.
pub(super) struct Counters(Box<[Padded<[AtomicU64; 8]>]>);

/// The counters at one moment. `admitted = success + failure + slow + neutral + stale + outstanding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Calls let through.
    pub admitted: u64,
    /// Calls refused.
    pub rejected: u64,
    /// Of `admitted`, those that would have been refused had the mode not been `MetricsOnly`.
    pub would_reject: u64,
    /// Ended well and in time.
    pub success: u64,
    /// Ended badly.
    pub failure: u64,
    /// Ended well and too late.
    pub slow: u64,
    /// Ended with no verdict on the upstream.
    pub neutral: u64,
    /// Ended in a later epoch than they began in, or would have been refused: without effect.
    pub stale: u64,
    /// Not ended yet.
    pub outstanding: u64,
}

impl Counters {
    pub(super) fn new(lanes: usize) -> Counters {
        Counters((0..lanes).map(|_| Padded::default()).collect())
    }

    pub(super) fn count(&self, entry: Entry) {
        self.0[lane(self.0.len())].0[entry as usize].fetch_add(1, Relaxed);
    }

    /// Reads what ended before what began, so that nothing ends that has not begun.
    pub(super) fn read(&self) -> Ledger {
        let sum = |entry: Entry| self.0.iter().map(|lane| lane.0[entry as usize].load(Relaxed)).sum::<u64>();
        let [success, failure, slow, neutral, stale] =
            [Entry::Success, Entry::Failure, Entry::Slow, Entry::Neutral, Entry::Stale].map(sum);
        let [would_reject, rejected, admitted] =
            [Entry::WouldReject, Entry::Rejected, Entry::Admitted].map(sum);
        let outstanding = admitted.saturating_sub(success + failure + slow + neutral + stale);
        Ledger { admitted, rejected, would_reject, success, failure, slow, neutral, stale, outstanding }
    }
}
