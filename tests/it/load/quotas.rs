//! A quota of the fleet: what three replicas send together, with Redis and without.

use std::time::{Duration, Instant};

use crate::fleet::{Callers, SOON, degraded, document, replicas};
use crate::support::misbehaving::Misbehaving;
use crate::support::redis::RedisServer;
use crate::support::until::until;

/// What the upstream may get, a second.
const RATE: f64 = 100.0;
const QUOTA: &str = "quota: { rate: 100/s, burst: 10 }";

/// Requests a second that reach the upstream, once the burst is used up.
async fn rate_of(server: &Misbehaving, span: Duration) -> f64 {
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (began, before) = (Instant::now(), server.seen("/ok"));
    tokio::time::sleep(span).await;
    let rate = (server.seen("/ok") - before) as f64 / began.elapsed().as_secs_f64();
    println!("{rate:.1} a second reach the upstream");
    rate
}

fn assert_near(rate: f64, share: f64) {
    assert!((rate - RATE).abs() <= RATE * share, "{rate} instead of {RATE}");
}

#[tokio::test]
async fn three_replicas_together_keep_to_the_rate() {
    let (server, redis) = (Misbehaving::start().await, RedisServer::start().await);
    let apps = replicas(3, &document(&server, QUOTA), &redis.url()).await;
    let callers = Callers::begin(&apps, 8, Duration::ZERO);
    // In eight seconds what a replica holds for the moment still shows.
    assert_near(rate_of(&server, Duration::from_secs(8)).await, 0.03);
    callers.end().await;
    for app in &apps {
        assert!(!degraded(app).await);
        let status = app.status().await;
        let api = status["upstreams"].as_array().unwrap().iter().find(|one| one["name"] == "api").unwrap();
        assert_eq!(api["quotas"][0]["tokens"], "fleet");
    }
}

#[tokio::test]
async fn with_redis_down_each_takes_its_share_and_nobody_is_refused() {
    let (server, mut redis) = (Misbehaving::start().await, RedisServer::start().await);
    let apps = replicas(3, &document(&server, QUOTA), &redis.url()).await;
    let callers = Callers::begin(&apps, 8, Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(1)).await;
    redis.stop();
    for app in &apps {
        until("it goes by its share", SOON, async || degraded(app).await).await;
    }
    assert_near(rate_of(&server, Duration::from_secs(4)).await, 0.1);
    redis.start_again().await;
    for app in &apps {
        until("it asks Redis again", SOON, async || !degraded(app).await).await;
    }
    assert!(callers.end().await > 500);
}
