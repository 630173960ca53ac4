//! Idle HTTP/1.1 connections of one upstream, the most recently used first.
//!
//! Last in, first out: few connections stay busy and the surplus of a burst ages until the sweep closes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::http1::Http1;

/// How long a connection may lie idle. Below the keep-alive of the usual load balancers and servers (60 s for an AWS
/// ALB, 75 s for nginx, 120 s for IIS) by more than the sweep's interval, so that we close first: a request that
/// crosses the upstream's close on the wire is lost, and if it is a POST it cannot be sent again.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// Idle connections kept; more than this are closed as they come back.
const MOST_IDLE: usize = 256;

/// Where a response body gives its connection back to.
pub(super) type ReturnTo = Arc<Pool>;

#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Http1>,
    since: Instant,
}

impl Pool {
    pub(super) fn take(&self) -> Option<Box<Http1>> {
        self.idle.lock().pop().map(|idle| idle.connection)
    }

    /// Keeps a connection that can be used again and closes any other.
    pub(super) fn put(&self, connection: Box<Http1>) {
        if !connection.is_idle() {
            return;
        }
        connection.release();
        let surplus = Idle { connection, since: Instant::now() };
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE {
            idle.push(surplus);
        }
    }

    /// Closes what has been idle for too long, and what the upstream has closed.
    pub(super) fn sweep(&self, now: Instant) {
        let is_over = |idle: &mut Idle| {
            now.saturating_duration_since(idle.since) >= IDLE_LIMIT || !idle.connection.is_still_open()
        };
        // Collected under the lock, closed after it.
        let over: Vec<Idle> = self.idle.lock().extract_if(.., is_over).collect();
        drop(over);
    }

    pub(super) fn len(&self) -> usize {
        self.idle.lock().len()
    }
}

/// Counts an upstream's connections.
#[derive(Debug, Default)]
pub(super) struct Counters {
    open: AtomicUsize,
    dialled: AtomicU64,
}

impl Counters {
    /// Counts a connection that has just been made, until the guard is dropped.
    pub(super) fn opened(self: &Arc<Self>) -> OpenConnection {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.dialled.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn dialled(&self) -> u64 {
        self.dialled.load(Ordering::Relaxed)
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct OpenConnection(Arc<Counters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
