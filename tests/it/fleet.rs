//! Replicas that share limits through Redis: together, with Redis gone, and when it goes in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::client::{self, Answer};
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Misbehaving, Reply};
use crate::support::redis::{Fault, FaultProxy, RedisServer};
use crate::support::until::until;

/// Quotas of the fleet.
mod quotas;
/// The control plane's rate limits.
mod rate_limits;
/// Who lives.
mod replicas;
/// The tokens themselves.
mod tokens;

/// Nothing that is waited for here takes longer.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// Neither cached nor coalesced nor tried again: one call is one request.
const PLAIN: &str = "cache: { mode: off }, retry: { attempts: 1 }";

/// The document of an upstream `api` with these fields.
pub(super) fn document(server: &Misbehaving, fields: &str) -> String {
    let url = server.url();
    format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: api }}\nspec: {{ url: '{url}', {PLAIN}, {fields} }}\n"
    )
}

/// So many replicas before one upstream, over the Redis at this URL. They know of each other.
pub(super) async fn replicas(count: usize, document: &str, redis: &str) -> Vec<TestApp> {
    let mut apps = Vec::new();
    for _ in 0..count {
        apps.push(TestApp::with(document).env("LEVEE_REDIS_URL", redis).start().await);
    }
    for app in &apps {
        until("all know of each other", SOON, async || {
            app.metric("levee_replicas").await == Some(count as f64)
        })
        .await;
    }
    apps
}

async fn get(app: &TestApp, path: &str) -> Answer {
    app.get(&format!("/proxy/api{path}")).await
}

/// The end of a problem's type; empty where Levee did not refuse.
fn problem(answer: &Answer) -> String {
    if answer.header("content-type") != "application/problem+json" {
        return String::new();
    }
    answer.json()["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

pub(super) async fn degraded(app: &TestApp) -> bool {
    app.metric("levee_quota_degraded{upstream=\"api\",operation=\"\"}").await == Some(1.0)
}

/// Callers who ask for `/ok` over and over.
pub(super) struct Callers {
    running: JoinSet<usize>,
    over: Arc<AtomicBool>,
}

impl Callers {
    /// So many at each replica, each with a pause between its calls.
    pub(super) fn begin(apps: &[TestApp], each: usize, pause: Duration) -> Self {
        let (mut running, over) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for address in apps.iter().flat_map(|app| std::iter::repeat_n(app.data, each)) {
            let over = Arc::clone(&over);
            running.spawn(async move {
                let mut calls = 0;
                while !over.load(Ordering::Relaxed) {
                    let answer = client::get(address, "/proxy/api/ok").await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    calls += 1;
                    tokio::time::sleep(pause).await;
                }
                calls
            });
        }
        Self { running, over }
    }

    /// Ends them; answers with their calls, of which every one was answered well.
    pub(super) async fn end(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.running.join_all().await.into_iter().sum()
    }
}
