//! What is believed for how long, and what becomes of breakers by it, under paused time.

use tokio::time::advance;

use super::*;
use crate::gateway::breaker::Reason;

const SECOND: Duration = Duration::from_secs(1);

fn peers() -> Arc<Peers> {
    Peers::new("this", Arc::new(Metrics::new("0", "test")))
}

/// Says that its breaker has been open for a second and will be for a minute.
fn open(replica: &str, age: Duration) -> Peer {
    let note = Note::open("rates", Reason::FailureRate, SECOND, SECOND * 60);
    Peer { replica: replica.to_owned(), said: Instant::now() - age, notes: Notes::of_these(vec![note]) }
}

fn heard(peers: &Peers) -> Vec<String> {
    peers.others("rates", None).into_iter().map(|peer| peer.replica).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_said_is_believed_for_three_seconds_by_our_own_clock() {
    advance(SECOND * 60).await;
    let peers = peers();
    peers.hear(vec![open("old", SECOND * 2), open("new", Duration::ZERO)]);
    assert_eq!(heard(&peers), ["old", "new"]);
    advance(SECOND).await;
    assert_eq!(heard(&peers), ["new"]);
    advance(Duration::from_millis(1999)).await;
    assert_eq!(heard(&peers), ["new"]);
    advance(Duration::from_millis(1)).await;
    assert_eq!(heard(&peers), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn times_that_were_told_relative_go_on_by_our_own_clock() {
    advance(SECOND * 60).await;
    let peers = peers();
    peers.hear(vec![open("other", SECOND)]);
    advance(SECOND).await;
    let [other] = &peers.others("rates", None)[..] else { panic!("one was heard") };
    let note = other.note.as_ref().unwrap();
    assert_eq!((note.stood(other.age), note.left(other.age)), (SECOND * 3, SECOND * 58));
}

#[tokio::test(start_paused = true)]
async fn who_is_missing_from_an_answer_is_believed_until_its_lease_is_over() {
    advance(SECOND * 60).await;
    let peers = peers();
    peers.hear(vec![open("one", Duration::ZERO), open("two", Duration::ZERO)]);
    advance(SECOND * 2).await;
    peers.hear(vec![open("two", Duration::ZERO)]);
    assert_eq!(heard(&peers), ["one", "two"]);
    advance(SECOND).await;
    peers.hear(vec![open("two", Duration::ZERO)]);
    assert_eq!(heard(&peers), ["two"]);
}
