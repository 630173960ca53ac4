//! What is heard and said, and when the second level may be read.

use tokio::time::advance;

use super::*;
use crate::cache::purge::{Scope, Strength};

fn id(number: u64) -> LogId {
    LogId::parse(&format!("{number}-0")).unwrap()
}

fn tag(name: &str) -> Purge {
    let scope = Scope::Tag { upstream: "rates".to_owned(), tag: name.to_owned() };
    Purge { scope, strength: Strength::Hard }
}

fn news(epoch: u64, entries: &[u64]) -> News {
    let heading = |number: &u64| Heading { id: id(*number), purge: tag("a"), source: 1 };
    News {
        epoch,
        first: id(1),
        last: entries.last().map_or(id(0), |last| id(*last)),
        trimmed: false,
        entries: entries.iter().map(heading).collect(),
    }
}

/// A log that has applied everything up to an entry.
fn following(number: u64) -> (Log, Purges) {
    let (log, purges) = (Log::new(), Purges::new());
    assert!(!log.is_in_step(), "nothing was heard yet");
    let first = News { last: id(number), entries: Vec::new(), ..news(1, &[]) };
    assert!(!log.apply(&purges, &first, Instant::now(), |_| ()));
    assert!(log.is_in_step());
    assert_eq!(purges.position(), Position { epoch: 1, id: id(number) });
    (log, purges)
}

fn heard(log: &Log, purges: &Purges, news: &News) -> (u64, bool) {
    let applied = std::cell::Cell::new(0);
    let more = log.apply(purges, news, Instant::now(), |_| applied.set(applied.get() + 1));
    (applied.get(), more)
}

#[tokio::test]
async fn what_comes_next_is_applied_and_the_position_moves() {
    let (log, purges) = following(5);
    assert_eq!(heard(&log, &purges, &news(1, &[6, 7])), (2, false));
    assert_eq!(purges.position().id, id(7));
    let many: Vec<u64> = (8..8 + MOST_READ as u64).collect();
    assert_eq!(heard(&log, &purges, &news(1, &many)), (MOST_READ as u64, true));
}

#[tokio::test]
async fn another_log_a_shorter_one_and_one_with_a_gap_lose_track() {
    for (lost, reached) in [
        (News { last: id(9), entries: Vec::new(), ..news(2, &[]) }, Position { epoch: 2, id: id(9) }),
        (News { last: id(3), entries: Vec::new(), ..news(1, &[]) }, Position { epoch: 1, id: id(3) }),
        (News { first: id(8), trimmed: true, ..news(1, &[8, 9]) }, Position { epoch: 1, id: id(9) }),
    ] {
        let (log, purges) = following(5);
        let number = purges.moment().number;
        heard(&log, &purges, &lost);
        assert_eq!(purges.position(), reached);
        assert!(purges.moment().number > number && log.reading().lost_track == 2, "everything is stale");
    }
    let (log, purges) = following(5);
    let (number, trimmed) = (purges.moment().number, News { first: id(5), trimmed: true, ..news(1, &[6]) });
    log.apply(&purges, &trimmed, Instant::now(), |_| ());
    assert_eq!(purges.moment().number, number, "what was trimmed had been heard");
}

#[tokio::test]
async fn after_an_interruption_what_is_owed_is_said_before_the_second_level_is_read() {
    let (log, purges) = following(5);
    log.post(tag("a"));
    assert_eq!(log.take(), [tag("a")]);
    log.put_back();
    assert!(!log.is_in_step());
    log.apply(&purges, &news(1, &[6]), Instant::now(), |_| ());
    assert!(!log.is_in_step(), "the log does not know what was purged here");
    assert_eq!(log.take(), [tag("a")]);
    log.settle(&purges, id(7), Instant::now());
    assert!(log.is_in_step());
    assert_eq!(*log.settled().borrow(), 1);
    log.lose_contact();
    log.apply(&purges, &news(1, &[7]), Instant::now(), |_| ());
    assert_eq!(log.take(), [tag("a")], "a Redis that failed over may have lost it");
}

#[tokio::test(start_paused = true)]
async fn it_is_blind_after_half_a_minute_without_contact() {
    let (log, purges) = following(5);
    advance(Duration::from_secs(29)).await;
    log.lose_contact();
    assert!(!log.is_blind());
    advance(Duration::from_secs(2)).await;
    log.lose_contact();
    assert!(log.is_blind() && log.reading().silent_seconds > 30.0);
    log.apply(&purges, &news(1, &[6]), Instant::now(), |_| ());
    assert!(!log.is_blind());
}
