//! What the second level has done since the start.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a look into the second level ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// There was an answer that is valid.
    Hit,
    /// There was one that has to be confirmed.
    Stale,
    /// There was nothing.
    Miss,
    /// There was one from before a purge.
    Outdated,
    /// There was something that is no value of ours, or not whole.
    Damaged,
    /// Redis did not answer in time.
    Failed,
    /// It was not asked: Redis is away, or this replica is not in step with the log.
    Skipped,
}

impl Looked {
    /// Every end, in the order of [`FleetReading::looks`].
    pub const ALL: [Self; 7] =
        [Self::Hit, Self::Stale, Self::Miss, Self::Outdated, Self::Damaged, Self::Failed, Self::Skipped];

    /// Its word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Outdated => "outdated",
            Self::Damaged => "damaged",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// How a write to the second level ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Redis has it.
    Stored,
    /// There was no room in the queue.
    Dropped,
    /// Redis did not take it.
    Failed,
}

impl Written {
    /// Every end, in the order of [`FleetReading::writes`].
    pub const ALL: [Self; 3] = [Self::Stored, Self::Dropped, Self::Failed];

    /// Its word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

/// What there is to see of the second level and the log.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetReading {
    /// Looks into the second level, by how they ended.
    pub looks: [(Looked, u64); 7],
    /// Writes to it, by how they ended.
    pub writes: [(Written, u64); 3],
    /// The log.
    pub log: super::LogReading,
}

#[derive(Default)]
pub(super) struct Counts {
    looks: [AtomicU64; 7],
    writes: [AtomicU64; 3],
}

impl Counts {
    pub(super) fn looked(&self, how: Looked) {
        self.looks[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, how: Written) {
        self.writes[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn looks(&self) -> [(Looked, u64); 7] {
        Looked::ALL.map(|how| (how, self.looks[how as usize].load(Ordering::Relaxed)))
    }

    pub(super) fn writes(&self) -> [(Written, u64); 3] {
        Written::ALL.map(|how| (how, self.writes[how as usize].load(Ordering::Relaxed)))
    }
}
