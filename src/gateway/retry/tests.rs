//! What is tried again, when, and how often.

use http::HeaderValue;

use super::*;
use crate::models::policy::Cause;

const PLENTY: Duration = Duration::from_secs(60);

fn policy() -> Retry {
    Retry {
        attempts: 3,
        on: vec![Cause::ConnectFailure, Cause::Reset, Cause::Timeout],
        statuses: vec![StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE],
        methods: RetryMethods::Idempotent,
        idempotency_key_honoured: false,
        base: Duration::from_millis(50),
        cap: Duration::from_secs(2),
        throttled_base: Duration::from_secs(1),
        budget_percent: 20.0,
        budget_min_per_second: 3.0,
        budget_window: Duration::from_secs(10),
        max_body: 64 * 1024,
    }
}

fn tries(policy: &Retry, method: &Method) -> Tries {
    let mut tries = Tries::new(policy, method, &HeaderMap::new(), false);
    tries.begin();
    tries
}

fn reset() -> Failure {
    Failure::new(FailureKind::Reset, "connection_terminated", "")
}

fn refused() -> Failure {
    Failure::new(FailureKind::Connect, "connection_refused", "").with_nothing_sent()
}

fn is_again(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Again { .. })
}

#[test]
fn attempts_are_counted_the_first_included() {
    let policy = policy();
    let mut tries = tries(&policy, &Method::GET);
    assert!(is_again(&tries.judge(&policy, &Outcome::Failed(&reset()), true, PLENTY)));
    tries.begin();
    assert!(is_again(&tries.judge(&policy, &Outcome::Failed(&reset()), true, PLENTY)));
    tries.begin();
    assert_eq!(tries.judge(&policy, &Outcome::Failed(&reset()), true, PLENTY), Verdict::Done);
}

#[test]
fn a_post_is_only_repeated_when_nothing_was_sent_or_its_key_is_honoured() {
    let mut policy = policy();
    let mut post = tries(&policy, &Method::POST);
    assert_eq!(post.judge(&policy, &Outcome::Failed(&reset()), true, PLENTY), Verdict::Done);
    let free = post.judge(&policy, &Outcome::Failed(&refused()), true, PLENTY);
    assert!(matches!(free, Verdict::Again { free: true, pause: Duration::ZERO, .. }));
    post.begin();
    assert_eq!(post.judge(&policy, &Outcome::Failed(&refused()), true, PLENTY), Verdict::Done, "free once");

    policy.idempotency_key_honoured = true;
    let mut headers = HeaderMap::new();
    assert!(!is_repeatable(&policy, &Method::POST, &headers));
    headers.insert("idempotency-key", HeaderValue::from_static("k"));
    assert!(is_repeatable(&policy, &Method::POST, &headers));
    policy.methods = RetryMethods::Listed(vec![Method::GET]);
    assert!(!is_repeatable(&policy, &Method::POST, &headers), "not in the list");
}

#[test]
fn a_body_that_is_gone_cannot_be_sent_again() {
    let policy = policy();
    let mut tries = tries(&policy, &Method::PUT);
    assert_eq!(tries.judge(&policy, &Outcome::Failed(&reset()), false, PLENTY), Verdict::Done);
}

#[test]
fn a_levee_in_front_does_the_retrying() {
    let policy = policy();
    let mut tries = Tries::new(&policy, &Method::GET, &HeaderMap::new(), true);
    tries.begin();
    assert!(!tries.may_repeat());
    assert_eq!(tries.judge(&policy, &Outcome::Failed(&refused()), true, PLENTY), Verdict::Done);
}

#[test]
fn retry_after_is_obeyed_or_nothing_is_tried() {
    let policy = policy();
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("2"));
    let mut tries = tries(&policy, &Method::GET);
    let outcome = Outcome::Status(StatusCode::SERVICE_UNAVAILABLE, &headers);
    let verdict = tries.judge(&policy, &outcome, true, PLENTY);
    assert!(matches!(verdict, Verdict::Again { pause, .. } if pause == Duration::from_secs(2)));
    assert_eq!(tries.judge(&policy, &outcome, true, Duration::from_secs(2)), Verdict::Done);
}

#[test]
fn a_date_counts_from_the_responses_own_date() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("Sun, 06 Nov 1994 08:49:40 GMT"));
    headers.insert("date", HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(retry_after(&headers), Some(Duration::from_secs(3)));
    headers.insert("date", HeaderValue::from_static("Sun, 06 Nov 1994 09:00:00 GMT"));
    assert_eq!(retry_after(&headers), Some(Duration::ZERO));
    headers.insert("retry-after", HeaderValue::from_static("soon"));
    assert_eq!(retry_after(&headers), None);
}

#[test]
fn an_early_status_is_tried_again_once() {
    let policy = policy();
    let headers = HeaderMap::new();
    let mut tries = tries(&policy, &Method::GET);
    let outcome = Outcome::Status(StatusCode::TOO_EARLY, &headers);
    assert!(is_again(&tries.judge(&policy, &outcome, true, PLENTY)));
    tries.begin();
    assert_eq!(tries.judge(&policy, &outcome, true, PLENTY), Verdict::Done);
}

#[test]
fn the_pause_is_anywhere_below_the_step_and_never_above_the_cap() {
    let policy = Retry { attempts: 30, cap: Duration::from_millis(400), ..policy() };
    let mut tries = tries(&policy, &Method::GET);
    let mut longest = Duration::ZERO;
    for number in 1..29_u32 {
        let step = Duration::from_millis(50 << (number - 1).min(4)).min(policy.cap);
        let verdict = tries.judge(&policy, &Outcome::Failed(&reset()), true, PLENTY);
        let Verdict::Again { pause, .. } = verdict else { panic!("{verdict:?}") };
        assert!(pause <= step, "attempt {number}: {pause:?} is longer than {step:?}");
        longest = longest.max(pause);
        tries.begin();
    }
    assert!(longest > policy.cap / 4, "jitter uses the whole step");
}
