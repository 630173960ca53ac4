//! Breakers that people forced: applied to the engines of each snapshot, and taken back when they are released.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use time::OffsetDateTime;

use crate::gateway::breaker::{Breaker, Mode};
use crate::gateway::snapshot::Snapshot;
use crate::models::registration::{BreakerOverride, ForcedMode};

/// What was applied, and to which engine: one that was rebuilt since is told again.
#[derive(Default)]
pub(super) struct Overrides(HashMap<(String, Option<String>), (Weak<Breaker>, BreakerOverride)>);

impl Overrides {
    /// Brings every breaker of a snapshot into the state that is stored. One that expires does so by itself.
    pub(super) fn apply(&mut self, snapshot: &Snapshot, stored: &[BreakerOverride]) {
        let wanted: HashMap<(&str, Option<&str>), &BreakerOverride> = stored
            .iter()
            .map(|forced| ((forced.upstream.as_str(), forced.operation.as_deref()), forced))
            .collect();
        let mut applied = HashMap::with_capacity(wanted.len());
        for live in snapshot.all() {
            for lane in live.lanes_with_own_breaker() {
                let key = (live.upstream.name.clone(), lane.operation.clone());
                let known =
                    self.0.remove(&key).filter(|(breaker, _)| breaker.as_ptr() == Arc::as_ptr(&lane.breaker));
                let forced = wanted.get(&(key.0.as_str(), key.1.as_deref())).copied();
                match (forced, known) {
                    (Some(forced), known) => {
                        if known.is_none_or(|(_, known)| known != *forced) {
                            force(&lane.breaker, forced);
                        }
                        applied.insert(key, (Arc::downgrade(&lane.breaker), forced.clone()));
                    }
                    (None, Some(_)) => lane.breaker.release(),
                    (None, None) => {}
                }
            }
        }
        self.0 = applied;
    }
}

fn force(breaker: &Breaker, forced: &BreakerOverride) {
    let left = |expires: OffsetDateTime| {
        Duration::try_from(expires - OffsetDateTime::now_utc()).unwrap_or(Duration::ZERO)
    };
    let mode = match forced.mode {
        ForcedMode::Open => Mode::ForcedOpen,
        ForcedMode::Closed => Mode::ForcedClosed,
        ForcedMode::MetricsOnly => Mode::MetricsOnly,
    };
    breaker.set_mode(mode, &forced.reason, forced.expires.map(left));
}
