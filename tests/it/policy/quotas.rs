//! Quotas: what the upstream gets in a while, who waits, who is refused, and the pauses it asks for.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::time::{Duration, Instant};

use super::*;

/// Never fills up within a test.
const TWO: &str = "quota: { rate: 2/h, burst: 2, onExhausted: reject }\n";
/// Never runs out within a test, and shows one token missing.
const FIVE: &str = "quota: { rate: 1/h, burst: 5, onExhausted: reject }\n";

async fn quota(app: &TestApp, metric: &str) -> f64 {
    app.metric(&format!("levee_quota_{metric}{{upstream=\"api\",operation=\"\"}}")).await.unwrap()
}

async fn takes(app: &TestApp, result: &str) -> f64 {
    app.metric(&format!("levee_quota_takes_total{{upstream=\"api\",result=\"{result}\"}}")).await.unwrap()
}

#[tokio::test]
async fn a_used_up_quota_refuses_and_says_when_to_come_back() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &format!("{PLAIN}{TWO}")).await;
    for left in [1.0, 0.0] {
        assert_eq!(get(&app, "/ok").await.status, 200);
        assert_eq!(quota(&app, "remaining").await, left);
    }
    let refused = get(&app, "/ok").await;
    assert_eq!((refused.status.as_u16(), problem(&refused).as_str()), (503, "quota-exhausted"));
    let after: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1780..=1800).contains(&after), "{after}");
    assert_eq!((refused.header("levee-answer"), refused.header("levee-attempts")), ("levee", "0"));
    assert_eq!(refused.header("proxy-status"), "levee; error=http_request_denied; next-hop=\"api\"");
    assert_eq!(server.seen("/ok"), 2);
    assert_eq!(window(&app).await, (2, 0), "a refusal of ours is not the upstream's failure");
    assert_eq!((takes(&app, "at_once").await, takes(&app, "refused").await), (2.0, 1.0));
    let status: Value = client::get(app.ops, "/status").await.json();
    let api = status["upstreams"].as_array().unwrap().iter().find(|one| one["name"] == "api").unwrap();
    let expected = serde_json::json!({ "operation": null, "tokens": "replica", "remaining": 0, "waiting": 0, "pausedForSeconds": 0 });
    assert_eq!(api["quotas"], serde_json::json!([expected]));
}

#[tokio::test]
async fn who_waits_gets_through_at_the_rate() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &format!("{PLAIN}quota: {{ rate: 20/s, burst: 1 }}\n")).await;
    let started = Instant::now();
    let data = app.data;
    let answers = client::burst(21, |_| client::get(data, "/proxy/api/ok")).await;
    let took = started.elapsed();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert!(took >= Duration::from_secs(1), "the last of 21 has to wait a second: {took:?}");
    assert_eq!(server.seen("/ok"), 21);
    assert_eq!((takes(&app, "at_once").await, takes(&app, "waited").await), (1.0, 20.0));
    assert_eq!(quota(&app, "waiting").await, 0.0);
}

#[tokio::test]
async fn nobody_waits_longer_than_its_call_has() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &format!("{PLAIN}quota: {{ rate: 1/h }}\n")).await;
    assert_eq!(get(&app, "/ok").await.status, 200);
    let started = Instant::now();
    assert_eq!(problem(&get_with(&app, "/ok", "levee-timeout", "20s").await), "quota-exhausted");
    assert!(started.elapsed() < Duration::from_secs(5), "it is known at once that it would wait in vain");
    assert_eq!(server.seen("/ok"), 1);
}

#[tokio::test]
async fn what_is_refused_elsewhere_burns_no_token() {
    let server = Misbehaving::start().await;
    let trips = "breaker: { minimumCalls: 1, failureRate: 1.0, open: { base: 1h, cap: 1h } }\n";
    let app = levee_before(&server, &format!("{PLAIN}{trips}{FIVE}")).await;
    get(&app, "/status/503").await;
    assert_eq!(problem(&get(&app, "/ok").await), "circuit-open");
    assert_eq!(quota(&app, "remaining").await, 4.0, "an open circuit burns none");

    let full = "concurrency: { limit: 1, queue: 0 }\n";
    let app = levee_before(&server, &format!("{PLAIN}{full}{FIVE}")).await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok(""))]);
    let _seated = begin(&app, "/held").await;
    until("the seat is taken", SOON, async || gate.waiting() == 1).await;
    assert_eq!(problem(&get(&app, "/ok").await), "overloaded");
    assert_eq!(quota(&app, "remaining").await, 4.0, "without a seat it is given back");
}

