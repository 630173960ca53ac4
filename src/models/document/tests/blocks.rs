//! Every refusal of every block: a fragment of a spec, and what is said of it.

use super::*;

#[test]
fn contradicting_or_endless_timeouts_are_refused() {
    each_is_refused(&[
        (
            "timeout: { total: 2s, attempt: 2s }",
            "1: timeout.attempt: must be below total (2s); lower it or raise total",
        ),
        (
            "timeout: { attempt: 40s }",
            "1: timeout.attempt: must be below total (30s, the default); lower it or raise total",
        ),
        (
            "timeout:\n  total: 5s\n  attempt: 1s\n  connect: 1100ms",
            "4: timeout.connect: must not exceed attempt (1s); connecting is part of an attempt",
        ),
        (
            "timeout: { total: 1s, connect: 2s }",
            "1: timeout.connect: must not exceed attempt (1s); connecting is part of an attempt",
        ),
        ("timeout: { total: 0s }", "1: timeout.total: must be at least 1ms"),
        ("timeout: { total: 61m }", "1: timeout.total: must be at most 1h"),
        ("timeout: { idleBody: 0ms }", "1: timeout.idleBody: must be at least 1ms"),
        ("timeout: { body: 25h }", "1: timeout.body: must be at most 1d"),
        (
            "timeout: { total: 30 }",
            "1: timeout.total: `30` is not a duration such as `250ms`, `2s`, `5m`, `1h`",
        ),
        ("timeout: { totl: 3s }", "1: timeout.totl: unknown field; did you mean `total`?"),
        ("timeout: { idle_body: 3s }", "1: timeout.idle_body: unknown field; did you mean `idleBody`?"),
        ("timeout: 3s", "1: timeout: must be a mapping of fields"),
        ("timeout:", "1: timeout: is empty; give it fields or leave it out"),
        ("timeout: { total: }", "1: timeout.total: is empty; give it a value or leave it out"),
    ]);
}

#[test]
fn a_bad_value_is_not_held_against_others() {
    each_is_refused(&[
        (
            "timeout: { total: soon, attempt: 50s }",
            "1: timeout.total: `soon` is not a duration such as `250ms`, `2s`, `5m`, `1h`",
        ),
        (
            "timeout: { atempt: 1s }\nbreaker: { window: { duration: 10s } }",
            "1: timeout.atempt: unknown field; did you mean `attempt`?",
        ),
        (
            "limits: { requests: 20MiB }\nretry: { maxBody: 12MiB }",
            "1: limits.requests: unknown field; did you mean `request`?",
        ),
    ]);
}

#[test]
fn unsafe_or_senseless_retries_are_refused() {
    each_is_refused(&[
        ("retry: { attempts: 0 }", "1: retry.attempts: must be at least 1"),
        ("retry: { attempts: 11 }", "1: retry.attempts: must be at most 10"),
        ("retry: { attempts: \"3\" }", "1: retry.attempts: must be a whole number, without quotes"),
        ("retry: { attempts: 2.5 }", "1: retry.attempts: must be a whole number, without quotes"),
        ("retry: { on: [rest] }", "1: retry.on[0]: `rest` is not a value; did you mean `reset`?"),
        (
            "retry: { on: [circuit_open] }",
            "1: retry.on[0]: `circuit_open` is not a value; use one of `connect_failure`, `reset`, `timeout`",
        ),
        ("retry: { on: reset }", "1: retry.on: must be a list"),
        (
            "retry: { statuses: [200] }",
            "1: retry.statuses[0]: 200 is not the status of a failure; use one from 400 to 599",
        ),
        (
            "retry: { statuses: [600] }",
            "1: retry.statuses[0]: 600 is not the status of a failure; use one from 400 to 599",
        ),
        (
            "retry: { methods: [POST] }",
            "1: retry.methods: POST and PATCH are retried only with `idempotencyKey: honoured`, or they may act twice",
        ),
        (
            "retry: { methods: [] }",
            "1: retry.methods: is empty; leave it out for the idempotent methods, or set attempts to 1 for no retries",
        ),
        ("retry: { methods: idempotent }", "1: retry.methods: must be a list"),
        ("retry: { methods: [GETT] }", "1: retry.methods[0]: `GETT` is not a method; did you mean `GET`?"),
        (
            "retry: { idempotencyKey: honored }",
            "1: retry.idempotencyKey: `honored` is not a value; did you mean `honoured`?",
        ),
        ("retry: { backoff: { base: 3s, cap: 1s } }", "1: retry.backoff.cap: must not be below base (3s)"),
        (
            "retry: { backoff: { cap: 1s, throttledBase: 90s } }",
            "1: retry.backoff.throttledBase: must not exceed cap (1s)",
        ),
        ("retry: { budget: { percent: 101 } }", "1: retry.budget.percent: must be at most 100"),
        ("retry: { budget: { minPerSecond: -1 } }", "1: retry.budget.minPerSecond: must be at least 0"),
        ("retry: { budget: { window: 11m } }", "1: retry.budget.window: must be at most 10m"),
        ("retry: { budget: { window: 999ms } }", "1: retry.budget.window: must be at least 1s"),
        ("retry: { maxBody: 17MiB }", "1: retry.maxBody: must be at most 16MiB"),
        (
            "limits: { request: 1KiB }\nretry: { maxBody: 2KiB }",
            "2: retry.maxBody: must not exceed limits.request (1KiB)",
        ),
        (
            "retry: { maxBody: 64KB }",
            "1: retry.maxBody: `64KB` is not a size such as `64KiB`, `10MiB` or bytes",
        ),
    ]);
    each_is_accepted(&["retry: { methods: [POST], idempotencyKey: honoured, statuses: [], on: [] }"]);
}

