//! What may be stored, and on what terms, one table a rule.

use super::*;
use crate::cache::fixtures::{at, get, headers, overriding, respect, seconds};
use crate::models::policy::{Cache, NegativeAnswer};
use tokio::time::Instant;

const PRIVATE: Partition = Partition::Private(1);

struct Case<'a> {
    asked: &'a [&'a str],
    partition: Partition,
    policy: Cache,
    stale_fallback: Duration,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self { asked: &[], partition: Partition::Shared, policy: respect(), stale_fallback: Duration::ZERO }
    }
}

impl Case<'_> {
    fn judge(&self, status: u16, lines: &[&str]) -> Result<Terms, Refusal> {
        let (asked, headers) = (headers(self.asked), headers(lines));
        let request = RequestView { partition: self.partition, ..get(&asked) };
        let status = StatusCode::from_u16(status).unwrap();
        let head = ResponseHead { status, headers: &headers, times: at(Instant::now()) };
        judge(&request, &head, &StoreRules { cache: &self.policy, stale_fallback: self.stale_fallback })
            .map(|(terms, _)| terms)
    }

    fn lifetime(&self, status: u16, lines: &[&str]) -> Result<u64, Refusal> {
        self.judge(status, lines).map(|terms| terms.lifetime.as_secs())
    }
}

fn negative(mut policy: Cache, status: u16, ttl: u64) -> Cache {
    policy.negative.push(NegativeAnswer { status: StatusCode::from_u16(status).unwrap(), ttl: seconds(ttl) });
    policy
}

#[test]
fn any_whole_answer_with_explicit_freshness_is_stored() {
    for status in [200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 404, 410, 499] {
        assert_eq!(Case::default().lifetime(status, &["cache-control: max-age=60"]), Ok(60), "{status}");
    }
}

#[test]
fn failures_and_parts_are_never_stored() {
    let policies = [respect(), overriding(seconds(60)), negative(negative(respect(), 503, 9), 206, 9)];
    for policy in policies {
        let case = Case { policy, ..Case::default() };
        for status in [500, 502, 503, 504, 599] {
            assert_eq!(
                case.lifetime(status, &["cache-control: max-age=60"]),
                Err(Refusal::ServerError),
                "{status}"
            );
        }
        for status in [103, 206, 304] {
            assert_eq!(
                case.lifetime(status, &["cache-control: max-age=60"]),
                Err(Refusal::Partial),
                "{status}"
            );
        }
        let part = ["cache-control: max-age=60", "content-range: bytes 0-1/2"];
        assert_eq!(case.lifetime(200, &part), Err(Refusal::Partial));
    }
}

#[test]
fn a_failure_that_may_not_be_shared_says_why() {
    let shared = Case { policy: Cache { shared: true, ..respect() }, ..Case::default() };
    for (line, refusal) in [
        ("set-cookie: a=b", Refusal::SetCookie),
        ("cache-control: private", Refusal::Private),
        ("cache-control: no-store", Refusal::NoStore),
        ("vary: *", Refusal::Vary),
        ("vary: user-agent", Refusal::Vary),
        ("vary: accept-encoding", Refusal::ServerError),
    ] {
        assert_eq!(shared.lifetime(500, &[line]), Err(refusal), "{line}");
    }
}

#[test]
fn prohibitions_hold_under_override_too() {
    let with = |more: &str| [String::from("cache-control: max-age=60"), more.to_owned()];
    for policy in [respect(), overriding(seconds(60))] {
        let case = Case { policy, ..Case::default() };
        for (line, refusal) in [
            ("cache-control: No-Store", Refusal::NoStore),
            ("cache-control: x=\"", Refusal::NoStore),
            ("cache-control: Private", Refusal::Private),
            ("cache-control: public, private=\"x\"", Refusal::Private),
            ("set-cookie: a=b", Refusal::SetCookie),
            ("vary: accept, *", Refusal::Vary),
        ] {
            let lines = with(line);
            assert_eq!(case.lifetime(200, &[&lines[0], &lines[1]]), Err(refusal), "{line}");
        }
        let long = format!("x-long: {}", "x".repeat(LARGEST_HEADERS));
        assert_eq!(case.lifetime(200, &["cache-control: max-age=60", &long]), Err(Refusal::TooLarge));
    }
}

#[test]
fn must_understand_overrides_no_store_where_the_status_is_understood() {
    let lines = ["cache-control: max-age=60, no-store, must-understand"];
    assert_eq!(Case::default().lifetime(200, &lines), Ok(60));
    assert_eq!(Case::default().lifetime(299, &lines), Err(Refusal::Status));
    assert_eq!(Case::default().lifetime(499, &lines), Err(Refusal::Status));
}

#[test]
fn authorization_needs_leave_to_be_shared() {
    let case = Case { asked: &["authorization: Bearer x"], ..Case::default() };
    assert_eq!(case.lifetime(200, &["cache-control: max-age=60"]), Err(Refusal::Authorization));
    for leave in ["public", "must-revalidate", "s-maxage=60"] {
        assert_eq!(case.lifetime(200, &[&format!("cache-control: max-age=60, {leave}")]), Ok(60), "{leave}");
    }
    let own = Case { partition: PRIVATE, ..case };
    assert_eq!(own.lifetime(200, &["cache-control: max-age=60"]), Ok(60));
}

