//! Tests of the breakers' read side.

use std::time::SystemTime;

use super::*;
use crate::error::Kind;

fn report(upstream: &str, operation: Option<&str>) -> BreakerReport {
    BreakerReport {
        upstream: upstream.to_owned(),
        operation: operation.map(str::to_owned),
        mode: BreakerMode::Auto,
        state: BreakerState::Closed,
        since: SystemTime::UNIX_EPOCH,
        reason: None,
        retry_after_seconds: None,
        failure_rate: 0.0,
        calls: 0,
        failures: 0,
        slow: 0,
    }
}

fn service() -> BreakersService {
    BreakersService::new(|| {
        vec![
            report("rates", Some("quote")),
            report("mail", None),
            report("rates", None),
            report("maps", None),
        ]
    })
}

fn names(page: &BreakerPage) -> Vec<String> {
    page.items
        .iter()
        .map(|item| format!("{}/{}", item.upstream, item.operation.as_deref().unwrap_or("")))
        .collect()
}

#[test]
fn pages_follow_each_other_without_a_gap_and_the_last_has_no_next() {
    let first = service().list(None, 2);
    assert_eq!(names(&first), ["mail/", "maps/"]);
    let second = service().list(first.next.as_ref(), 2);
    assert_eq!(names(&second), ["rates/", "rates/quote"]);
    assert_eq!(second.next, None);
}

#[test]
fn a_breaker_that_vanishes_between_two_pages_hides_no_other() {
    let first = service().list(None, 2);
    let shorter = BreakersService::new(|| vec![report("rates", None), report("mail", None)]);
    assert_eq!(names(&shorter.list(first.next.as_ref(), 2)), ["rates/"]);
}

#[test]
fn an_operation_without_a_breaker_of_its_own_is_not_found() {
    let key = |operation: Option<&str>| BreakerKey {
        upstream: "rates".to_owned(),
        operation: operation.map(str::to_owned),
    };
    assert_eq!(service().get(&key(Some("quote"))).unwrap().operation.as_deref(), Some("quote"));
    assert_eq!(service().get(&key(None)).unwrap().operation, None);
    let failure = service().get(&key(Some("other"))).unwrap_err();
    assert_eq!(failure.kind(), Kind::NotFound);
    assert!(failure.message().contains("other"), "{failure}");
}