#[test]
fn a_breaker_that_could_not_judge_is_refused() {
    each_is_refused(&[
        (
            "timeout: { attempt: 6s }\nbreaker: { window: { duration: 10s } }",
            "2: breaker.window.duration: the breaker's window (10s) must be at least twice the attempt timeout (6s); \
             lengthen it, or count `calls`",
        ),
        (
            "breaker: { window: { duration: 30s, calls: 10 } }",
            "1: breaker.window: give exactly one of `duration`, `calls`",
        ),
        ("breaker: { window: {} }", "1: breaker.window: give exactly one of `duration`, `calls`"),
        ("breaker: { window: { duration: 601s } }", "1: breaker.window.duration: must be at most 10m"),
        ("breaker: { window: { calls: 9 } }", "1: breaker.window.calls: must be at least 10"),
        ("breaker: { window: { calls: 10001 } }", "1: breaker.window.calls: must be at most 10000"),
        ("breaker: { minimumCalls: 0 }", "1: breaker.minimumCalls: must be at least 1"),
        ("breaker: { minimumCalls: 100001 }", "1: breaker.minimumCalls: must be at most 100000"),
        (
            "breaker: { window: { calls: 50 }, minimumCalls: 51 }",
            "1: breaker.minimumCalls: must not exceed window.calls (50), or the circuit never opens",
        ),
        (
            "breaker: { failureRate: 0 }",
            "1: breaker.failureRate: must be above 0: at 0 every call would count as too many",
        ),
        ("breaker: { failureRate: 1.1 }", "1: breaker.failureRate: must be at most 1"),
        ("breaker: { failureRate: 50% }", "1: breaker.failureRate: must be a number, without quotes"),
        ("breaker: { failureRate: .nan }", "1: breaker.failureRate: must be a number, without quotes"),
        (
            "breaker: { failOn: [overloaded] }",
            "1: breaker.failOn[0]: `overloaded` is not a value; use one of `connect_failure`, `reset`, `timeout`",
        ),
        (
            "breaker: { failStatuses: [302] }",
            "1: breaker.failStatuses[0]: 302 is not the status of a failure; use one from 400 to 599",
        ),
        ("breaker: { consecutiveFailures: 10001 }", "1: breaker.consecutiveFailures: must be at most 10000"),
        ("breaker: { slowCall: { rate: 0.5 } }", "1: breaker.slowCall.threshold: required, but not given"),
        ("breaker: { slowCall: { threshold: 1s } }", "1: breaker.slowCall.rate: required, but not given"),
        ("breaker: { open: { base: 10s, cap: 9s } }", "1: breaker.open.cap: must not be below base (10s)"),
        ("breaker: { halfOpen: { probes: 0 } }", "1: breaker.halfOpen.probes: must be at least 1"),
        ("breaker: { halfOpen: { probes: 1001 } }", "1: breaker.halfOpen.probes: must be at most 1000"),
        (
            "breaker: { mode: forced_open }",
            "1: breaker.mode: `forced_open` is not a value; use one of `auto`, `metrics_only`",
        ),
    ]);
}

#[test]
fn unbounded_concurrency_is_refused() {
    each_is_refused(&[
        ("concurrency: { limit: 0 }", "1: concurrency.limit: must be at least 1"),
        ("concurrency: { limit: 65537 }", "1: concurrency.limit: must be at most 65536"),
        ("concurrency: { queue: 65537 }", "1: concurrency.queue: must be at most 65536"),
        ("concurrency: { queueTimeout: 61s }", "1: concurrency.queueTimeout: must be at most 1m"),
        ("concurrency: { perCaller: 0 }", "1: concurrency.perCaller: must be at least 1"),
    ]);
}