#[test]
fn a_private_partition_stores_private_answers_but_no_cookies() {
    let case = Case { partition: PRIVATE, ..Case::default() };
    assert_eq!(case.lifetime(200, &["cache-control: private, max-age=60"]), Ok(60));
    assert_eq!(
        case.lifetime(200, &["cache-control: max-age=60", "set-cookie: a=b"]),
        Err(Refusal::SetCookie)
    );
    assert_eq!(case.lifetime(200, &["cache-control: max-age=60, no-store"]), Err(Refusal::NoStore));
}

#[test]
fn without_freshness_only_what_serves_stale_or_revalidates_is_stored() {
    let case = Case::default();
    assert_eq!(case.lifetime(200, &[]), Err(Refusal::NotFresh));
    assert_eq!(case.lifetime(200, &["cache-control: max-age=0"]), Err(Refusal::NotFresh));
    assert_eq!(case.lifetime(200, &["cache-control: max-age=60", "age: 60"]), Err(Refusal::NotFresh));
    assert_eq!(case.lifetime(200, &["cache-control: no-cache, max-age=60"]), Err(Refusal::NotFresh));
    assert_eq!(case.lifetime(200, &["etag: \"a\""]), Ok(0));
    assert_eq!(case.lifetime(200, &["etag: \"a\"", "cache-control: no-cache"]), Ok(0));
    assert_eq!(case.lifetime(200, &["cache-control: max-age=0, stale-if-error=60"]), Ok(0));
    assert_eq!(case.lifetime(404, &["etag: \"a\""]), Err(Refusal::NotFresh));
    let keeping = Case { stale_fallback: seconds(60), ..Case::default() };
    assert_eq!(keeping.judge(200, &[]).map(|terms| terms.keep), Ok(seconds(60)));
    assert_eq!(keeping.lifetime(200, &["cache-control: max-age=0, must-revalidate"]), Err(Refusal::NotFresh));
    assert_eq!(keeping.lifetime(429, &[]), Err(Refusal::NotFresh));
}

#[test]
fn negative_answers_are_kept_for_as_long_as_the_policy_says() {
    let case = Case { policy: negative(respect(), 404, 10), ..Case::default() };
    assert_eq!(case.lifetime(404, &[]), Ok(10));
    assert_eq!(case.lifetime(404, &["cache-control: max-age=60"]), Ok(60), "its own word counts");
    assert_eq!(case.lifetime(404, &["cache-control: no-store"]), Err(Refusal::NoStore));
    assert_eq!(case.lifetime(410, &[]), Err(Refusal::NotFresh));
    let case = Case { policy: negative(overriding(seconds(600)), 404, 10), ..Case::default() };
    assert_eq!(case.lifetime(404, &["cache-control: max-age=60"]), Ok(10));
    assert_eq!(case.lifetime(410, &[]), Err(Refusal::NotFresh), "the ttl is for good answers");
}

#[test]
fn override_puts_the_ttl_in_place_of_the_responses_word() {
    let case = Case { policy: overriding(seconds(60)), ..Case::default() };
    for line in [
        "cache-control: max-age=5",
        "cache-control: no-cache",
        "expires: 0",
        "x: y",
        "cache-control: max-age=0, must-revalidate",
    ] {
        let terms = case.judge(200, &[line]).unwrap();
        assert_eq!(
            (terms.lifetime, terms.no_cache, terms.never_stale),
            (seconds(60), false, false),
            "{line}"
        );
    }
    assert_eq!(case.lifetime(200, &["age: 7200"]), Ok(7260), "counted from the arrival");
    assert_eq!(case.lifetime(302, &["cache-control: max-age=5"]), Ok(5));
    assert_eq!(case.lifetime(302, &[]), Err(Refusal::NotFresh));
}

#[test]
fn revalidation_duties_forbid_stale_use() {
    for directive in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        let line =
            format!("cache-control: max-age=60, stale-if-error=9, stale-while-revalidate=9, {directive}");
        let terms = Case::default().judge(200, &[&line, "etag: \"a\""]).unwrap();
        assert!(terms.never_stale, "{directive}");
        assert_eq!(terms.stale_if_error + terms.stale_while_revalidate, Duration::ZERO);
    }
    let terms = Case::default().judge(200, &["cache-control: s-maxage=60, stale-if-error=9"]).unwrap();
    assert_eq!((terms.never_stale, terms.no_max_stale, terms.stale_if_error), (false, true, seconds(9)));
}

#[test]
fn a_passing_error_does_not_condemn_the_resource() {
    assert!(
        Refusal::NoStore.is_lasting(StatusCode::OK) && Refusal::NotFresh.is_lasting(StatusCode::NOT_FOUND)
    );
    assert!(!Refusal::NotFresh.is_lasting(StatusCode::TOO_MANY_REQUESTS));
    assert!(!Refusal::ServerError.is_lasting(StatusCode::BAD_GATEWAY));
    assert!(!Refusal::Partial.is_lasting(StatusCode::PARTIAL_CONTENT));
}
