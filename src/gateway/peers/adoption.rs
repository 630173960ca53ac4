//! When another's open breaker opens ours: by evidence, not by rumour, and never by one replica whose own network is broken.
//!
//! A peer's breaker is evidence while it is open because of what that replica itself saw. Two are needed, and half of all that
//! report, this one included. What was evidence before our own breaker last closed is so no longer: our probes have seen
//! better since.

use std::time::Duration;

use super::PeerBreaker;
use super::notes::{Note, PeerState};
use crate::gateway::breaker::{Mode, Reason, State, View};

/// Fewest replicas whose evidence counts.
const FEWEST: usize = 2;
/// An open period that is nearly over is not worth adopting.
const SHORTEST: Duration = Duration::from_millis(500);

/// For how long ours is to be open, where the peers' evidence says that it should; `stood` is for how long it has been closed.
pub(super) fn judge(own: &View, stood: Duration, peers: &[PeerBreaker]) -> Option<Duration> {
    if own.state != State::Closed || own.mode != Mode::Auto {
        return None;
    }
    let closed_for = if own.reason == Reason::Start { Duration::MAX } else { stood };
    let evidence: Vec<Duration> = peers.iter().filter_map(|peer| open_for(peer, closed_for)).collect();
    let enough = evidence.len() >= FEWEST && evidence.len() * 2 > peers.len();
    // All are to try again at about the same time: the lease for probes decides who goes first.
    evidence.into_iter().min().filter(|_| enough)
}

/// What is left of a peer's open period, where it is evidence.
fn open_for(peer: &PeerBreaker, closed_for: Duration) -> Option<Duration> {
    let note = peer.note.as_ref()?;
    let newer = note.stood(peer.age) < closed_for;
    let left = note.left(peer.age);
    (is_its_own(note) && newer && left >= SHORTEST).then_some(left)
}

/// It saw it itself: nobody forced it, and it adopted it from nobody.
fn is_its_own(note: &Note) -> bool {
    let seen = [
        Reason::FailureRate,
        Reason::SlowRate,
        Reason::ConsecutiveFailures,
        Reason::ProbeFailed,
        Reason::ProbeLost,
    ];
    note.state == PeerState::Open
        && note.mode() == Mode::Auto
        && note.reason().is_some_and(|reason| seen.contains(&reason))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::gateway::breaker::Ledger;

    const SECOND: Duration = Duration::from_secs(1);

    fn closed(reason: Reason) -> View {
        View {
            mode: Mode::Auto,
            note: None,
            mode_expires_in: None,
            state: State::Closed,
            since: Instant::now(),
            reason,
            open_remaining: None,
            calls: 0,
            failures: 0,
            slow: 0,
            failure_rate: 0.0,
            slow_rate: 0.0,
            would_be_open: false,
            epoch: 0,
            ledger: Ledger::default(),
        }
    }

    fn peer(note: Option<Note>) -> PeerBreaker {
        PeerBreaker { replica: "other".to_owned(), note, age: Duration::ZERO }
    }

    fn open(left: Duration) -> Note {
        Note::open("rates", Reason::FailureRate, SECOND, left)
    }

    fn judged(peers: &[PeerBreaker]) -> Option<Duration> {
        judge(&closed(Reason::Start), SECOND, peers)
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_saw_it_themselves_are_enough_where_they_are_half_of_all() {
        let (saw, quiet) = (peer(Some(open(SECOND * 4))), peer(None));
        let sooner = peer(Some(open(SECOND * 3)));
        for (peers, adopted) in [
            (vec![], None),
            (vec![saw.clone()], None),
            (vec![saw.clone(), quiet.clone()], None),
            (vec![saw.clone(), sooner.clone()], Some(SECOND * 3)),
            (vec![saw.clone(), sooner.clone(), quiet.clone()], Some(SECOND * 3)),
            (vec![saw.clone(), sooner.clone(), quiet.clone(), quiet.clone()], None),
            (vec![saw.clone(), sooner.clone(), saw, quiet.clone(), quiet], Some(SECOND * 3)),
        ] {
            assert_eq!(judged(&peers), adopted, "{peers:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_peer_adopted_or_a_person_forced_is_no_evidence() {
        let saw = peer(Some(open(SECOND * 4)));
        for note in [
            Note::open("rates", Reason::Fleet, SECOND, SECOND * 4),
            Note::open("rates", Reason::Operator, SECOND, SECOND * 4),
            open(SECOND * 4).in_mode(Mode::MetricsOnly),
            open(SECOND / 10),
        ] {
            assert_eq!(judged(&[saw.clone(), peer(Some(note.clone()))]), None, "{note:?}");
        }
        let failed = peer(Some(Note::open("rates", Reason::ProbeFailed, SECOND, SECOND * 4)));
        assert_eq!(judged(&[saw, failed]), Some(SECOND * 4));
    }

    #[tokio::test(start_paused = true)]
    async fn good_probes_of_our_own_outweigh_what_was_seen_before_them() {
        let peers = [peer(Some(open(SECOND * 4))), peer(Some(open(SECOND * 4)))];
        let own = closed(Reason::ProbesGood);
        assert_eq!(judge(&own, SECOND / 2, &peers), None);
        assert_eq!(judge(&own, SECOND * 2, &peers), Some(SECOND * 4));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_closed_breaker_that_decides_for_itself_adopts() {
        let peers = [peer(Some(open(SECOND * 4))), peer(Some(open(SECOND * 4)))];
        let start = || closed(Reason::Start);
        for own in [
            View { state: State::HalfOpen, ..start() },
            View { mode: Mode::ForcedClosed, ..start() },
            View { mode: Mode::MetricsOnly, ..start() },
        ] {
            assert_eq!(judge(&own, SECOND, &peers), None);
        }
    }
}
