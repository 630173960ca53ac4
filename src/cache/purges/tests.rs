//! What is before a purge and what is after it.

use std::sync::Arc;

use super::*;
use crate::cache::fixtures::World;
use crate::cache::position::Moment;

fn id(number: u64) -> LogId {
    LogId::parse(&format!("{number}-0")).unwrap()
}

fn at(number: u64) -> Position {
    Position { epoch: 1, id: id(number) }
}

/// An answer as it is stored, with the tag it names.
fn stored() -> (Arc<Entry>, u64) {
    let world = World::new();
    let entry = world.store(&["cache-control: max-age=60", "cache-tag: a"]);
    let tag = entry.tags.named[0];
    (entry, tag)
}

/// The same answer from another origin.
fn of(entry: &Entry, origin: Origin) -> Entry {
    Entry {
        origin,
        checked: AtomicU64::new(u64::MAX),
        key: entry.key.clone(),
        names: entry.names.clone(),
        status: entry.status,
        headers: entry.headers.clone(),
        body: entry.body.clone(),
        terms: entry.terms.clone(),
        initial_age: entry.initial_age,
        received: entry.received,
        due: entry.due,
        tried: AtomicU64::new(0),
        tags: entry.tags.clone(),
    }
}

fn here(entry: &Entry, number: u64) -> Entry {
    of(entry, Origin::Here(Moment { number, at: Position::default() }))
}

fn elsewhere(entry: &Entry, number: u64) -> Entry {
    of(entry, Origin::Elsewhere { at: at(number), placed: u64::MAX })
}

fn purges() -> Purges {
    let purges = Purges::new();
    purges.moved(at(0));
    purges
}

fn hard(purges: &Purges, target: &Target, heard: Heard) {
    purges.note(target, Strength::Hard, heard, Instant::now());
}

#[test]
fn what_was_fetched_here_is_outdated_by_what_came_after_its_beginning() {
    let (entry, tag) = stored();
    let purges = purges();
    hard(&purges, &Target::Tag(tag), Heard::Here);
    assert_eq!(purges.judge(&here(&entry, 0)), Validity::Gone);
    assert_eq!(purges.judge(&here(&entry, 1)), Validity::Valid);
    hard(&purges, &Target::Tag(tag + 1), Heard::Here);
    assert_eq!(purges.judge(&here(&entry, 1)), Validity::Valid, "the purge was of something else");
    hard(&purges, &Target::All, Heard::Log(id(1)));
    assert_eq!(purges.judge(&here(&entry, 2)), Validity::Gone);
}

#[test]
fn what_was_fetched_elsewhere_is_outdated_by_the_log_alone() {
    let (entry, tag) = stored();
    let purges = purges();
    hard(&purges, &Target::Tag(tag), Heard::Log(id(6)));
    assert_eq!(purges.judge(&elsewhere(&entry, 5)), Validity::Gone);
    assert_eq!(purges.judge(&elsewhere(&entry, 6)), Validity::Valid);
}

#[test]
fn a_purge_the_log_has_not_taken_outdates_all_that_comes_from_elsewhere() {
    let (entry, tag) = stored();
    let purges = purges();
    hard(&purges, &Target::Tag(tag), Heard::Pending(1));
    assert_eq!(purges.judge(&elsewhere(&entry, 900)), Validity::Gone);
    purges.settled(1, id(9));
    assert_eq!(purges.judge(&elsewhere(&entry, 8)), Validity::Gone, "taken, not yet read back");
    assert_eq!(purges.judge(&elsewhere(&entry, 9)), Validity::Valid);
    hard(&purges, &Target::Tag(tag), Heard::Pending(2));
    hard(&purges, &Target::Tag(tag), Heard::Echo(id(9)));
    assert_eq!(purges.judge(&elsewhere(&entry, 900)), Validity::Gone, "the echo is the first one's");
    purges.settled_together(2, id(12));
    assert_eq!(purges.judge(&elsewhere(&entry, 11)), Validity::Gone);
    assert_eq!(purges.judge(&elsewhere(&entry, 12)), Validity::Valid);
}

#[test]
fn ones_own_purge_read_back_outdates_nothing_that_was_fetched_since() {
    let (entry, tag) = stored();
    let purges = purges();
    hard(&purges, &Target::Tag(tag), Heard::Pending(1));
    let since = here(&entry, purges.moment().number);
    hard(&purges, &Target::Tag(tag), Heard::Echo(id(1)));
    assert_eq!(purges.judge(&since), Validity::Valid);
}

#[test]
fn a_soft_purge_makes_stale_and_a_hard_one_beside_it_counts_for_more() {
    let (entry, tag) = stored();
    let purges = purges();
    let now = Instant::now();
    purges.note(&Target::Tag(tag), Strength::Soft, Heard::Here, now);
    assert_eq!(purges.judge(&here(&entry, 0)), Validity::Stale(now));
    hard(&purges, &Target::All, Heard::Here);
    assert_eq!(purges.judge(&here(&entry, 0)), Validity::Gone);
}

#[test]
fn globs_are_compared_with_the_path_of_their_upstreams_answers() {
    let (entry, _) = stored();
    let upstream = entry.tags.upstream;
    let judged = |upstream, pattern: &str| {
        let purges = purges();
        hard(&purges, &Target::Glob { upstream, pattern: pattern.to_owned() }, Heard::Here);
        purges.judge(&here(&entry, 0)) == Validity::Gone
    };
    for pattern in ["/quotes/*", "/**", "/quotes/[12]", "/{quotes,rates}/?"] {
        assert!(judged(upstream, pattern), "{pattern}");
    }
    for pattern in ["/*", "/quotes", "/quotes/*/x", "quotes/*"] {
        assert!(!judged(upstream, pattern), "{pattern}");
    }
    assert!(!judged(upstream + 1, "/**"));
    assert!(judged(upstream, "/["), "what cannot be read matches everything");
}

#[test]
fn another_log_makes_everything_stale_and_nothing_is_lost() {
    let (entry, _) = stored();
    let purges = purges();
    let (ours, theirs) = (here(&entry, 0), elsewhere(&entry, 5));
    assert_eq!(purges.judge(&theirs), Validity::Valid);
    let now = Instant::now();
    purges.lost_track(Position { epoch: 2, id: id(3) }, now);
    assert_eq!(purges.judge(&ours), Validity::Stale(now));
    assert_eq!(purges.judge(&theirs), Validity::Stale(now));
    assert_eq!(purges.judge(&here(&entry, purges.moment().number)), Validity::Valid);
}

#[test]
fn what_is_forgotten_takes_all_that_is_older_with_it() {
    let (entry, tag) = stored();
    let purges = purges();
    let (old, foreign) = (here(&entry, 0), elsewhere(&entry, 0));
    for other in 0..=2 * MOST_MARKS as u64 {
        hard(&purges, &Target::Tag(tag ^ (other + 1)), Heard::Log(id(other + 1)));
    }
    assert_eq!(purges.judge(&old), Validity::Gone, "its purge may have been forgotten");
    assert_eq!(purges.judge(&foreign), Validity::Gone);
    let latest = purges.moment().number;
    assert_eq!(purges.judge(&here(&entry, latest)), Validity::Valid);
    let newest = at(2 * MOST_MARKS as u64 + 1);
    assert_eq!(purges.judge(&of(&entry, Origin::Elsewhere { at: newest, placed: latest })), Validity::Valid);
    let before = of(&entry, Origin::Elsewhere { at: newest, placed: 0 });
    assert_eq!(purges.judge(&before), Validity::Gone, "a purge of ours after it came may be forgotten");
}
