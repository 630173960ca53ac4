//! What the replicas tell each other of their breakers, by way of Redis: each publishes where its own stand, as a lease
//! that runs out unless it is renewed, and reads what the others said.
//!
//! Each replica's own breaker stays the authority. What the others say shows in the API and in metrics; it opens a
//! breaker here only where the policy says `breaker.fleet.adopt` and the evidence is good; and it keeps the
//! replicas from probing an upstream in trouble all at once. No call waits for any of it, and without Redis
//! each replica goes by what it sees itself.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;

use super::snapshot::{Lane, Live};
use crate::telemetry::metrics::Metrics;

/// When another's open breaker opens ours.
mod adoption;
/// The task that publishes, reads and decides.
mod exchange;
/// What is published.
mod notes;
/// Who may probe.
mod probing;

pub use notes::{Note, PeerState};

use notes::Notes;

/// What one replica said is believed for this long after it said so.
const LEASE: Duration = Duration::from_secs(3);

/// The replicas' view of each other.
pub struct Peers {
    replica: String,
    metrics: Arc<Metrics>,
    peers: RwLock<Vec<Peer>>,
}

/// Another replica, as it was last heard.
#[derive(Debug, Clone)]
struct Peer {
    replica: String,
    /// When it said so, on our own clock.
    said: Instant,
    notes: Notes,
}

/// One replica's breaker.
#[derive(Debug, Clone)]
pub struct PeerBreaker {
    /// Which replica.
    pub replica: String,
    /// Where its breaker stands; `None`: plainly closed, about which it says nothing.
    pub note: Option<Note>,
    /// How long ago it said so.
    pub age: Duration,
}

impl Peers {
    /// None heard of yet by `replica`.
    pub fn new(replica: &str, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { replica: replica.to_owned(), metrics, peers: RwLock::default() })
    }

    /// What the others know this replica by.
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// How every other replica that is heard of stands to one breaker.
    pub fn others(&self, upstream: &str, operation: Option<&str>) -> Vec<PeerBreaker> {
        let now = Instant::now();
        let of = |peer: &Peer| PeerBreaker {
            replica: peer.replica.clone(),
            note: peer.notes.of(upstream, operation).cloned(),
            age: now.saturating_duration_since(peer.said),
        };
        self.peers.read().iter().filter(|peer| peer.is_heard(now)).map(of).collect()
    }

    fn hear(&self, peers: Vec<Peer>) {
        *self.peers.write() = peers;
    }
}

impl Peer {
    fn is_heard(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.said) < LEASE
    }
}

/// A lane's breaker by its name, as notes and leases have it.
fn named<'a>(live: &'a Live, lane: &'a Lane) -> (&'a str, Option<&'a str>) {
    (&live.upstream.name, lane.operation.as_deref())
}
