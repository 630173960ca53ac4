//! How the controller does: whether it is in contact, and who leads. Read by metrics and `/status`, written as it goes.

use std::collections::BTreeMap;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::cluster::{Trouble, TroubleKind};

/// Shared by everything that asks the API server.
#[derive(Debug, Default)]
pub struct Standing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    leading: bool,
    leader: Option<String>,
    contact: Option<(Instant, SystemTime)>,
    /// What cannot be watched, and why.
    troubles: BTreeMap<String, Trouble>,
}

/// The standing at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Nothing is wrong, and the API server has answered.
    pub up: bool,
    /// What is wrong, a line for each thing that cannot be watched.
    pub troubles: Vec<String>,
    /// When the API server last said anything on a watch, seconds of Unix time.
    pub last_contact: Option<f64>,
    /// This replica leads.
    pub leading: bool,
    /// Who leads, as far as this replica knows.
    pub leader: Option<String>,
}

impl Standing {
    /// As it is now.
    pub fn reading(&self) -> Reading {
        let state = self.0.lock();
        let unix = |(_, at): (Instant, SystemTime)| at.duration_since(SystemTime::UNIX_EPOCH).ok();
        Reading {
            up: state.troubles.is_empty() && state.contact.is_some(),
            troubles: state.troubles.iter().map(|(what, trouble)| format!("{what}: {trouble}")).collect(),
            last_contact: state.contact.and_then(unix).map(|at| at.as_secs_f64()),
            leading: state.leading,
            leader: state.leader.clone(),
        }
    }

    pub(super) fn is_leading(&self) -> bool {
        self.0.lock().leading
    }

    /// Said once when it changes.
    pub(super) fn set_leader(&self, leader: Option<String>, own: &str) {
        let mut state = self.0.lock();
        if state.leader != leader {
            tracing::info!(leader, own, "the leader is another one");
        }
        state.leading = leader.as_deref() == Some(own);
        state.leader = leader;
    }

    /// The API server said something about `what`.
    pub(super) fn in_contact(&self, what: &str) {
        let mut state = self.0.lock();
        state.contact = Some((Instant::now(), SystemTime::now()));
        if state.troubles.remove(what).is_some() {
            tracing::info!(what, "the Kubernetes API can be watched again");
        }
    }

    /// It did not, or refused. Said once for each reason.
    pub(super) fn in_trouble(&self, what: &str, trouble: Trouble) {
        let mut state = self.0.lock();
        if state.troubles.get(what) != Some(&trouble) && trouble.kind != TroubleKind::Gone {
            match trouble.kind {
                TroubleKind::Forbidden => {
                    tracing::error!(what, %trouble, "the Kubernetes API refuses; what was in force stays");
                }
                TroubleKind::NotFound => tracing::error!(
                    what, %trouble,
                    "the custom resource definition is not installed: levee crds | kubectl apply -f -"
                ),
                _ => {
                    tracing::warn!(what, %trouble, "the Kubernetes API cannot be watched; what was in force stays");
                }
            }
        }
        // A version that was forgotten is no trouble: everything is listed again.
        if trouble.kind != TroubleKind::Gone {
            state.troubles.insert(what.to_owned(), trouble);
        }
    }
}
