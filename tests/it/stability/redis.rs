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

/// Each replica goes by what it counts itself: there may be ten a minute from one address.
async fn logins_are_limited(replica: &Replica) {
    let mut answers = Vec::new();
    for number in 0..10 {
        let login =
            json!({ "email": format!("nobody-{number}@example.com"), "password": "not anyone's password" });
        answers.push(replica.anonymous().post("/api/v1/auth/login", login).await.status.as_u16());
    }
    assert_eq!((answers[0], answers[9]), (401, 429), "{answers:?}");
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
    control_plane_as_ever(&replica, &admin).await;
    logins_are_limited(&replica).await;
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
    control_plane_as_ever(&replica, &admin).await;
    logins_are_limited(&replica).await;
    assert_eq!(replica.metric(UP).await, Some(0.0));
}
