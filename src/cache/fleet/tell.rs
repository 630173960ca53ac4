//! Appends this replica's purges to the log.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::super::HttpCache;
use super::super::position::LogId;
use super::super::purge::Purge;
use super::{Fleet, scripts};

/// Longest wait for the log to take a batch. Whether one that took longer was taken is not known: it is said again.
const APPEND_LIMIT: Duration = Duration::from_millis(250);
/// Pause before what was not taken is said again.
const AGAIN: Duration = Duration::from_millis(200);

impl HttpCache {
    /// Tells the log whatever there is to tell, until stopped. What is left then was never said to be propagated.
    pub(super) async fn tell_the_log(self: Arc<Self>, stop: CancellationToken) {
        let Some(fleet) = &self.fleet else { return };
        let telling = async {
            loop {
                let purges = fleet.log.take();
                if purges.is_empty() {
                    fleet.log.waiting.notified().await;
                } else if !self.tell(fleet, &purges).await {
                    let mut watching = fleet.redis.watch();
                    let _ = timeout(AGAIN, watching.changed()).await;
                }
            }
        };
        stop.run_until_cancelled(telling).await;
    }

    /// Whether the log took them.
    async fn tell(&self, fleet: &Fleet, purges: &[Purge]) -> bool {
        let arguments = scripts::append_arguments(fleet.log.source, purges);
        let keys = scripts::keys(&fleet.redis);
        let appended: Result<String, _> =
            fleet.redis.append(APPEND_LIMIT, &scripts::APPEND, keys, arguments).await;
        match appended.map(|id| LogId::parse(&id)) {
            Ok(Some(last)) => {
                fleet.log.settle(&self.purges, last, Instant::now());
                true
            }
            Ok(None) => {
                tracing::error!("Redis gave a purge an id that cannot be read");
                fleet.log.put_back();
                false
            }
            Err(error) => {
                tracing::debug!(%error, purges = purges.len(), "the log did not take purges");
                fleet.log.put_back();
                false
            }
        }
    }
}
