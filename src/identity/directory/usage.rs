//! When a key was last used, in one atomic beside the key: nothing on a call's path takes a lock or grows.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// The last use that was not written down yet: seconds of Unix time, 0 for none.
#[derive(Debug, Default)]
pub(super) struct LastUsed(AtomicI64);

impl LastUsed {
    /// It is used now. Within a second only the first use writes, so that a busy key's cache line is mostly read.
    pub(super) fn note(&self, now: SystemTime) {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed();
        if self.0.load(Relaxed) < second {
            self.0.fetch_max(second, Relaxed);
        }
    }

    /// The last use since this was asked before.
    pub(super) fn take(&self) -> Option<OffsetDateTime> {
        if self.0.load(Relaxed) == 0 {
            return None;
        }
        OffsetDateTime::from_unix_timestamp(self.0.swap(0, Relaxed)).ok()
    }
}