#[tokio::test]
async fn retries_take_tokens_and_the_last_real_answer_counts_when_none_is_left() {
    let server = Misbehaving::start().await;
    let retrying = "cache: { mode: off }\nretry: { attempts: 5, backoff: { base: 1ms, cap: 1ms } }\n";
    let app = levee_before(&server, &format!("{retrying}{TWO}")).await;
    let answer = get(&app, "/status/502").await;
    assert_eq!((answer.status.as_u16(), answer.header("levee-answer")), (502, "upstream"));
    assert_eq!((answer.header("levee-attempts"), server.seen("/status/502")), ("2", 2));
}

#[tokio::test]
async fn a_pause_the_upstream_asks_for_holds_for_all_calls_and_ends() {
    let server = Misbehaving::start().await;
    let rate = "quota: { rate: 1000/s, onExhausted: reject }\n";
    server.script("/refusing", [Reply::status(429).header("Retry-After", "2").into()]);
    server.script("/limited", [Reply::ok("last").header("RateLimit", "\"default\";r=0;t=2").into()]);
    server.script(
        "/older",
        [Reply::ok("last").header("X-RateLimit-Remaining", "0").header("X-RateLimit-Reset", "2").into()],
    );
    for (path, status) in [("/refusing", 429), ("/limited", 200), ("/older", 200)] {
        let app = levee_before(&server, &format!("{PLAIN}{rate}")).await;
        let seen = server.seen("/ok");
        let answer = get(&app, path).await;
        assert_eq!((answer.status.as_u16(), answer.header("levee-answer")), (status, "upstream"));
        let refused = get(&app, "/ok").await;
        assert_eq!(problem(&refused), "quota-exhausted", "{path}");
        assert!(["1", "2"].contains(&refused.header("retry-after")), "{path}");
        assert!(quota(&app, "pause_seconds").await > 0.0 && quota(&app, "remaining").await == 0.0);
        assert_eq!(server.seen("/ok"), seen, "nothing was sent");
        assert_eq!(window(&app).await, (1, 0), "429 is no failure");
        until("the pause is over", SOON, async || get(&app, "/ok").await.status == 200).await;
        assert_eq!(quota(&app, "pause_seconds").await, 0.0);
    }
}

#[tokio::test]
async fn who_waits_sits_a_pause_out() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &format!("{PLAIN}quota: {{ rate: 1000/s }}\n")).await;
    server.script("/refusing", [Reply::status(503).header("Retry-After", "1").into()]);
    get(&app, "/refusing").await;
    let started = Instant::now();
    assert_eq!(get(&app, "/ok").await.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    assert_eq!(takes(&app, "waited").await, 1.0);
}

#[tokio::test]
async fn without_a_quota_nothing_is_paused() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, PLAIN).await;
    server.script("/refusing", [Reply::status(429).header("Retry-After", "60").into()]);
    assert_eq!(get(&app, "/refusing").await.status, 429);
    assert_eq!(get(&app, "/ok").await.status, 200);
    assert_eq!(app.metric("levee_quota_remaining{upstream=\"api\",operation=\"\"}").await, None);
}

#[tokio::test]
async fn operations_share_the_quota_unless_they_have_one_of_their_own() {
    let server = Misbehaving::start().await;
    let sharing = "{ name: sharing, match: { path: '/ok/sharing' }, timeout: { total: 10m } }";
    let own = "{ name: own, match: { path: '/ok/own' }, quota: { rate: 1/h, onExhausted: reject } }";
    let app = levee_before(&server, &format!("{PLAIN}{TWO}operations: [{sharing}, {own}]\n")).await;
    assert_eq!(get(&app, "/ok/sharing").await.status, 200);
    assert_eq!(get(&app, "/ok").await.status, 200);
    assert_eq!(problem(&get(&app, "/ok/sharing").await), "quota-exhausted");
    assert_eq!(get(&app, "/ok/own").await.status, 200);
    assert_eq!(problem(&get(&app, "/ok/own").await), "quota-exhausted");
    let own = "levee_quota_remaining{upstream=\"api\",operation=\"own\"}";
    assert_eq!(app.metric(own).await, Some(0.0));
}

#[tokio::test]
async fn an_edit_of_something_else_refills_nothing() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &format!("{PLAIN}{FIVE}")).await;
    get(&app, "/ok").await;
    app.rewrite_upstreams(&document("api", &server.url(), &format!("{PLAIN}{FIVE}owner: team\n")));
    until("the edit is in force", SOON, async || {
        app.metric("levee_upstream_file_loads_total").await == Some(2.0)
    })
    .await;
    assert_eq!(quota(&app, "remaining").await, 4.0);
}
