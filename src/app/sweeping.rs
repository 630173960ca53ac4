//! Drops what nobody will use any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::gateway::Gateway;

/// How often connections that idled too long and cached answers past use are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Drops what nobody will use: connections that idled too long, cached answers past their last use.
pub(super) async fn sweep(gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! { () = stop.cancelled() => return, _ = ticks.tick() => {} }
        let now = Instant::now();
        for live in gateway.snapshot().all() {
            live.sweep(now);
        }
        gateway.cache().sweep(now);
    }
}
