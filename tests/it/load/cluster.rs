//! A thousand Upstreams of a cluster: what they cost in memory, and how soon a change is in force.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::cluster::FakeCluster;
use crate::support::control::Deployment;
use crate::support::misbehaving::Misbehaving;
use crate::support::until::until;
use crate::upstreams_api::spec;

/// What they may add to a process of an unoptimised build.
const MOST: u64 = 60 * 1024 * 1024;

#[tokio::test]
async fn a_thousand_upstreams_fit_and_a_change_is_in_force_within_a_second() {
    let (cluster, server) = (FakeCluster::start().await, Misbehaving::start().await);
    let mut deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    let config = deployment.path("kubeconfig");
    cluster.write_kubeconfig(&config);
    deployment.env("KUBECONFIG", config);
    deployment.env("LEVEE_KUBERNETES", "on");
    let replica = deployment.replica().await;
    let key = replica.admin().await.key("caller").await;
    let empty = replica.resident_memory();
    for number in 0..1000 {
        let mut one = spec(&server.url());
        one["owner"] = json!(format!("team-{number}"));
        cluster.apply("shop", &format!("upstream-{number}"), one);
    }
    until("all are in force", Duration::from_secs(60), async || {
        replica.call(&key, "/proxy/shop.upstream-999/ok").await.status == 200
    })
    .await;
    until("all are answered", Duration::from_secs(60), async || {
        (0..1000)
            .all(|number| !cluster.condition("shop", &format!("upstream-{number}"), "Accepted").is_empty())
    })
    .await;
    let full = replica.resident_memory();
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        let name = format!("late-{round}");
        let began = Instant::now();
        cluster.apply("shop", &name, spec(&server.url()));
        until("it is in force", Duration::from_secs(10), async || {
            replica.call(&key, &format!("/proxy/shop.{name}/ok")).await.status == 200
        })
        .await;
        slowest = slowest.max(began.elapsed());
    }
    println!(
        "a thousand Upstreams: {} MiB on top of {} MiB; a change is in force after at most {slowest:?}",
        (full - empty) / (1024 * 1024),
        empty / (1024 * 1024),
    );
    assert!(full - empty < MOST, "{} bytes more", full - empty);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}
