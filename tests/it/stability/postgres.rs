//! The rows of PostgreSQL.

use super::*;
use crate::support::postgres::Cluster;

/// What is there before the database goes.
struct Before {
    server: Misbehaving,
    cluster: Cluster,
    deployment: Deployment,
    replica: Replica,
    admin: Api,
    refresh: String,
    key: String,
}

/// A replica with a snapshot folder, two upstreams, a caller, and somebody who is signed in.
async fn before() -> Before {
    let (server, cluster) = (Misbehaving::start().await, Cluster::start().await);
    keepable(&server);
    let mut deployment = Deployment::on_postgres(cluster.url());
    deployment.migrate().await;
    deployment.env("LEVEE_SNAPSHOT_DIR", deployment.path("state"));
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    register_both(&admin, &server.url()).await;
    let key = admin.key("caller").await;
    let signed_in = replica.anonymous().post("/api/v1/auth/login", first_admin()).await.json();
    let refresh = signed_in["refreshToken"].as_str().unwrap().to_owned();
    Before { server, cluster, deployment, replica, admin, refresh, key }
}

fn first_admin() -> Value {
    json!({ "email": "ada@example.com", "password": "the tests' own long password" })
}

/// Within a second: nobody waits for a database that is away.
async fn refused_quickly(what: &str, asking: impl Future<Output = Answer>) {
    let began = Instant::now();
    let refused = asking.await;
    assert_eq!(problem(&refused), unavailable(), "{what}");
    assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{what}: {refused:?}");
    assert!(began.elapsed() < Duration::from_secs(1), "{what}: {:?}", began.elapsed());
}

/// The three columns of the control plane, which are the same whenever the database is away.
async fn control_plane_without_database(replica: &Replica, admin: &Api, refresh: &str) {
    for path in ["/api/v1/breakers", "/api/v1/breakers/plain", "/api/v1/upstreams/kept", "/api/v1/auth/me"] {
        assert_eq!(admin.get(path).await.status, 200, "what is in memory is read: {path}");
    }
    for path in ["/api/v1/audit", "/api/v1/users"] {
        refused_quickly(path, admin.get(path)).await;
    }
    let body = json!({ "name": "new", "spec": { "url": "https://api.example.com" } });
    refused_quickly("a new upstream", admin.post("/api/v1/upstreams", body)).await;
    let forced = json!({ "mode": "forced_open", "reason": "a test" });
    refused_quickly("a forced breaker", admin.put("/api/v1/breakers/plain", forced)).await;
    let stranger = replica.anonymous();
    refused_quickly("a login", stranger.post("/api/v1/auth/login", first_admin())).await;
    refused_quickly("a refresh", stranger.post("/api/v1/auth/refresh", json!({ "refreshToken": refresh })))
        .await;
    assert_eq!(admin.get("/api/v1/auth/me").await.status, 200, "a token that was issued goes on working");
}

#[tokio::test]
async fn while_running() {
    let Before { server, mut cluster, deployment: _deployment, replica, admin, refresh, key } =
        before().await;
    assert_eq!(replica.call(&key, "/proxy/kept/kept").await.header("levee-answer"), "upstream");
    cluster.stop().await;
    until("it is told", SOON, async || {
        replica.metric(r#"levee_dependency_up{dependency="database"}"#).await == Some(0.0)
    })
    .await;
    assert_eq!(replica.call(&key, "/proxy/plain/ok").await.status, 200, "calls");
    assert_eq!(replica.call("lvk_nonsense", "/proxy/plain/ok").await.status, 401, "only who may calls");
    assert_eq!(replica.call(&key, "/proxy/kept/kept").await.header("levee-answer"), "cache", "cached calls");
    assert_eq!(server.seen("/kept"), 1);
    control_plane_without_database(&replica, &admin, &refresh).await;
}

#[tokio::test]
async fn at_start_with_a_snapshot() {
    let Before { server, mut cluster, deployment, replica, admin, refresh, key } = before().await;
    let revision = replica.status().await["snapshot"]["revision"].as_u64().unwrap();
    until("it is kept on disk", SOON, async || {
        replica.status().await["snapshot"]["onDisk"].as_u64() >= Some(revision)
    })
    .await;
    replica.stop().await;
    cluster.stop().await;
    let replica = deployment.replica().await;
    assert_eq!(replica.call(&key, "/proxy/plain/ok").await.status, 200, "calls");
    assert_eq!(replica.call("lvk_nonsense", "/proxy/plain/ok").await.status, 401, "only who may calls");
    let asked = server.seen("/kept");
    for answered_by in ["upstream", "cache"] {
        let answer = replica.call(&key, "/proxy/kept/kept").await;
        assert_eq!(answer.header("levee-answer"), answered_by, "memory begins empty, and keeps again");
    }
    assert_eq!(server.seen("/kept"), asked + 1);
    control_plane_without_database(&replica, &admin.at(&replica), &refresh).await;
    let status = replica.status().await;
    assert_eq!(status["previousStop"], "clean");
    assert_eq!(status["problems"][0]["runbook"], "LeveeDependencyDown", "{status}");
}
