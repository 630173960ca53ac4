//! The rows of the Kubernetes API: upstreams, credentials and keys that came from it stay.

use super::*;
use crate::support::client;
use crate::support::cluster::FakeCluster;

const UP: &str = r#"levee_dependency_up{dependency="kubernetes"}"#;

/// What is there before the API server goes: two upstreams of the API, and one of the cluster with a credential out of a
/// Secret.
struct Before {
    server: Misbehaving,
    cluster: FakeCluster,
    deployment: Deployment,
    replica: Replica,
    admin: Api,
    key: String,
}

async fn before() -> Before {
    let (server, cluster) = (Misbehaving::start().await, FakeCluster::start().await);
    keepable(&server);
    let mut deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    let kubeconfig = deployment.path("kubeconfig");
    cluster.write_kubeconfig(&kubeconfig);
    for (name, value) in [
        ("KUBECONFIG", kubeconfig),
        ("LEVEE_KUBERNETES", "on".to_owned()),
        ("LEVEE_KUBERNETES_SECRET_NAMESPACES", "shop".to_owned()),
        ("LEVEE_SNAPSHOT_DIR", deployment.path("state")),
    ] {
        deployment.env(name, value);
    }
    let bound = json!({ "levee.dev/origin": server.url(), "levee.dev/header": "x-api-key, authorization" });
    cluster.put_secret("shop", "rates", ("token", "out-of-the-secret"), &bound);
    cluster.apply("shop", "rates", with_a_secret(&server.url()));
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    register_both(&admin, &server.url()).await;
    let key = admin.key("caller").await;
    Before { server, cluster, deployment, replica, admin, key }
}

fn with_a_secret(url: &str) -> Value {
    json!({
        "url": url,
        "access": { "allow": ["any_authenticated"] },
        "retry": { "attempts": 1 },
        "cache": { "mode": "off" },
        "credentials": {
            "header": { "name": "x-api-key", "value": "{secret}" },
            "secretRef": { "name": "rates", "key": "token" },
        },
    })
}

/// Upstreams of the API and of the cluster are called, the latter with its credential.
async fn calls_as_ever(replica: &Replica, key: &str, server: &Misbehaving) {
    assert_eq!(client::get(replica.ops, "/readyz").await.status, 200);
    assert_eq!(replica.call(key, "/proxy/plain/ok").await.status, 200, "calls");
    assert_eq!(
        replica.call(key, "/proxy/shop.rates/ok").await.status,
        200,
        "calls to the cluster's upstreams"
    );
    let last = server.received().pop().unwrap();
    assert_eq!(last.header("x-api-key").as_deref(), Some("out-of-the-secret"));
}

#[tokio::test]
async fn while_running() {
    let Before { server, cluster, deployment: _deployment, replica, admin, key } = before().await;
    until("the cluster's upstream is there", SOON, async || {
        replica.call(&key, "/proxy/shop.rates/ok").await.status == 200
    })
    .await;
    assert_eq!(replica.call(&key, "/proxy/kept/kept").await.header("levee-answer"), "upstream");
    cluster.go_down();
    until("it is told", SOON, async || replica.metric(UP).await == Some(0.0)).await;
    calls_as_ever(&replica, &key, &server).await;
    assert_eq!(replica.call(&key, "/proxy/kept/kept").await.header("levee-answer"), "cache", "cached calls");
    control_plane_as_ever(&replica, &admin).await;
}

#[tokio::test]
async fn at_start_with_a_snapshot() {
    let Before { server, cluster, deployment, replica, admin, key } = before().await;
    until("the cluster's upstream is there", SOON, async || {
        replica.call(&key, "/proxy/shop.rates/ok").await.status == 200
    })
    .await;
    until("all is on disk", SOON, async || replica.status().await["snapshot"]["wholeOnDisk"] == true).await;
    replica.stop().await;
    cluster.go_down();
    let replica = deployment.replica().await;
    calls_as_ever(&replica, &key, &server).await;
    for answered_by in ["upstream", "cache"] {
        let answer = replica.call(&key, "/proxy/kept/kept").await;
        assert_eq!(answer.header("levee-answer"), answered_by, "memory begins empty, and keeps again");
    }
    control_plane_as_ever(&replica, &admin.at(&replica)).await;
    assert_eq!(replica.metric(UP).await, Some(0.0));
}
