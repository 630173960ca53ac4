//! Writes down now and then when keys were last used, so that no call waits for it. A crash loses a minute at most.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::identity::directory::Authenticator;
use crate::repositories::Store;

/// How often.
const EVERY: Duration = Duration::from_secs(60);

/// Moves the moments from memory to the database.
#[derive(Clone)]
pub struct LastUsed {
    store: Store,
    authenticator: Arc<Authenticator>,
}

impl LastUsed {
    /// From what notes them to where they are kept.
    pub fn new(store: Store, authenticator: Arc<Authenticator>) -> Self {
        Self { store, authenticator }
    }

    /// Writes every minute, until `stop`.
    pub async fn keep_writing(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval_at(Instant::now() + EVERY, EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { () = stop.cancelled() => return, _ = ticks.tick() => {} }
            self.write().await;
        }
    }

    /// Writes what is not written yet, in one transaction. What cannot be written is kept for the next time.
    pub async fn write(&self) {
        let used = self.authenticator.take_used();
        if used.is_empty() {
            return;
        }
        if let Err(error) = self.store.touch_keys(used.clone()).await {
            tracing::debug!(%error, keys = used.len(), "the last use of keys cannot be written now");
            self.authenticator.put_back_used(&used);
        }
    }
}
