//! The stopping sequence, shared by everything that must know how far it has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// How far stopping has come. It only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Business as usual.
    Serving,
    /// Not ready any more, still accepting; HTTP/1 answers carry `Connection: close`.
    Announced,
    /// Not accepting; connections finish what is in flight.
    Closed,
    /// The deadline is over: connections are dropped.
    Aborted,
}

#[derive(Default)]
struct Shared {
    phase: AtomicU8,
    cut: AtomicUsize,
    closed: CancellationToken,
    aborted: CancellationToken,
    connections: TaskTracker,
    streams: TaskTracker,
}

/// A handle on the stopping sequence; clones share it.
#[derive(Clone, Default)]
pub struct Drain(Arc<Shared>);

impl Drain {
    /// A sequence that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// How far it has come; one relaxed load.
    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Relaxed) {
            0 => Phase::Serving,
            1 => Phase::Announced,
            2 => Phase::Closed,
            _ => Phase::Aborted,
        }
    }

    /// True from the announcement on: readiness fails, retries and hedges are not begun.
    pub fn is_announced(&self) -> bool {
        self.phase() >= Phase::Announced
    }

    /// Drops every connection at once, whatever the phase (a second signal).
    pub fn abort(&self) {
        self.reach(Phase::Aborted);
    }

    /// Runs the whole sequence: announces, serves on for `delay`, stops accepting, and waits up to `limit` for what
    /// is in flight. Answers how many connections had to be cut. [`abort`](Self::abort) ends it early.
    pub async fn run_to_end(&self, delay: Duration, limit: Duration) -> usize {
        self.reach(Phase::Announced);
        tokio::select! { () = sleep(delay) => {}, () = self.aborted() => {} }
        self.reach(Phase::Closed);
        // Aborting ends the wait too: it drops what is waited for.
        let _too_late = timeout(limit, self.0.connections.wait()).await;
        self.reach(Phase::Aborted);
        self.finished().await;
        self.0.cut.load(Ordering::Relaxed)
    }

    /// Tracks one task per connection.
    pub(super) fn connections(&self) -> &TaskTracker {
        &self.0.connections
    }

    /// Tracks one task per HTTP/2 stream.
    pub(super) fn streams(&self) -> &TaskTracker {
        &self.0.streams
    }

    /// Comes true once accepting ends.
    pub(super) async fn closed(&self) {
        self.0.closed.cancelled().await;
    }

    /// Comes true once connections are dropped.
    pub(super) async fn aborted(&self) {
        self.0.aborted.cancelled().await;
    }

    /// Either of the two as a future to keep: that of `Aborted`, or else that of `Closed`.
    pub(super) fn signal(&self, phase: Phase) -> WaitForCancellationFutureOwned {
        let token = if phase == Phase::Aborted { &self.0.aborted } else { &self.0.closed };
        token.clone().cancelled_owned()
    }

    /// Waits until accepting has ended and every connection is gone.
    pub(super) async fn finished(&self) {
        self.0.connections.wait().await;
        self.0.streams.wait().await;
    }

    fn reach(&self, phase: Phase) {
        self.0.phase.fetch_max(phase as u8, Ordering::Relaxed);
        if phase >= Phase::Closed {
            self.0.connections.close();
            self.0.streams.close();
            self.0.closed.cancel();
        }
        if phase == Phase::Aborted && !self.0.aborted.is_cancelled() {
            self.0.cut.store(self.0.connections.len(), Ordering::Relaxed);
            self.0.aborted.cancel();
        }
    }
}
