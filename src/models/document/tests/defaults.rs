//! What is filled in where nothing is given, and how it bends to what is.

use std::time::Duration;

use http::{Method, StatusCode};

use super::*;
use crate::models::policy::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn gateway_statuses() -> Vec<StatusCode> {
    [502, 503, 504].map(|status| StatusCode::from_u16(status).unwrap()).to_vec()
}

fn attempt_causes() -> Vec<Cause> {
    vec![Cause::ConnectFailure, Cause::Reset, Cause::Timeout]
}

fn default_retry() -> Retry {
    Retry {
        attempts: 3,
        on: attempt_causes(),
        statuses: gateway_statuses(),
        methods: RetryMethods::Idempotent,
        idempotency_key_honoured: false,
        base: Duration::from_millis(50),
        cap: seconds(2),
        throttled_base: seconds(1),
        budget_percent: 20.0,
        budget_min_per_second: 3.0,
        budget_window: seconds(10),
        max_body: 64 << 10,
    }
}

fn default_breaker() -> Breaker {
    Breaker {
        window: Window::Duration(seconds(30)),
        minimum_calls: 20,
        failure_rate: 0.5,
        fail_on: attempt_causes(),
        fail_statuses: gateway_statuses(),
        consecutive_failures: 5,
        slow_call: None,
        open_base: seconds(5),
        open_cap: seconds(60),
        probes: 3,
        mode: BreakerMode::Auto,
        adopt: false,
    }
}

#[test]
fn a_document_with_only_a_url_gets_the_defaults_of_the_table() {
    let upstream = good("");
    assert_eq!((upstream.name.as_str(), upstream.origin.as_str()), ("rates", "f.yaml:1"));
    assert_eq!((upstream.owner, upstream.allow_cidrs, upstream.tls.ca), (None, None, None));
    let expected = Policy {
        timeout: Timeouts {
            total: seconds(30),
            attempt: None,
            connect: seconds(1),
            idle_body: seconds(30),
            body: None,
        },
        retry: default_retry(),
        breaker: default_breaker(),
        concurrency: Concurrency {
            limit: 256,
            queue: 256,
            queue_timeout: Duration::from_millis(100),
            per_caller: 64,
        },
        quota: None,
        cache: Cache {
            mode: CacheMode::Respect,
            ttl: None,
            stale_while_revalidate: None,
            shared: false,
            negative: vec![],
            query_ignore: vec![],
            query_sort: false,
            vary: vec![],
            max_object: 1 << 20,
            tags: Vec::new(),
        },
        fallback: Fallback {
            steps: vec![],
            on: vec![
                Cause::CircuitOpen,
                Cause::Timeout,
                Cause::ConnectFailure,
                Cause::Reset,
                Cause::QuotaExhausted,
                Cause::Overloaded,
            ],
            statuses: gateway_statuses(),
        },
        headers: HeaderRules::default(),
        limits: Limits { request: 10 << 20, response: None },
    };
    assert_eq!(upstream.policy, expected);
}

#[test]
fn defaults_bend_to_what_is_given() {
    let connect = |fields: &str| good(fields).policy.timeout.connect;
    assert_eq!(connect("timeout: { total: 500ms }"), Duration::from_millis(500));
    assert_eq!(connect("timeout: { attempt: 200ms }"), Duration::from_millis(200));
    let breaker = |fields: &str| good(fields).policy.breaker;
    assert_eq!(breaker("timeout: { total: 60s, attempt: 40s }").window, Window::Duration(seconds(80)));
    assert_eq!(breaker("timeout: { total: 60s }").window, Window::Duration(seconds(30)));
    assert_eq!(
        breaker("timeout: { total: 60s }\nretry: { attempts: 1 }").window,
        Window::Duration(seconds(120)),
        "an attempt that is not retried may take the total"
    );
    assert_eq!(breaker("timeout: { total: 1h, attempt: 30m }").window, Window::Duration(seconds(600)));
    assert_eq!(breaker("breaker: { window: { calls: 10 } }").minimum_calls, 10);
    assert_eq!(breaker("breaker: { open: { base: 2m } }").open_cap, seconds(120));
    assert_eq!(breaker("breaker: { open: { cap: 2s } }").open_base, seconds(2));
    let retry = |fields: &str| good(fields).policy.retry;
    assert_eq!(retry("retry: { backoff: { base: 5s } }").cap, seconds(5));
    assert_eq!(retry("retry: { backoff: { cap: 20ms } }").base, Duration::from_millis(20));
    assert_eq!(retry("retry: { backoff: { cap: 200ms } }").throttled_base, Duration::from_millis(200));
    assert_eq!(retry("limits: { request: 1KiB }").max_body, 1024);
    let quota = good("quota: { rate: 1/s }").policy.quota.unwrap();
    assert_eq!((quota.scope, quota.on_exhausted), (Scope::Fleet, OnExhausted::Wait));
    assert_eq!(quota.on_store_loss, OnStoreLoss::LocalShare);
    let burst = |rate: &str| good(&format!("quota: {{ rate: {rate} }}")).policy.quota.unwrap().burst;
    assert_eq!(["5/s", "100/s", "1000000/s", "1/d", "36001/h"].map(burst), [1, 10, 100_000, 1, 2]);
}

