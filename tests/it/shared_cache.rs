//! Two replicas over one Redis: what one has fetched another answers with, and what is purged on one is purged on all.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::client::{self, Answer};
use crate::support::control::K1;
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Misbehaving, Reply};
use crate::support::redis::RedisServer;
use crate::support::until::until;

/// Answers in Redis.
mod level;
/// Redis is away, and comes back with less than it had.
mod outage;
/// Purges.
mod purging;
/// One refresh for all.
mod refresh;
/// One fetch for all.
mod together;

/// Nothing that is waited for here takes longer.
const SOON: Duration = Duration::from_secs(20);

/// Replicas of `levee dev` that share a key ring and a Redis, before one upstream.
struct Fleet {
    upstream: Misbehaving,
    replicas: Vec<TestApp>,
}

impl Fleet {
    /// Two of them, in step with the log.
    async fn over(redis: &str) -> Self {
        Self::over_each(&[redis, redis]).await
    }

    /// One for each way to Redis.
    async fn over_each(ways: &[&str]) -> Self {
        let upstream = Misbehaving::start().await;
        let document = format!(
            "---\napiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: up }}\nspec:\n  url: {}\n",
            upstream.url()
        );
        let mut replicas = Vec::new();
        for way in ways {
            let app = TestApp::with(document.as_str()).env("LEVEE_SECRET_KEYS", K1);
            replicas.push(app.env("LEVEE_REDIS_URL", *way).start().await);
        }
        let fleet = Self { upstream, replicas };
        for replica in &fleet.replicas {
            in_step(replica).await;
        }
        fleet
    }

    fn pair(&self) -> (&TestApp, &TestApp) {
        (&self.replicas[0], &self.replicas[1])
    }
}

/// The replica knows all purges, and may read what others wrote.
async fn in_step(replica: &TestApp) {
    until("the replica is in step", SOON, async || replica.status().await["fleetCache"]["inStep"] == true)
        .await;
}

/// A call of the upstream.
async fn get(replica: &TestApp, path: &str) -> Answer {
    replica.get(&format!("/proxy/up{path}")).await
}

/// What the cache did.
fn how(answer: &Answer) -> &str {
    answer.header("cache-status")
}

fn is_hit(answer: &Answer, level: &str) -> bool {
    how(answer).starts_with("levee; hit; ttl=") && how(answer).ends_with(&format!("detail={level}"))
}

async fn count(replica: &TestApp, series: &str) -> u64 {
    replica.metric(series).await.unwrap_or_else(|| panic!("no {series}")) as u64
}

/// So many values are in Redis, written by this replica.
async fn has_written(replica: &TestApp, values: u64) {
    let stored = "levee_cache_fleet_writes_total{result=\"stored\"}";
    until("it is written", SOON, async || count(replica, stored).await >= values).await;
}

fn cacheable(directives: &str, body: &str) -> Reply {
    Reply::ok(body.to_owned()).header("Cache-Control", directives)
}

/// Purges over the API of a replica.
async fn purge(replica: &TestApp, body: Value) -> Answer {
    replica.admin().await.post("/api/v1/cache/purge", body).await
}