#[test]
fn a_cache_that_contradicts_itself_is_refused() {
    each_is_refused(&[
        ("cache: { mode: override }", "1: cache.mode: `override` needs a `ttl`"),
        ("cache: { ttl: 1m }", "1: cache.ttl: is used only with `mode: override`"),
        ("cache: { mode: off, ttl: 1m }", "1: cache.ttl: is used only with `mode: override`"),
        ("cache: { mode: 'of' }", "1: cache.mode: `of` is not a value; did you mean `off`?"),
        ("cache: { staleWhileRevalidate: 8d }", "1: cache.staleWhileRevalidate: must be at most 7d"),
        ("cache: { shared: yes }", "1: cache.shared: must be `true` or `false`"),
        (
            "cache:\n  negative:\n  - { status: 404, ttl: 1s }\n  - { status: 404, ttl: 2s }",
            "4: cache.negative[1].status: 404 stands here twice",
        ),
        ("cache: { negative: [{ status: 404 }] }", "1: cache.negative[0].ttl: required, but not given"),
        (
            "cache: { negative: [{ status: 301, ttl: 1s }] }",
            "1: cache.negative[0].status: 301 is not the status of a failure; use one from 400 to 599",
        ),
        (
            "cache: { query: { ignore: [''] } }",
            "1: cache.query.ignore[0]: must be a text on one line, not empty",
        ),
        ("cache: { vary: ['*'] }", "1: cache.vary[0]: `*` would match no stored answer; use `mode: off`"),
        ("cache: { vary: [a b] }", "1: cache.vary[0]: `a b` is not a header name (RFC 9110 section 5.1)"),
        ("cache: { maxObject: 9MiB }", "1: cache.maxObject: must be at most 8MiB"),
        (
            "cache: { negative: [{ status: 503, ttl: 1s }] }",
            "1: cache.negative[0].status: 5xx answers are never stored",
        ),
    ]);
}

#[test]
fn a_fallback_that_cannot_answer_is_refused() {
    let long_body = format!("fallback: [{{ static: {{ body: '{}' }} }}]", "x".repeat(65_537));
    each_is_refused(&[
        ("fallback: [{}]", "1: fallback[0]: give exactly one of `stale`, `upstream`, `static`"),
        (
            "fallback: [{ stale: { maxAge: 1h }, upstream: { name: b } }]",
            "1: fallback[0]: give exactly one of `stale`, `upstream`, `static`",
        ),
        ("fallback: { stale: { maxAge: 1h } }", "1: fallback: must be a list"),
        ("fallback: [{ stale: {} }]", "1: fallback[0].stale.maxAge: required, but not given"),
        ("fallback: [{ stale: { maxAge: 8d } }]", "1: fallback[0].stale.maxAge: must be at most 7d"),
        (
            "cache: { mode: off }\nfallback: [{ stale: { maxAge: 1h } }]",
            "2: fallback[0].stale: can never answer with `cache.mode: off`, which stores nothing",
        ),
        (
            "fallback: [{ upstream: { name: A } }]",
            "1: fallback[0].upstream.name: may have only a-z, 0-9 and `-`, with no `-` at either end",
        ),
        (
            "fallback: [{ static: { status: 302 } }]",
            "1: fallback[0].static.status: 302 cannot be answered with; use 2xx, 4xx or 5xx",
        ),
        (
            "fallback: [{ static: { status: 101 } }]",
            "1: fallback[0].static.status: 101 cannot be answered with; use 2xx, 4xx or 5xx",
        ),
        (
            "fallback: [{ static: { status: 204, body: a } }]",
            "1: fallback[0].static.body: status 204 has no body (RFC 9110 section 15.3)",
        ),
        (
            "fallback: [{ static: { body: {} } }]",
            "1: fallback[0].static.body: must be a single value, not a mapping; quote it if it is meant as text",
        ),
        (
            "fallback: [{ static: { body: 5 } }]",
            "1: fallback[0].static.body: must be a text; put it in quotes",
        ),
        (
            "fallback: [{ static: { headers: { Content-Length: '3' } } }]",
            "1: fallback[0].static.headers.Content-Length: `content-length` belongs to the connection or to Levee; \
             a policy cannot change it",
        ),
        (&long_body, "1: fallback[0].static.body: is 65537 bytes long; at most 64KiB are allowed"),
        (
            "fallback:\n- static: {}\n- stale: { maxAge: 1h }",
            "3: fallback[1]: is never reached: the static step before it always answers",
        ),
        ("fallbackOn: [timeout]", "1: fallbackOn: has no effect without a `fallback`"),
        ("fallbackStatuses: [500]", "1: fallbackStatuses: has no effect without a `fallback`"),
        (
            "fallback: [{ static: {} }]\nfallbackOn: [time_out]",
            "2: fallbackOn[0]: `time_out` is not a value; did you mean `timeout`?",
        ),
    ]);
}

