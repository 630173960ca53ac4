//! Upstreams of a cluster, on the real binary: over an API server in this process that fails as a test asks, and over a
//! real one when `LEVEE_TEST_KUBECONFIG` names it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client;
use crate::support::cluster::{FakeCluster, Memory, OWN};
use crate::support::control::{Deployment, Replica};
use crate::support::misbehaving::Misbehaving;
use crate::support::postgres::Database;
use crate::support::until::until;
use crate::upstreams_api::{register, spec};

/// What is refused, and what serves on.
mod bad_input;
/// What an API server answers.
mod contract;
/// Who writes.
mod leader;
/// Over a real API server.
mod real;
/// What is asked for is what the roles give.
mod rights;
/// Credentials out of Secrets.
mod secrets;
/// From the cluster to the data plane.
mod serving;
/// What is written back.
mod status;
/// The API server goes, refuses, forgets.
mod trouble;

const SOON: Duration = Duration::from_secs(20);

/// A replica that watches a cluster, an upstream to call, and a key to call with.
struct Scene {
    cluster: FakeCluster,
    server: Misbehaving,
    deployment: Deployment,
}

impl Scene {
    /// One process at most.
    async fn on_sqlite() -> Self {
        let deployment = Deployment::on_sqlite();
        Self::over(deployment).await
    }

    async fn over(mut deployment: Deployment) -> Self {
        let cluster = FakeCluster::start().await;
        deployment.migrate().await;
        let config = deployment.path("kubeconfig");
        cluster.write_kubeconfig(&config);
        deployment.env("KUBECONFIG", config);
        deployment.env("LEVEE_KUBERNETES", "on");
        deployment.env("LEVEE_KUBERNETES_SECRET_NAMESPACES", "shop");
        Self { cluster, server: Misbehaving::start().await, deployment }
    }

    /// A document that any key may call.
    fn spec(&self) -> Value {
        spec(&self.server.url())
    }
}

/// The annotations of a Secret that may go to an origin, into the header that tests send it in.
fn may_go_to(origin: &str) -> Value {
    json!({ "levee.dev/origin": origin, "levee.dev/header": "Authorization, X-Api-Key" })
}

/// A replica with a key that may call.
async fn replica(scene: &Scene) -> (Replica, String) {
    let replica = scene.deployment.replica().await;
    let key = replica.admin().await.key("caller").await;
    (replica, key)
}

/// Waits until a call by this name is answered so.
async fn until_answered(replica: &Replica, key: &str, path: &str, status: u16) {
    until(&format!("{path} is answered with {status}"), SOON, async || {
        replica.call(key, path).await.status == status
    })
    .await;
}

/// Waits for a condition, as `status/reason`.
async fn until_condition(cluster: &FakeCluster, object: (&str, &str), kind: &str, wanted: &str) {
    let seen = || cluster.condition(object.0, object.1, kind);
    until(&format!("{object:?} is {kind} {wanted}, not {}", seen()), SOON, async || seen() == wanted).await;
}
