//! Tests of the breakers' read side.

use super::fixtures::quiet;
use super::*;
use crate::error::Kind;

fn all() -> Vec<BreakerReport> {
    vec![quiet("rates", Some("quote")), quiet("mail", None), quiet("rates", None), quiet("maps", None)]
}

fn names(page: &BreakerPage) -> Vec<String> {
    page.items
        .iter()
        .map(|item| format!("{}/{}", item.upstream, item.operation.as_deref().unwrap_or("")))
        .collect()
}

#[test]
fn pages_follow_each_other_without_a_gap_and_the_last_has_no_next() {
    let first = page(all(), None, 2);
    assert_eq!(names(&first), ["mail/", "maps/"]);
    let second = page(all(), first.next.as_ref(), 2);
    assert_eq!(names(&second), ["rates/", "rates/quote"]);
    assert_eq!(second.next, None);
}

#[test]
fn a_breaker_that_vanishes_between_two_pages_hides_no_other() {
    let first = page(all(), None, 2);
    let fewer = vec![quiet("rates", None), quiet("mail", None)];
    assert_eq!(names(&page(fewer, first.next.as_ref(), 2)), ["rates/"]);
}

#[test]
fn a_decision_whose_time_is_over_is_not_shown() {
    let set = OffsetDateTime::now_utc();
    let forced = |expires: Option<OffsetDateTime>| BreakerOverride {
        upstream: "rates".to_owned(),
        operation: None,
        mode: ForcedMode::Open,
        reason: "they asked us to".to_owned(),
        expires,
        set,
        set_by: "user:ada@example.com".to_owned(),
    };
    let shown = |expires, operation| in_force(&[forced(expires)], &quiet("rates", operation));
    assert_eq!(shown(None, None).unwrap().reason, "they asked us to");
    assert!(shown(Some(set + Duration::from_secs(60)), None).is_some());
    assert!(shown(Some(set - Duration::from_secs(1)), None).is_none());
    assert!(shown(None, Some("quote")).is_none(), "another breaker");
}

#[test]
fn who_is_not_found_is_named() {
    let key = |operation: Option<&str>| BreakerKey {
        upstream: "rates".to_owned(),
        operation: operation.map(str::to_owned),
    };
    assert_eq!(unknown(&key(None)).kind(), Kind::NotFound);
    assert!(unknown(&key(Some("other"))).message().contains("other"));
}