#[test]
fn every_given_field_arrives() {
    let upstream = good(
        "owner: team\n\
         timeout: { total: 10s, attempt: 3s, connect: 500ms, idleBody: 1m, body: 1h }\n\
         retry: { attempts: 5, on: [reset], statuses: [429], methods: [GET, POST], idempotencyKey: honoured,\n\
         \x20 backoff: { base: 1s, cap: 4s, throttledBase: 2s }, budget: { percent: 12.5, minPerSecond: 0.5, window: 1m }, maxBody: 1MiB }\n\
         breaker: { window: { calls: 50 }, minimumCalls: 7, failureRate: 0.25, failOn: [timeout], failStatuses: [500],\n\
         \x20 consecutiveFailures: 0, slowCall: { threshold: 2s, rate: 1 }, open: { base: 1s, cap: 9s }, halfOpen: { probes: 9 }, mode: metrics_only }\n\
         concurrency: { limit: 1, queue: 0, queueTimeout: 1s, perCaller: 2 }\n\
         quota: { rate: 600/m, burst: 7, scope: fleet, onExhausted: reject, onStoreLoss: closed }\n\
         cache: { mode: override, ttl: 60s, staleWhileRevalidate: 0s, shared: true, negative: [{ status: 404, ttl: 10s }],\n\
         \x20 query: { ignore: [a], sort: true }, vary: [Accept-Language], maxObject: 2MiB }\n\
         fallback: [{ upstream: { name: backup } }, { stale: { maxAge: 7d } }, { static: { status: 418, headers: { X-A: b }, body: '{}' } }]\n\
         fallbackOn: [overloaded]\nfallbackStatuses: [500]\n\
         headers: { set: { X-Team: a }, remove: [Cookie] }\nlimits: { request: 2MiB, response: 1GiB }",
    );
    let Policy { timeout, retry, breaker, concurrency, quota, cache, fallback, headers, limits } =
        upstream.policy;
    assert_eq!(timeout.body, Some(seconds(3600)));
    assert_eq!((timeout.attempt, timeout.idle_body), (Some(seconds(3)), seconds(60)));
    assert_eq!((retry.attempts, retry.on, retry.max_body), (5, vec![Cause::Reset], 1 << 20));
    assert_eq!(retry.methods, RetryMethods::Listed(vec![Method::GET, Method::POST]));
    assert_eq!((retry.budget_percent, retry.budget_min_per_second), (12.5, 0.5));
    assert_eq!((retry.base, retry.cap, retry.throttled_base), (seconds(1), seconds(4), seconds(2)));
    assert_eq!((breaker.window, breaker.minimum_calls, breaker.probes), (Window::Calls(50), 7, 9));
    assert_eq!(breaker.slow_call, Some(SlowCall { threshold: seconds(2), rate: 1.0 }));
    assert_eq!((breaker.consecutive_failures, breaker.mode), (0, BreakerMode::MetricsOnly));
    assert_eq!((concurrency.limit, concurrency.queue, concurrency.per_caller), (1, 0, 2));
    let (rate, on_exhausted) = (Rate { count: 600, per: seconds(60) }, OnExhausted::Reject);
    let (scope, on_store_loss) = (Scope::Fleet, OnStoreLoss::Closed);
    assert_eq!(quota, Some(Quota { rate, burst: 7, scope, on_exhausted, on_store_loss }));
    assert_eq!((cache.ttl, cache.stale_while_revalidate), (Some(seconds(60)), Some(Duration::ZERO)));
    assert_eq!((cache.shared, cache.query_sort, cache.vary[0].as_str()), (true, true, "accept-language"));
    assert_eq!(cache.negative, [NegativeAnswer { status: StatusCode::NOT_FOUND, ttl: seconds(10) }]);
    let [
        FallbackStep::Upstream { name },
        FallbackStep::Stale { .. },
        FallbackStep::Static { status, body, .. },
    ] = &fallback.steps[..]
    else {
        panic!("{:?}", fallback.steps)
    };
    assert_eq!((name.as_str(), status.as_u16(), &body[..]), ("backup", 418, &b"{}"[..]));
    assert_eq!((fallback.on, fallback.statuses[0].as_u16()), (vec![Cause::Overloaded], 500));
    assert_eq!((headers.set.len(), headers.remove[0].as_str()), (1, "cookie"));
    assert_eq!((limits.request, limits.response), (2 << 20, Some(1 << 30)));
}
