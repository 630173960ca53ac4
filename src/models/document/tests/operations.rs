//! Operations: what they match, what they inherit, what they may not say.

use std::time::Duration;

use super::*;
use crate::models::policy::{FallbackStep, Segment, Window};

#[test]
fn an_operation_replaces_whole_blocks_and_inherits_the_others() {
    let upstream = good(
        "timeout: { total: 8s, connect: 20ms }\nretry: { attempts: 2, maxBody: 1MiB }\ncache: { mode: override, ttl: 9s }\nquota: { rate: 9/s, burst: 3 }\n\
         fallback: [{ stale: { maxAge: 1h } }]\nfallbackOn: [timeout]\n\
         operations:\n\
         - { name: quote, match: { methods: [GET, HEAD], path: '/quotes/{id}' }, timeout: { total: 500ms }, limits: { request: 1KiB } }\n\
         - { name: pay, match: { path: /pay/** }, breaker: {}, concurrency: { limit: 1 }, quota: { rate: 5/s }, retry: { attempts: 1 }, cache: { mode: off } }\n\
         - { name: bare, match: { path: / }, fallback: [] }",
    );
    let [quote, pay, bare] = &upstream.operations[..] else { panic!("three operations") };
    assert_eq!(quote.methods, [http::Method::GET, http::Method::HEAD]);
    assert_eq!(quote.path.segments, [Segment::Literal("quotes".to_owned()), Segment::Any]);
    assert_eq!(quote.policy.timeout.total, Duration::from_millis(500));
    assert_eq!(quote.policy.timeout.connect, Duration::from_millis(500), "the block is replaced as a whole");
    assert_eq!((quote.policy.retry.attempts, quote.policy.retry.max_body), (2, 1024));
    assert_eq!(quote.policy.cache, upstream.policy.cache);
    assert_eq!(quote.policy.fallback, upstream.policy.fallback);
    assert_eq!((quote.own_breaker, quote.own_concurrency, quote.own_retry), (false, false, false));
    assert_eq!((quote.own_quota, &quote.policy.quota), (false, &upstream.policy.quota));
    assert!(pay.own_quota && pay.policy.quota.as_ref().is_some_and(|quota| quota.rate.count == 5));
    assert_eq!((pay.own_breaker, pay.own_concurrency, pay.own_retry), (true, true, true));
    assert_eq!(pay.path.segments, [Segment::Literal("pay".to_owned()), Segment::Rest]);
    assert!(pay.methods.is_empty());
    assert!(matches!(pay.policy.fallback.steps[..], [FallbackStep::Stale { .. }]));
    assert!(bare.path.segments.is_empty());
    assert!(bare.policy.fallback.steps.is_empty());
    assert_eq!(bare.policy.fallback.on, upstream.policy.fallback.on);
}

#[test]
fn a_shared_breaker_sees_two_of_the_longest_attempts_that_share_it() {
    let upstream = good(
        "operations:\n\
         - { name: slow, match: { path: /slow }, timeout: { total: 2m, attempt: 50s } }\n\
         - { name: own, match: { path: /own }, timeout: { total: 9m, attempt: 4m }, breaker: {} }",
    );
    let seconds = |seconds| Window::Duration(Duration::from_secs(seconds));
    assert_eq!(upstream.policy.breaker.window, seconds(100));
    assert_eq!(upstream.operations[0].policy.breaker.window, seconds(100));
    assert_eq!(upstream.operations[1].policy.breaker.window, seconds(480));
}

#[test]
fn what_is_wrong_with_an_operation_is_told_at_its_place() {
    each_is_refused(&[
        ("operations: [{ match: { path: /a } }]", "1: operations[0].name: required, but not given"),
        ("operations: [{ name: a }]", "1: operations[0].match: required, but not given"),
        ("operations: [{ name: a, match: {} }]", "1: operations[0].match.path: required, but not given"),
        (
            "operations:\n- { name: a, match: { path: /a } }\n- { name: a, match: { path: /b } }",
            "3: operations[1].name: is the name of an earlier operation, too",
        ),
        (
            "operations: [{ name: a, match: { path: /a, methods: [get] } }]",
            "1: operations[0].match.methods[0]: `get` is not a method; did you mean `GET`?",
        ),
        (
            "operations: [{ name: a, match: { path: /a }, owner: me }]",
            "1: operations[0].owner: unknown field; use one of `name`, `match`, `timeout`, `retry`, `breaker`, \
             `concurrency`, `quota`, `cache`, `fallback`, `fallbackOn`, `fallbackStatuses`, `headers`, `limits`",
        ),
        (
            "breaker: { window: { duration: 20s } }\noperations:\n- name: a\n  match: { path: /a }\n  timeout: { total: 60s, attempt: 11s }",
            "5: operations[0].timeout: the breaker's window (20s) must be at least twice the attempt timeout (11s); \
             lengthen it, or count `calls`",
        ),
        (
            "operations: [{ name: a, match: { path: /a }, cache: { mode: off }, fallback: [{ stale: { maxAge: 1h } }] }]",
            "1: operations[0].fallback[0].stale: can never answer with `cache.mode: off`, which stores nothing",
        ),
        (
            "operations: [{ name: a, match: { path: /a }, fallbackOn: [timeout] }]",
            "1: operations[0].fallbackOn: has no effect without a `fallback`",
        ),
    ]);
}

#[test]
fn an_operations_unbuilt_blocks_are_named_as_such() {
    for field in ["hedge", "credentials", "access", "faults"] {
        let [fault] =
            &said(&format!("operations: [{{ name: a, match: {{ path: /a }}, {field}: {{}} }}]"))[..]
        else {
            panic!("{field}")
        };
        assert!(fault.starts_with(&format!("1: operations[0].{field}: not supported yet: ")), "{fault}");
    }
}

#[test]
fn path_templates_are_strict() {
    for (path, reason) in [
        ("quotes", "must start with `/`"),
        ("/a//b", "must not have an empty segment"),
        ("/a/", "must not have an empty segment"),
        ("/a/**/b", "may have `**` only as its last segment"),
        ("/a/x{id}", "may have `{name}` only as a whole segment and `**` only as the last one"),
        ("/a/*", "may have `{name}` only as a whole segment and `**` only as the last one"),
        ("/a/{}", "needs a name of letters, digits, `_`, `-` in `{}`"),
        ("/a/{i d}", "needs a name of letters, digits, `_`, `-` in `{}`"),
        ("/a/../b", "must not contain `.` or `..`"),
        ("/a/%2e%2E", "must not contain `.` or `..`"),
        ("/a%2f..", "must not contain `.` or `..`"),
        ("/a%00", "must not contain a NUL"),
        ("/a?b", "has a character that cannot stand in a path; write it as %XX"),
        ("/ä", "has a character that cannot stand in a path; write it as %XX"),
        ("/a\\b", "has a character that cannot stand in a path; write it as %XX"),
    ] {
        let expected = format!("1: operations[0].match.path: {reason}");
        assert_eq!(
            said(&format!("operations: [{{ name: a, match: {{ path: '{path}' }} }}]")),
            [expected],
            "{path}"
        );
    }
}
