//! What the second level has done since the start.

use std::sync::atomic::{AtomicU64, Ordering};

use super::purge::Scope;

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

/// How asking for the fleet's right to fetch or refresh an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leased {
    /// This replica has it.
    Taken,
    /// Another one has it.
    Elsewhere,
    /// Redis could not say, or not in time.
    Unknown,
}

impl Leased {
    /// Every end, in the order of [`FleetReading::leases`].
    pub const ALL: [Self; 3] = [Self::Taken, Self::Elsewhere, Self::Unknown];

    /// Its word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Elsewhere => "elsewhere",
            Self::Unknown => "unknown",
        }
    }
}

/// Purges made at this replica, by what they are about.
#[derive(Default)]
pub(super) struct PurgesMade([AtomicU64; 5]);

impl PurgesMade {
    pub(super) fn made(&self, scope: &Scope) {
        self.0[place(scope)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> [(&'static str, u64); 5] {
        let words = ["path", "tag", "glob", "upstream", "all"];
        std::array::from_fn(|place| (words[place], self.0[place].load(Ordering::Relaxed)))
    }
}

fn place(scope: &Scope) -> usize {
    match scope {
        Scope::Path(_) => 0,
        Scope::Tag { .. } => 1,
        Scope::Glob { .. } => 2,
        Scope::Upstream(_) => 3,
        Scope::All => 4,
    }
}

/// What there is to see of the second level and the log.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetReading {
    /// Looks into the second level, by how they ended.
    pub looks: [(Looked, u64); 7],
    /// Writes to it, by how they ended.
    pub writes: [(Written, u64); 3],
    /// Asking for the right to fetch, by how it ended.
    pub leases: [(Leased, u64); 3],
    /// The log.
    pub log: super::LogReading,
}

#[derive(Default)]
pub(super) struct Counts {
    looks: [AtomicU64; 7],
    writes: [AtomicU64; 3],
    leases: [AtomicU64; 3],
}

impl Counts {
    pub(super) fn looked(&self, how: Looked) {
        self.looks[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, how: Written) {
        self.writes[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leased(&self, how: Leased) {
        self.leases[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leases(&self) -> [(Leased, u64); 3] {
        Leased::ALL.map(|how| (how, self.leases[how as usize].load(Ordering::Relaxed)))
    }

    pub(super) fn looks(&self) -> [(Looked, u64); 7] {
        Looked::ALL.map(|how| (how, self.looks[how as usize].load(Ordering::Relaxed)))
    }

    pub(super) fn writes(&self) -> [(Written, u64); 3] {
        Written::ALL.map(|how| (how, self.writes[how as usize].load(Ordering::Relaxed)))
    }
}
