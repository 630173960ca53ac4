//! How many attempts an upstream may get in a while.

use std::time::Duration;

/// The quota of an upstream or operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Attempts in the long run.
    pub rate: Rate,
    /// Attempts at once, after a rest.
    pub burst: u32,
    /// Whose attempts count.
    pub scope: Scope,
    /// What becomes of an attempt for which there is no token.
    pub on_exhausted: OnExhausted,
    /// What counts while replicas cannot share.
    pub on_store_loss: OnStoreLoss,
}

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// Whose attempts count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of each replica for itself.
    Replica,
    /// Those of all replicas together.
    Fleet,
}

/// What counts while Redis is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStoreLoss {
    /// Each replica takes its share of the rate, by how many lived last.
    LocalShare,
    /// Everything passes.
    Open,
    /// Nothing passes.
    Closed,
}

/// What becomes of an attempt for which there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExhausted {
    /// It waits for one, for as long as its call has.
    Wait,
    /// It is refused at once.
    Reject,
}

impl Rate {
    /// In which one token is earned, nanoseconds; rounded up, so that never more are earned than the rate says.
    pub fn interval(self) -> u64 {
        u64::try_from(self.per.as_nanos().div_ceil(u128::from(self.count.max(1)))).unwrap_or(u64::MAX)
    }

    /// What is earned in `time`, whole tokens, rounded up.
    pub fn earned_in(self, time: Duration) -> u32 {
        let earned = (u128::from(self.count) * time.as_nanos()).div_ceil(self.per.as_nanos().max(1));
        u32::try_from(earned).unwrap_or(u32::MAX)
    }
}
