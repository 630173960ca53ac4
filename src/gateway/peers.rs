//! What the replicas tell each other of their breakers, by way of Redis: each publishes where its own stand, as a lease
//! that runs out unless it is renewed, and reads what the others said.
//!
//! Each replica's own breaker stays the authority. What the others say shows in the API and in metrics; it opens a
//! breaker here only where the policy says `breaker.fleet.adopt` and the evidence is good; and it keeps the
//! replicas from probing an upstream in trouble all at once. No call waits for any of it, and without Redis
//! each replica goes by what it sees itself.

use std::collections::HashMap;
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
    others: RwLock<Vec<Peer>>,
    /// What is open here on others' evidence alone, and whose.
    adopted: RwLock<HashMap<Name, Vec<String>>>,
}

/// An upstream's name and, where the breaker is an operation's, that one's.
type Name = (String, Option<String>);

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
        Arc::new(Self {
            replica: replica.to_owned(),
            metrics,
            others: RwLock::default(),
            adopted: RwLock::default(),
        })
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
        self.others.read().iter().filter(|peer| peer.is_heard(now)).map(of).collect()
    }

    /// How many other replicas have it open.
    pub fn open_elsewhere(&self, upstream: &str, operation: Option<&str>) -> usize {
        let now = Instant::now();
        let is_open = |peer: &&Peer| {
            let note = peer.notes.of(upstream, operation).filter(|_| peer.is_heard(now));
            note.is_some_and(|note| matches!(note.state, PeerState::Open | PeerState::ForcedOpen))
        };
        self.others.read().iter().filter(is_open).count()
    }

    /// On whose evidence alone this replica's breaker is open; empty where it is not.
    pub fn adopted_from(&self, upstream: &str, operation: Option<&str>) -> Vec<String> {
        let adopted = self.adopted.read();
        adopted.get(&name(upstream, operation)).cloned().unwrap_or_default()
    }

    /// Who is not among them has not taken its word back: it holds until its lease is over. So a Redis that was emptied ends
    /// nothing.
    fn hear(&self, heard: Vec<Peer>) {
        let now = Instant::now();
        let mut peers = self.others.write();
        peers.retain(|peer| peer.is_heard(now) && heard.iter().all(|other| other.replica != peer.replica));
        peers.extend(heard);
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

fn name(upstream: &str, operation: Option<&str>) -> Name {
    (upstream.to_owned(), operation.map(str::to_owned))
}

#[cfg(test)]
mod tests;
