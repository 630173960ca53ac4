//! Time as whole nanoseconds since the breaker was made, on tokio's clock: neither a jump of the wall clock nor a
//! paused test surprises it.

use std::time::Duration;

use tokio::time::Instant;

/// Counts from its own making.
pub(super) struct Clock {
    base: Instant,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { base: Instant::now() }
    }

    #[cfg(not(loom))]
    pub(super) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    #[cfg(loom)]
    pub(super) fn now(&self) -> u64 {
        super::sync::modelled_time()
    }

    /// An instant as nanoseconds; one before the base is zero.
    pub(super) fn at(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self.base))
    }

    /// Nanoseconds as an instant.
    pub(super) fn instant(&self, nanos: u64) -> Instant {
        self.base + Duration::from_nanos(nanos)
    }
}

/// A duration as nanoseconds, at most 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
