//! The API's view of the breakers: this replica's own, and how the others stand.

use std::sync::Arc;
use std::time::SystemTime;

use crate::gateway::Gateway;
use crate::gateway::breaker::{Mode, Reason, State};
use crate::gateway::peers::{PeerBreaker, PeerState, Peers};
use crate::gateway::snapshot::{Lane, Live};
use crate::repositories::Store;
use crate::services::breakers::{BreakerMode, BreakerReport, BreakerState, BreakersService, ReplicaReport};
use crate::services::publication::Publisher;

/// The service over the engines, and over the peers where there is a Redis to hear of them by.
pub(super) fn service(
    gateway: &Arc<Gateway>,
    peers: Option<Arc<Peers>>,
    store: &Store,
    publisher: &Arc<Publisher>,
) -> BreakersService {
    BreakersService::new(store.clone(), Arc::clone(publisher), reports(gateway), move |own| {
        peers.as_ref().map_or_else(Vec::new, |peers| replicas(peers, own))
    })
}

/// Every breaker of this process as it stands when asked.
pub(super) fn reports(gateway: &Arc<Gateway>) -> impl Fn() -> Vec<BreakerReport> + Send + Sync + use<> {
    let gateway = Arc::clone(gateway);
    move || {
        let snapshot = gateway.snapshot();
        let reports = |live: &Arc<Live>| {
            live.lanes_with_own_breaker().map(|lane| report(&live.upstream.name, lane)).collect::<Vec<_>>()
        };
        snapshot.all().flat_map(reports).collect()
    }
}

fn report(upstream: &str, lane: &Lane) -> BreakerReport {
    let view = lane.breaker.view();
    let stood = view.since.elapsed();
    BreakerReport {
        upstream: upstream.to_owned(),
        operation: lane.operation.clone(),
        mode: mode_of(view.mode),
        state: match view.state {
            State::Closed => BreakerState::Closed,
            State::Open | State::ForcedOpen => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
        },
        since: SystemTime::now().checked_sub(stood).unwrap_or(SystemTime::UNIX_EPOCH),
        reason: reason_of(view.reason),
        retry_after_seconds: view.open_remaining.map(|after| after.as_millis().div_ceil(1000).max(1) as u64),
        failure_rate: view.failure_rate,
        calls: view.calls,
        failures: view.failures,
        slow: view.slow,
        forced: None,
        replicas: Vec::new(),
    }
}

fn replicas(peers: &Peers, own: &BreakerReport) -> Vec<ReplicaReport> {
    let this = ReplicaReport {
        replica: peers.replica().to_owned(),
        answers: true,
        mode: own.mode,
        state: own.state,
        since: Some(own.since),
        reason: own.reason.clone(),
    };
    let others = peers.others(&own.upstream, own.operation.as_deref());
    std::iter::once(this).chain(others.into_iter().map(peer)).collect()
}

/// One that says nothing of its breaker plainly lets calls pass.
fn peer(peer: PeerBreaker) -> ReplicaReport {
    let note = peer.note.as_ref();
    let stood = note.and_then(|note| SystemTime::now().checked_sub(note.stood(peer.age)));
    ReplicaReport {
        answers: false,
        mode: note.map_or(BreakerMode::Auto, |note| mode_of(note.mode())),
        state: match note.map(|note| note.state) {
            None | Some(PeerState::Closed) => BreakerState::Closed,
            Some(PeerState::Open | PeerState::ForcedOpen) => BreakerState::Open,
            Some(PeerState::HalfOpen) => BreakerState::HalfOpen,
        },
        since: stood,
        reason: note.and_then(|note| reason_of(note.reason()?)),
        replica: peer.replica,
    }
}

fn reason_of(reason: Reason) -> Option<String> {
    (reason != Reason::Start).then(|| reason.as_str().to_owned())
}

fn mode_of(mode: Mode) -> BreakerMode {
    match mode {
        Mode::Auto => BreakerMode::Auto,
        Mode::ForcedOpen => BreakerMode::ForcedOpen,
        Mode::ForcedClosed => BreakerMode::ForcedClosed,
        Mode::MetricsOnly => BreakerMode::MetricsOnly,
    }
}
