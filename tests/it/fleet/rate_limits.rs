//! The control plane's rate limits.

use http::Method;
use serde_json::json;

use super::*;
use crate::support::control::Deployment;

/// A login that fails, at the limit of 10 a minute for one address.
async fn status_of_login(api: std::net::SocketAddr, number: usize) -> u16 {
    let mut request = client::request("/api/v1/auth/login");
    *request.method_mut() = Method::POST;
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let login =
        json!({ "email": format!("nobody-{number}@example.com"), "password": "not the password of anyone" });
    *request.body_mut() = login.to_string().into();
    client::send(api, request).await.unwrap().status.as_u16()
}

#[tokio::test]
async fn replicas_share_them_and_are_never_open_without_redis() {
    let mut redis = RedisServer::start().await;
    let mut deployments = [Deployment::on_sqlite(), Deployment::on_sqlite()];
    let mut replicas = Vec::new();
    for deployment in &mut deployments {
        deployment.env("LEVEE_REDIS_URL", redis.url());
        deployment.migrate().await;
        replicas.push(deployment.replica().await);
    }
    for replica in &replicas {
        until("Redis answers", SOON, async || {
            client::get(replica.ops, "/status").await.json()["redis"]["up"] == true
        })
        .await;
    }
    for number in 0..10 {
        assert_eq!(status_of_login(replicas[number % 2].api, number).await, 401, "{number}");
    }
    for replica in &replicas {
        assert_eq!(status_of_login(replica.api, 10).await, 429, "ten in all");
    }
    redis.stop();
    // Each goes by what it counted itself: five, and one that was refused.
    let mut passed = 0;
    while status_of_login(replicas[0].api, 11).await == 401 {
        passed += 1;
    }
    assert!(passed <= 5, "{passed}");
}
