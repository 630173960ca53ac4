//! The rows of Redis: it is missed by nobody.

use super::*;
use crate::support::redis::RedisServer;

const UP: &str = r#"levee_dependency_up{dependency="redis"}"#;

/// A deployment on SQLite that knows this Redis.
async fn deployment(redis: &RedisServer) -> Deployment {
    let mut deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    deployment.env("LEVEE_REDIS_URL", redis.url());
    deployment
}

/// The control plane without Redis: reading, writing, signing in.
async fn control_plane_as_ever(replica: &Replica, admin: &Api, name: &str) {
    assert_eq!(admin.get("/api/v1/upstreams").await.status, 200, "reading");
    let body = json!({ "name": name, "spec": { "url": "https://api.example.com" } });
    assert_eq!(admin.post("/api/v1/upstreams", body).await.status, 201, "writing");
    replica.admin().await;
}

#[tokio::test]
async fn while_running() {
    let (server, mut redis) = (Misbehaving::start().await, RedisServer::start().await);
    keepable(&server);
    let deployment = deployment(&redis).await;
    let replica = deployment.replica().await;
    until("Redis is found", SOON, async || replica.metric(UP).await == Some(1.0)).await;
    let admin = replica.admin().await;
    register_both(&admin, &server.url()).await;
    let key = admin.key("caller").await;
    assert_eq!(replica.call(&key, "/proxy/kept/kept").await.header("levee-answer"), "upstream");
    redis.stop();
    until("it is told", SOON, async || replica.metric(UP).await == Some(0.0)).await;
    assert_eq!(replica.call(&key, "/proxy/plain/ok").await.status, 200, "calls");
    assert_eq!(replica.call(&key, "/proxy/kept/kept").await.header("levee-answer"), "cache", "from memory");
    control_plane_as_ever(&replica, &admin, "new").await;
    let status = replica.status().await;
    assert_eq!(status["problems"][0]["runbook"], "LeveeDependencyDown", "{status}");
}

#[tokio::test]
async fn at_start() {
    let (server, redis) = (Misbehaving::start().await, RedisServer::stopped(&[]));
    keepable(&server);
    let deployment = deployment(&redis).await;
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    register_both(&admin, &server.url()).await;
    let key = admin.key("caller").await;
    assert_eq!(replica.call(&key, "/proxy/plain/ok").await.status, 200, "calls");
    for answered_by in ["upstream", "cache"] {
        assert_eq!(replica.call(&key, "/proxy/kept/kept").await.header("levee-answer"), answered_by);
    }
    control_plane_as_ever(&replica, &admin, "new").await;
    assert_eq!(replica.metric(UP).await, Some(0.0));
}
