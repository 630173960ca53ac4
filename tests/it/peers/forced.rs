//! A mode that a person forced, with both things that replicas share going away: it travels by the database, needs no Redis, and
//! stays in force.

use std::time::{Duration, Instant};

use serde_json::json;

use super::SOON;
use crate::support::control::Deployment;
use crate::support::misbehaving::Misbehaving;
use crate::support::postgres::Cluster;
use crate::support::redis::RedisServer;
use crate::support::until::until;
use crate::upstreams_api::{register, spec};

const BREAKER: &str = "/api/v1/breakers/rates";

#[tokio::test]
async fn a_forced_mode_reaches_all_without_redis_and_holds_without_the_database_and_over_a_restart() {
    let (mut redis, mut cluster, server) =
        (RedisServer::start().await, Cluster::start().await, Misbehaving::start().await);
    let mut deployment = Deployment::on_postgres(cluster.url());
    deployment.migrate().await;
    deployment.env("LEVEE_SNAPSHOT_DIR", deployment.path("kept"));
    deployment.env("LEVEE_REDIS_URL", redis.url());
    let (one, two) = (deployment.replica().await, deployment.replica().await);
    let admin = one.admin().await;
    let key = admin.key("caller").await;
    register(&admin, "rates", spec(&server.url())).await;
    until("it is known there", SOON, async || two.call(&key, "/proxy/rates/ok").await.status == 200).await;
    redis.stop();
    let decision = json!({ "mode": "forced_open", "reason": "game day", "expiresIn": "never" });
    let forced = admin.put(BREAKER, decision).await;
    assert_eq!(forced.status, 200, "{}", forced.text());
    let decided = Instant::now();
    until("it counts there", SOON, async || two.call(&key, "/proxy/rates/ok").await.status == 503).await;
    assert!(decided.elapsed() < Duration::from_secs(1), "{:?}", decided.elapsed());
    let asked = server.seen("/ok");
    let revision = two.status().await["snapshot"]["revision"].as_u64();
    until("it is kept on disk", SOON, async || two.status().await["snapshot"]["onDisk"].as_u64() >= revision)
        .await;
    two.stop().await;
    let two = deployment.replica().await;
    assert_eq!(two.call(&key, "/proxy/rates/ok").await.status, 503, "it holds over a restart");
    cluster.stop().await;
    for replica in [&one, &two] {
        assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 503);
    }
    one.stop().await;
    two.stop().await;
    let again = deployment.replica().await;
    assert_eq!(again.status().await["snapshot"]["fromDisk"], true);
    assert_eq!(again.call(&key, "/proxy/rates/ok").await.status, 503);
    assert_eq!(server.seen("/ok"), asked, "the upstream is asked nothing more");
}
