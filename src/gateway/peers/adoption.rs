//! When another's open breaker opens ours: by evidence, not by rumour, and never by one replica whose own network is broken.
//!
//! A peer's breaker is evidence while it is open because of what that replica itself saw. Two are needed, and half of all that
//! report, this one included. What was evidence before our own breaker last closed is so no longer: our probes have seen
//! better since. What was adopted holds only while enough peers go on to say that they have not seen better.

use std::time::Duration;

use super::PeerBreaker;
use super::notes::{Note, PeerState};
use crate::gateway::breaker::{Mode, Reason, State, View};

/// Fewest replicas whose evidence counts.
const FEWEST: usize = 2;
/// An open period that is nearly over is not worth adopting.
const SHORTEST: Duration = Duration::from_millis(500);

/// What the peers' evidence asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// For how long ours is to be open.
    pub(super) open_for: Duration,
    /// Whose evidence it is.
    pub(super) from: Vec<String>,
}

/// Whether ours is to open; `stood` is for how long it has been closed.
pub(super) fn judge(own: &View, stood: Duration, peers: &[PeerBreaker]) -> Option<Verdict> {
    if own.state != State::Closed || own.mode != Mode::Auto {
        return None;
    }
    // Only what happened here outweighs the others: the end of their word does not.
    let nothing_seen = [Reason::Start, Reason::Fleet].contains(&own.reason);
    let closed_for = if nothing_seen { Duration::MAX } else { stood };
    let evidence = peers.iter().filter_map(|peer| Some((peer, open_for(peer, closed_for)?)));
    let (from, left): (Vec<_>, Vec<_>) = evidence.map(|(peer, left)| (peer.replica.clone(), left)).unzip();
    // All are to try again at about the same time: the lease for probes decides who goes first.
    let open_for = left.into_iter().min()?;
    is_enough(from.len(), peers).then_some(Verdict { open_for, from })
}

/// Whether ours stays open where it was adopted: enough of those who report are still open, or about to find out.
pub(super) fn still_holds(peers: &[PeerBreaker]) -> bool {
    let troubled = |note: &Note| is_its_own(note) || note.state == PeerState::HalfOpen;
    is_enough(peers.iter().filter(|peer| peer.note.as_ref().is_some_and(troubled)).count(), peers)
}

/// `peers` are all but this one.
fn is_enough(evidence: usize, peers: &[PeerBreaker]) -> bool {
    evidence >= FEWEST && evidence * 2 > peers.len()
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
            probes_out: 0,
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
        judge(&closed(Reason::Start), SECOND, peers).map(|verdict| verdict.open_for)
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
        let verdict = judge(&own, SECOND * 2, &peers).unwrap();
        assert_eq!(
            (verdict.open_for, verdict.from),
            (SECOND * 4, vec!["other".to_owned(), "other".to_owned()])
        );
        // That their word ended says nothing of the upstream.
        assert!(judge(&closed(Reason::Fleet), SECOND / 2, &peers).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_adopted_holds_for_as_long_as_enough_have_not_seen_better() {
        let (quiet, nearly_over) = (peer(None), peer(Some(open(Duration::ZERO))));
        let probing =
            peer(Some(Note::open("rates", Reason::PeriodOver, SECOND, SECOND).in_state(PeerState::HalfOpen)));
        let adopted = peer(Some(Note::open("rates", Reason::Fleet, SECOND, SECOND)));
        for (peers, holds) in [
            (vec![nearly_over.clone(), probing.clone()], true),
            (vec![nearly_over.clone(), probing.clone(), quiet.clone()], true),
            (vec![nearly_over.clone(), probing.clone(), quiet.clone(), quiet.clone()], false),
            (vec![nearly_over.clone(), quiet], false),
            (vec![nearly_over, adopted], false),
            (vec![], false),
        ] {
            assert_eq!(still_holds(&peers), holds, "{peers:?}");
        }
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
