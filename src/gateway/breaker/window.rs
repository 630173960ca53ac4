//! What the breaker looks back on: up to ten buckets, each one `u64` `[tag 8 | calls 20 | failures 18 | slow 18]`,
//! changed by one compare-and-swap.
//!
//! Buckets are kept once per lane and summed when a verdict is due. A fence stands between an add and the sum after
//! it: of calls that end at once, at least one sees them all, so a verdict is missed by none. A verdict can
//! turn bad only by a bad call, by good ones falling out (a new tick) or by reaching the minimum; within a tick that
//! was judged with enough calls a good call therefore skips the sum.

use crate::models::policy;

use super::clock::nanos;
use super::sync::{AcqRel, Acquire, AtomicU64, Mutex, Padded, Relaxed, Release, SeqCst, fence, lane};

const SLOTS: u64 = 10;
const CALLS: u64 = (1 << 20) - 1;
const FAILURES: u64 = (1 << 18) - 1;
const SLOW: u64 = (1 << 18) - 1;

/// The counts of one breaker in one epoch.
pub(super) struct Window {
    kind: policy::Window,
    /// Nanoseconds, or calls, to a bucket.
    width: u64,
    slots: u64,
    lanes: Box<[Padded<[AtomicU64; SLOTS as usize]>]>,
    /// The newest tick, and in the lowest bit whether it was judged with enough calls.
    newest: AtomicU64,
    /// Calls so far, where the window is a number of calls.
    sequence: AtomicU64,
    turning: Mutex<()>,
}

/// How a call ended, as far as the window cares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// Sums over the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

impl Window {
    /// A window of calls is rounded up to whole buckets: it holds the last `calls`, give or take a tenth.
    pub(super) fn new(kind: policy::Window, lanes: usize) -> Window {
        let (width, slots) = match kind {
            policy::Window::Duration(length) => ((nanos(length) / SLOTS).max(1), SLOTS),
            policy::Window::Calls(calls) => {
                let calls = u64::from(calls.max(1));
                let width = calls.div_ceil(SLOTS);
                (width, calls.div_ceil(width))
            }
        };
        let lanes = (0..lanes).map(|_| Padded::default()).collect();
        Window {
            kind,
            width,
            slots,
            lanes,
            newest: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
            turning: Mutex::new(()),
        }
    }

    pub(super) fn kind(&self) -> policy::Window {
        self.kind
    }

    /// Counts one call. Returns the sums when a verdict is due.
    pub(super) fn record(&self, now: u64, mark: Mark, minimum: u32) -> Option<Totals> {
        let tick = match self.kind {
            policy::Window::Duration(_) => now / self.width,
            policy::Window::Calls(_) => self.sequence.fetch_add(1, Relaxed) / self.width,
        };
        let newest = self.turn_to(tick);
        self.bucket(tick, mark);
        if newest & 1 == 1 && !mark.failed && !mark.slow {
            return None;
        }
        fence(SeqCst);
        let totals = self.sum(newest >> 1);
        if totals.calls < u64::from(minimum) {
            return None;
        }
        // Fails when a later tick has begun: that one will be judged by itself.
        let _ = self.newest.compare_exchange(newest & !1, newest | 1, AcqRel, Relaxed);
        Some(totals)
    }

    /// The sums as they stand now.
    pub(super) fn totals(&self, now: u64) -> Totals {
        let newest = match self.kind {
            policy::Window::Duration(_) => self.turn_to(now / self.width),
            policy::Window::Calls(_) => self.newest.load(Acquire),
        };
        self.sum(newest >> 1)
    }

    /// The next call is judged whatever it is: the thresholds changed.
    pub(super) fn judge_anew(&self) {
        self.newest.fetch_and(!1, AcqRel);
    }

    /// Makes `tick` the newest unless a later one is. What its buckets held of an earlier lap is wiped first; nobody
    /// adds to them before they are announced, but for a call that is a whole lap late: its old tag hides it.
    fn turn_to(&self, tick: u64) -> u64 {
        let newest = self.newest.load(Acquire);
        if newest >> 1 >= tick {
            return newest;
        }
        let _turning = self.turning.lock();
        let newest = self.newest.load(Acquire);
        if newest >> 1 >= tick {
            return newest;
        }
        for passed in (newest >> 1).max(tick.saturating_sub(self.slots)) + 1..=tick {
            let (slot, _) = self.place(passed);
            self.lanes.iter().for_each(|lane| lane.0[slot].store(0, Relaxed));
        }
        self.newest.store(tick << 1, Release);
        tick << 1
    }

    /// The slot of a tick, and the tag of its lap. Division by a constant is the cheaper case.
    fn place(&self, tick: u64) -> (usize, u8) {
        let slots = self.slots;
        let (slot, lap) =
            if slots == SLOTS { (tick % SLOTS, tick / SLOTS) } else { (tick % slots, tick / slots) };
        (slot as usize, lap as u8)
    }

    fn bucket(&self, tick: u64, mark: Mark) {
        let (slot, tag) = self.place(tick);
        let bucket = &self.lanes[lane(self.lanes.len())].0[slot];
        let mut seen = bucket.load(Relaxed);
        while let Some(next) = Bucket(seen).plus(tag, mark) {
            match bucket.compare_exchange_weak(seen, next.0, AcqRel, Relaxed) {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }

    fn sum(&self, newest: u64) -> Totals {
        let mut totals = Totals::default();
        for tick in newest.saturating_sub(self.slots - 1)..=newest {
            let (slot, tag) = self.place(tick);
            for lane in &self.lanes {
                let bucket = Bucket(lane.0[slot].load(Acquire));
                if bucket.tag() == tag {
                    totals.calls += bucket.calls();
                    totals.failures += bucket.failures();
                    totals.slow += bucket.slow();
                }
            }
        }
        totals
    }
}

impl Totals {
    /// Failures by calls, 0 to 1.
    pub(super) fn failure_rate(self) -> f64 {
        self.failures as f64 / self.calls.max(1) as f64
    }

    /// Slow calls by calls, 0 to 1.
    pub(super) fn slow_rate(self) -> f64 {
        self.slow as f64 / self.calls.max(1) as f64
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket(u64);

impl Bucket {
    fn new(tag: u8, calls: u64, failures: u64, slow: u64) -> Bucket {
        Bucket(u64::from(tag) << 56 | calls << 36 | failures << 18 | slow)
    }

    fn tag(self) -> u8 {
        (self.0 >> 56) as u8
    }

    fn calls(self) -> u64 {
        self.0 >> 36 & CALLS
    }

    fn failures(self) -> u64 {
        self.0 >> 18 & FAILURES
    }

    fn slow(self) -> u64 {
        self.0 & SLOW
    }

    /// One call more, `None` when the bucket has moved on to a later lap. A full count halves all three: rates stay.
    fn plus(self, tag: u8, mark: Mark) -> Option<Bucket> {
        if self.0 == 0 || self.tag() != tag {
            let late = self.0 != 0 && self.tag().wrapping_sub(tag) < 128;
            return (!late).then(|| Bucket::new(tag, 1, mark.failed.into(), mark.slow.into()));
        }
        let full = self.calls() == CALLS || self.failures() == FAILURES || self.slow() == SLOW;
        let halve = u32::from(full);
        Some(Bucket::new(
            tag,
            (self.calls() >> halve) + 1,
            (self.failures() >> halve) + u64::from(mark.failed),
            (self.slow() >> halve) + u64::from(mark.slow),
        ))
    }
}

#[cfg(test)]
mod tests;
