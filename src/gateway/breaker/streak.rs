//! Transport failures in a row, and whether more than one caller met them: one caller's poison must not cut off
//! everybody, yet a single caller must still be protected.

use std::time::Duration;

use super::clock::nanos;
use super::sync::{AcqRel, AtomicU64, Padded, Relaxed, Release, lane};

/// How long a caller counts as present after its last call.
const PRESENT: Duration = Duration::from_secs(60);

/// The row: its length (31 bits), whether several callers are in it (1), the first caller's hash (32).
pub(super) struct Streak(AtomicU64);

/// Who called lately, a lane per core: the last caller, when it was seen, and when one before it was.
pub(super) struct Callers(Box<[Padded<[AtomicU64; 3]>]>);

impl Streak {
    pub(super) fn new() -> Streak {
        Streak(AtomicU64::new(0))
    }

    /// The upstream answered.
    pub(super) fn end(&self) {
        if self.0.load(Relaxed) != 0 {
            self.0.store(0, Release);
        }
    }

    /// One more transport failure: the length of the row, and whether several callers are in it.
    pub(super) fn extend(&self, caller: u64) -> (u64, bool) {
        let caller = caller >> 32 ^ caller & 0xffff_ffff;
        let mut seen = self.0.load(Relaxed);
        loop {
            let length = ((seen >> 33) + 1).min((1 << 31) - 1);
            let first = if seen == 0 { caller } else { seen & 0xffff_ffff };
            let several = seen >> 32 & 1 == 1 || first != caller;
            let next = length << 33 | u64::from(several) << 32 | first;
            match self.0.compare_exchange_weak(seen, next, AcqRel, Relaxed) {
                Ok(_) => return (length, several),
                Err(found) => seen = found,
            }
        }
    }
}

impl Callers {
    pub(super) fn new(lanes: usize) -> Callers {
        Callers((0..lanes).map(|_| Padded::default()).collect())
    }

    /// Times are stored plus one: zero is never.
    pub(super) fn see(&self, caller: u64, now: u64) {
        let [last, seen, before] = &self.0[lane(self.0.len())].0;
        if last.load(Relaxed) != caller {
            before.store(seen.load(Relaxed), Relaxed);
            last.store(caller, Relaxed);
        }
        seen.store(now + 1, Relaxed);
    }

    /// Whether two different callers were seen lately.
    pub(super) fn are_several(&self, now: u64) -> bool {
        let present = |time: u64| time != 0 && now.saturating_sub(time - 1) <= nanos(PRESENT);
        let mut someone = None;
        self.0.iter().any(|Padded([last, seen, before])| {
            if !present(seen.load(Relaxed)) {
                return false;
            }
            let caller = last.load(Relaxed);
            present(before.load(Relaxed)) || *someone.get_or_insert(caller) != caller
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_until_an_answer_ends_it() {
        let streak = Streak::new();
        assert_eq!(streak.extend(7), (1, false));
        assert_eq!(streak.extend(7), (2, false));
        assert_eq!(streak.extend(8), (3, true));
        assert_eq!(streak.extend(7), (4, true));
        streak.end();
        assert_eq!(streak.extend(8), (1, false));
    }

    #[test]
    fn callers_are_several_only_while_both_are_present() {
        let callers = Callers::new(2);
        let minute = nanos(PRESENT);
        callers.see(1, 0);
        assert!(!callers.are_several(0));
        callers.see(2, minute / 2);
        assert!(callers.are_several(minute / 2));
        assert!(callers.are_several(minute));
        assert!(!callers.are_several(minute + 1));
    }
}
