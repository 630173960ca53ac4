//! Levee under a crowd: what one upstream suffers no other feels, and what callers leave behind is nothing.
//!
//! These measure, so nextest gives each of them the machine to itself. Latencies are only ever compared with
//! latencies of the same run.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]
#![expect(clippy::print_stdout, reason = "a measurement is worth reading when it passes, too")]

/// A thousand Upstreams of a cluster.
mod cluster;
/// Callers who leave.
mod leaving;
/// Signing in beside calls.
mod logins;
/// What a crowd of hung calls costs in memory.
mod memory;
/// One upstream's trouble and another's latency.
mod neighbours;
/// What replicas send together.
mod quotas;
/// Redis is stopped.
mod redis_gone;
/// How soon an idle process leaves.
mod stopping;

use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::client::{Connection, request};
use crate::support::levee::TestApp;
use crate::support::misbehaving::Misbehaving;
use crate::support::until::until;

/// Generous: a crowd on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Calls that hang at once.
const CROWD: usize = 1000;

/// An upstream that bears the crowd and gives no call up while a test runs.
fn patient(name: &str, server: &Misbehaving) -> String {
    format!(
        "---\napiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: {name} }}\nspec:\n  \
         url: {}\n  timeout: {{ total: 10m, attempt: 9m, connect: 1m }}\n  retry: {{ attempts: 1 }}\n  \
         concurrency: {{ limit: {CROWD}, queue: {CROWD}, queueTimeout: 30s, perCaller: {CROWD} }}\n  \
         cache: {{ mode: off }}\n",
        server.url()
    )
}

/// Callers of an upstream that hangs; dropping it makes all of them leave.
struct Crowd(#[expect(dead_code, reason = "it is held for its drop")] JoinSet<()>);

impl Crowd {
    /// Every call has reached the upstream when this returns.
    async fn gather(app: &TestApp, server: &Misbehaving) -> Self {
        let (levee, seen_before) = (app.data, server.seen("/hang"));
        let mut callers = JoinSet::new();
        for _ in 0..CROWD {
            callers.spawn(async move {
                let mut connection = Connection::open(levee).await;
                let _ = connection.begin(request("/proxy/mire/hang")).await;
            });
        }
        until("the crowd hangs", LIMIT, async || server.seen("/hang") == seen_before + CROWD).await;
        assert_eq!(in_flight(app).await, CROWD as f64);
        Self(callers)
    }

    /// They leave, and nothing of them is left.
    async fn leave(self, app: &TestApp) {
        drop(self);
        until("nothing is in flight", LIMIT, async || in_flight(app).await == 0.0).await;
    }
}

async fn in_flight(app: &TestApp) -> f64 {
    app.metric(r#"levee_inflight{upstream="mire"}"#).await.expect("every upstream has this series")
}
