//! The control plane's rate limits.

use std::net::SocketAddr;

use http::Method;
use serde_json::json;

use super::*;
use crate::support::control::{Deployment, Replica};

/// A login that fails. There may be 10 a minute from one address, and 5 in 15 minutes for one account.
async fn status_of_login(api: SocketAddr, email: &str) -> u16 {
    let mut request = client::request("/api/v1/auth/login");
    *request.method_mut() = Method::POST;
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let login = json!({ "email": email, "password": "not the password of anyone" });
    *request.body_mut() = login.to_string().into();
    client::send(api, request).await.unwrap().status.as_u16()
}

/// Two replicas that share no database, so that Redis is all they have in common.
async fn two(redis: &RedisServer) -> (Vec<Deployment>, Vec<Replica>) {
    let mut deployments = vec![Deployment::on_sqlite(), Deployment::on_sqlite()];
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
    (deployments, replicas)
}

#[tokio::test]
async fn replicas_share_them_and_are_never_open_without_redis() {
    let mut redis = RedisServer::start().await;
    let (_deployments, replicas) = two(&redis).await;
    for number in 0..10 {
        let email = format!("nobody-{number}@example.com");
        assert_eq!(status_of_login(replicas[number % 2].api, &email).await, 401, "{number}");
    }
    for replica in &replicas {
        assert_eq!(status_of_login(replica.api, "nobody-10@example.com").await, 429, "ten in all");
    }
    redis.stop();
    // Each goes by what it counted itself: five, and one that was refused.
    let mut passed = 0;
    while status_of_login(replicas[0].api, &format!("no-one-{passed}@example.com")).await == 401 {
        passed += 1;
    }
    assert!(passed <= 5, "{passed}");
}

#[tokio::test]
async fn an_account_is_guessed_at_no_more_often_at_several_replicas_and_redis_learns_no_name() {
    let redis = RedisServer::start().await;
    let (_deployments, replicas) = two(&redis).await;
    for number in 0..5 {
        assert_eq!(status_of_login(replicas[number % 2].api, "ada@example.com").await, 401, "{number}");
    }
    for replica in &replicas {
        assert_eq!(status_of_login(replica.api, "Ada@example.com").await, 429, "five in all");
    }
    assert_eq!(status_of_login(replicas[0].api, "bob@example.com").await, 401);
    let keys = redis.command(&["KEYS", "*"]);
    assert!(keys.contains("limit:auth_failures:") && !keys.contains("example"), "{keys}");
}
