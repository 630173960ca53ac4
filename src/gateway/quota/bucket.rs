//! The arithmetic of a quota (GCRA, ITU-T I.371): one instant, at which all that was taken will have been earned.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Tokens that are earned evenly, up to a burst. Times are nanoseconds of whoever asks.
#[derive(Debug)]
pub(super) struct Bucket {
    /// In which one token is earned.
    interval: u64,
    /// In which a whole burst is earned.
    depth: u64,
    earned: AtomicU64,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(interval: u64, burst: u32) -> Self {
        Self { interval, depth: interval.saturating_mul(u64::from(burst)), earned: AtomicU64::new(0) }
    }

    /// Takes a token, or says when there will be one. What was earned since `since` counts beyond a full bucket: whoever
    /// waited for a token from then on loses none to a timer that rang late.
    pub(super) fn take(&self, now: u64, since: u64) -> Result<(), u64> {
        let taken = self.earned.fetch_update(Relaxed, Relaxed, |earned| {
            let after = earned.max(since).saturating_add(self.interval);
            (after <= now.saturating_add(self.depth)).then_some(after)
        });
        taken.map(drop).map_err(|earned| self.next(earned))
    }

    /// When there is a token, should nobody else take one.
    pub(super) fn next_at(&self) -> u64 {
        self.next(self.earned.load(Relaxed))
    }

    /// Takes a token back that was not used.
    pub(super) fn give_back(&self) {
        // Of a bucket that was made anew meanwhile there may be nothing to take back.
        let less = |earned: u64| Some(earned.saturating_sub(self.interval));
        let _ = self.earned.fetch_update(Relaxed, Relaxed, less);
    }

    /// Tokens that could be taken at once.
    pub(super) fn remaining(&self, now: u64) -> u64 {
        let ahead = self.earned.load(Relaxed).saturating_sub(now);
        self.depth.saturating_sub(ahead) / self.interval
    }

    /// In which one token is earned.
    pub(super) fn interval(&self) -> u64 {
        self.interval
    }

    fn next(&self, earned: u64) -> u64 {
        earned.saturating_add(self.interval).saturating_sub(self.depth)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same limit as a bucket that is filled drop by drop.
    struct Naive {
        depth: u64,
        level: u64,
        at: u64,
    }

    impl Naive {
        fn take(&mut self, interval: u64, now: u64) -> bool {
            self.level = self.depth.min(self.level + (now - self.at));
            self.at = now;
            let enough = self.level >= interval;
            if enough {
                self.level -= interval;
            }
            enough
        }

        fn give_back(&mut self, interval: u64, now: u64) {
            self.level = self.depth.min(self.level + (now - self.at) + interval);
            self.at = now;
        }
    }

    proptest! {
        #[test]
        fn it_gives_what_a_bucket_filled_drop_by_drop_gives(
            interval in 1_u64..50,
            burst in 1_u32..6,
            steps in prop::collection::vec((0_u64..120, prop::bool::weighted(0.2)), 1..200),
        ) {
            let bucket = Bucket::new(interval, burst);
            let depth = interval * u64::from(burst);
            let mut naive = Naive { depth, level: depth, at: 0 };
            // Far from zero, so that what was given back can lie in the past.
            let (mut now, mut held) = (1_000_000, 0);
            naive.at = now;
            for (pause, gives_back) in steps {
                now += pause;
                if gives_back && held > 0 {
                    held -= 1;
                    bucket.give_back();
                    naive.give_back(interval, now);
                }
                let taken = bucket.take(now, now);
                prop_assert_eq!(taken.is_ok(), naive.take(interval, now));
                held += u32::from(taken.is_ok());
                prop_assert_eq!(bucket.remaining(now), naive.level / interval);
                if let Err(at) = taken {
                    prop_assert_eq!(at - now, interval - naive.level, "the wait is exact");
                    prop_assert_eq!(at, bucket.next_at());
                }
            }
        }

        #[test]
        fn no_window_ever_holds_more_than_burst_and_rate(
            interval in 1_u64..50,
            burst in 1_u32..6,
            pauses in prop::collection::vec(0_u64..60, 1..200),
        ) {
            let bucket = Bucket::new(interval, burst);
            let (mut now, mut taken) = (1_000_000, Vec::new());
            for pause in pauses {
                now += pause;
                if bucket.take(now, now).is_ok() {
                    taken.push(now);
                }
            }
            for (first, start) in taken.iter().enumerate() {
                for (last, end) in taken.iter().enumerate().skip(first) {
                    prop_assert!((last - first + 1) as u64 <= u64::from(burst) + (end - start) / interval);
                }
            }
        }
    }

    #[test]
    fn a_late_timer_loses_nothing_to_whoever_waited() {
        let bucket = Bucket::new(10, 1);
        bucket.take(1000, 1000).unwrap();
        // Each token is taken 9 late; the next is there at its time all the same.
        for turn in 1..100 {
            let due = bucket.take(1000 + turn * 10 - 1, 1000).unwrap_err();
            assert_eq!(due, 1000 + turn * 10);
            bucket.take(due + 9, 1000).unwrap();
        }
    }
}
