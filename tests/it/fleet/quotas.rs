//! Quotas of the fleet.

use std::time::Instant;

use super::*;

async fn asks(app: &TestApp, result: &str) -> f64 {
    app.metric(&format!("levee_quota_asks_total{{upstream=\"api\",result=\"{result}\"}}")).await.unwrap()
}

/// Waits until so many more requests have arrived.
async fn until_seen(server: &Misbehaving, more: usize) {
    let before = server.seen("/ok");
    until("calls go on", SOON, async || server.seen("/ok") >= before + more).await;
}

#[tokio::test]
async fn a_redis_that_dies_and_returns_adds_no_refusal() {
    let (server, mut redis) = (Misbehaving::start().await, RedisServer::start().await);
    // What a replica took of its share while Redis was coming back is paid back from the burst, so it must have room.
    let quota = "quota: { rate: 600/s, burst: 200, onExhausted: reject }";
    let apps = replicas(2, &document(&server, quota), &redis.url()).await;
    // 40 a second, well below the rate and below each share.
    let callers = Callers::begin(&apps, 2, Duration::from_millis(100));
    until_seen(&server, 20).await;
    redis.stop();
    for app in &apps {
        until("it goes by its share", SOON, async || degraded(app).await).await;
    }
    until_seen(&server, 40).await;
    redis.start_again().await;
    for app in &apps {
        until("it asks Redis again", SOON, async || !degraded(app).await).await;
    }
    until_seen(&server, 20).await;
    assert!(callers.end().await > 60);
}

#[tokio::test]
async fn without_redis_the_policy_says_what_passes() {
    let (server, redis) = (Misbehaving::start().await, RedisServer::stopped(&[]));
    for (on_loss, expected) in [
        ("open", ["", "", ""]),
        ("local_share", ["", "quota-exhausted", "quota-exhausted"]),
        ("closed", ["quota-exhausted"; 3]),
    ] {
        let quota = format!("quota: {{ rate: 1/h, onExhausted: reject, onStoreLoss: {on_loss} }}");
        let app = TestApp::with(document(&server, &quota)).env("LEVEE_REDIS_URL", redis.url()).start().await;
        for expected in expected {
            assert_eq!(problem(&get(&app, "/ok").await), expected, "{on_loss}");
        }
        assert!(degraded(&app).await, "{on_loss}");
        let status = app.status().await;
        let api = status["upstreams"].as_array().unwrap().iter().find(|one| one["name"] == "api").unwrap();
        assert_eq!(api["quotas"][0]["tokens"], on_loss);
    }
}

#[tokio::test]
async fn few_calls_ask_redis() {
    let (server, redis) = (Misbehaving::start().await, RedisServer::start().await);
    let apps = replicas(1, &document(&server, "quota: { rate: 10000/s }"), &redis.url()).await;
    let callers = Callers::begin(&apps, 16, Duration::ZERO);
    until_seen(&server, 1000).await;
    let calls = callers.end().await as f64;
    let (given, none) = (asks(&apps[0], "given").await, asks(&apps[0], "none").await);
    assert!(given + none < calls / 5.0, "{given} and {none} questions for {calls} calls");
}

#[tokio::test]
async fn a_redis_that_does_not_answer_holds_no_call_up() {
    let (server, redis) = (Misbehaving::start().await, RedisServer::start().await);
    let proxy = FaultProxy::in_front_of(redis.address);
    let apps =
        replicas(1, &document(&server, "quota: { rate: 1000/s, onExhausted: reject }"), &proxy.url()).await;
    for fault in [Fault::Reset, Fault::Slow(Duration::from_millis(300)), Fault::BlackHole] {
        proxy.set(fault);
        let mut slowest = Duration::ZERO;
        for _ in 0..50 {
            let began = Instant::now();
            assert_eq!(get(&apps[0], "/ok").await.status, 200, "{fault:?}");
            slowest = slowest.max(began.elapsed());
        }
        // 8 ms of it at most are Redis's; the rest is a busy machine's.
        assert!(slowest < Duration::from_millis(250), "{fault:?}: {slowest:?}");
        if fault == Fault::Reset {
            proxy.set(Fault::Pass);
            until("Redis is asked again", SOON, async || {
                get(&apps[0], "/ok").await;
                !degraded(&apps[0]).await
            })
            .await;
        }
    }
}

#[tokio::test]
async fn what_one_replica_learns_of_the_upstreams_limit_holds_for_all() {
    let (server, redis) = (Misbehaving::start().await, RedisServer::start().await);
    server.script("/refusing", [Reply::status(429).header("Retry-After", "30").into()]);
    let apps =
        replicas(2, &document(&server, "quota: { rate: 1000/s, onExhausted: reject }"), &redis.url()).await;
    assert_eq!(get(&apps[1], "/ok").await.status, 200);
    assert_eq!(get(&apps[0], "/refusing").await.status, 429);
    until("the other pauses, too", SOON, async || problem(&get(&apps[1], "/ok").await) == "quota-exhausted")
        .await;
    let left = apps[1].metric("levee_quota_pause_seconds{upstream=\"api\",operation=\"\"}").await.unwrap();
    assert!(left > 10.0 && left <= 30.0, "{left}");
}