#[test]
fn headers_that_are_not_a_policys_to_change_are_refused() {
    for name in
        ["Host", "Connection", "TE", "Transfer-Encoding", "Upgrade", "Levee-Key", "Proxy-Authorization"]
    {
        let lower = name.to_ascii_lowercase();
        let reason = format!("`{lower}` belongs to the connection or to Levee; a policy cannot change it");
        assert_eq!(
            said(&format!("headers: {{ set: {{ {name}: a }} }}")),
            [format!("1: headers.set.{name}: {reason}")]
        );
        assert_eq!(
            said(&format!("headers: {{ remove: [{name}] }}")),
            [format!("1: headers.remove[0]: {reason}")]
        );
    }
    each_is_refused(&[
        (
            "headers: { set: { 'a b': c } }",
            "1: headers.set.a b: `a b` is not a header name (RFC 9110 section 5.1)",
        ),
        (
            "headers: { set: { a: \"b\\nc\" } }",
            "1: headers.set.a: is not a header value: visible ASCII, spaces and tabs only",
        ),
        ("headers: { set: { a: 1 } }", "1: headers.set.a: must be a text; put it in quotes"),
        (
            "headers: { set: { a: b, A: c } }",
            "1: headers.set.A: `a` is given twice; capitals make no difference",
        ),
        (
            "headers: { set: { a: b }, remove: [A] }",
            "1: headers.remove[0]: `a` is also in `set`, which replaces it already",
        ),
    ]);
}

#[test]
fn limits_and_trust_are_checked() {
    each_is_refused(&[
        ("limits: { request: 2GiB }", "1: limits.request: must be at most 1GiB"),
        ("limits: { response: 65GiB }", "1: limits.response: must be at most 64GiB"),
        (
            "tls: { ca: nothing }",
            "1: tls.ca: holds no certificate; paste the PEM with its BEGIN CERTIFICATE line",
        ),
        (
            "tls: { ca: \"-----BEGIN CERTIFICATE-----\\n!\\n-----END CERTIFICATE-----\" }",
            "1: tls.ca: is not valid PEM",
        ),
        (
            "tls: { ca: \"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\" }",
            "1: tls.ca: holds something that is not a certificate, or none to trust",
        ),
        (
            "network: { allowCidrs: [10.0.0.1] }",
            "1: network.allowCidrs[0]: `10.0.0.1` is not a range of addresses such as `10.0.0.0/8`",
        ),
        (
            "network: { allowCidrs: [10.1.2.3/8] }",
            "1: network.allowCidrs[0]: has bits after its prefix; did you mean `10.0.0.0/8`?",
        ),
        ("owner: ''", "1: owner: must be a text on one line, not empty"),
    ]);
    let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem();
    let indented = certificate.replace('\n', "\n    ");
    assert_eq!(good(&format!("tls:\n  ca: |\n    {indented}")).tls.ca.unwrap().trim(), certificate.trim());
    let plain = document("url: http://api.example.com\ntls: {}");
    assert_eq!(
        read(&plain, &Rules::default()).1[0].to_string(),
        "f.yaml:6: spec.tls: has no effect on an http url; use https"
    );
}

#[test]
fn what_is_designed_but_not_built_says_so() {
    for field in
        ["hedge", "faults", "egressProxy", "tls.clientCert", "network.service", "concurrency.adaptive"]
    {
        let fields = match field.split_once('.') {
            Some((block, field)) => format!("{block}: {{ {field}: {{}} }}"),
            None => format!("{field}: {{}}"),
        };
        let [fault] = &said(&fields)[..] else { panic!("{field}: {:?}", said(&fields)) };
        assert!(fault.starts_with(&format!("1: {field}: not supported yet: ")), "{fault}");
    }
    let [fault] = &said("fallback: [{ delivery: {} }]")[..] else { panic!("one fault") };
    assert!(fault.starts_with("1: fallback[0].delivery: not supported yet: "), "{fault}");
}
