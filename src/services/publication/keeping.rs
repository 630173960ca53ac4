//! Keeps on disk what was published last, for a start while the database or the cluster's API is away.

use std::sync::Arc;
use std::time::Duration;

use super::Publisher;
use super::kept::Kept;

/// It is written at most this often.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// After this it is tried again where it could not be written.
const KEEP_AGAIN: Duration = Duration::from_secs(5);

impl Publisher {
    /// The revision that was kept on disk last.
    pub fn kept(&self) -> Option<u64> {
        self.kept.lock().as_ref().map(|kept| kept.stored.revision)
    }

    /// What is in force is what is on disk.
    pub fn kept_all(&self) -> bool {
        let published = self.published();
        self.kept.lock().as_ref().is_some_and(|kept| kept.is_of(&published))
    }

    /// Keeps on disk what was published last.
    pub(super) async fn keep(self: &Arc<Self>) {
        if self.parts.kept.is_none() {
            return;
        }
        let mut changes = self.published.subscribe();
        loop {
            let now = Arc::clone(&changes.borrow_and_update());
            if !now.from_disk && !self.kept_all() {
                let kept = self.keep_now(Kept::of(&now)).await;
                tokio::time::sleep(if kept { KEEP_EVERY } else { KEEP_AGAIN }).await;
                if !kept {
                    continue;
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether it is on disk.
    async fn keep_now(self: &Arc<Self>, kept: Kept) -> bool {
        let publisher = Arc::clone(self);
        let write = move || {
            let written = publisher.parts.kept.as_ref().map(|folder| folder.write(&kept));
            (written, kept)
        };
        match tokio::task::spawn_blocking(write).await {
            Ok((Some(Err(error)), _)) => tracing::error!(%error, "the snapshot cannot be kept on disk"),
            Err(panicked) => tracing::error!(%panicked, "keeping the snapshot on disk failed"),
            Ok((_, kept)) => {
                *self.kept.lock() = Some(kept);
                return true;
            }
        }
        false
    }
}
