//! What the control plane reads may come from memory or from Redis, and is never older than it may be.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::control::{Api, Deployment, Replica};
use crate::support::postgres::{Cluster, Database};
use crate::support::redis::RedisServer;
use crate::support::until::until;

/// By then every replica knows of a write.
const A_SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(20);

/// Replicas of one deployment, and an admin of each.
async fn pair(deployment: &Deployment) -> ([Replica; 2], [Api; 2]) {
    let replicas = [deployment.replica().await, deployment.replica().await];
    let admins = [replicas[0].admin().await, replicas[1].admin().await];
    (replicas, admins)
}

fn over(database: &Database, redis: Option<&RedisServer>) -> Deployment {
    let mut deployment = Deployment::on_postgres(database.url());
    if let Some(redis) = redis {
        deployment.env("LEVEE_REDIS_URL", redis.url());
    }
    deployment
}

fn has(list: &Value, field: &str, value: &str) -> bool {
    list["items"].as_array().unwrap().iter().any(|item| item[field] == value)
}

/// Writes on one and reads on both, again and again: on the writer's own at once, on the other's within a second.
async fn written_here_is_read_there(writer: &Api, other: &Api, round: usize) {
    let (email, account) = (format!("u{round}@example.com"), format!("a{round}"));
    let (users, accounts) = ("/api/v1/users?limit=200", "/api/v1/service-accounts?limit=200");
    for api in [writer, other] {
        assert!(!has(&api.get(users).await.json(), "email", &email), "it is kept as it is now");
        assert!(!has(&api.get(accounts).await.json(), "name", &account));
    }
    let user = json!({ "email": email, "name": "U", "role": "viewer" });
    let created = writer.post("/api/v1/users", user).await;
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(
        writer.post("/api/v1/service-accounts", json!({ "name": account, "class": "normal" })).await.status,
        201
    );
    assert!(has(&writer.get(users).await.json(), "email", &email), "its writer reads it at once");
    assert!(has(&writer.get(accounts).await.json(), "name", &account));
    let log = writer.get("/api/v1/audit?action=user.created").await.json();
    assert!(has(&log, "target", &format!("user:{email}")), "{log}");
    until("the other replica reads it", A_SECOND, async || {
        has(&other.get(users).await.json(), "email", &email)
            && has(&other.get(accounts).await.json(), "name", &account)
            && has(
                &other.get("/api/v1/audit?action=user.created").await.json(),
                "target",
                &format!("user:{email}"),
            )
    })
    .await;
    let path = format!("/api/v1/users/{}", created.json()["id"].as_str().unwrap());
    assert_eq!(other.get(&path).await.json()["role"], "viewer");
    let changed = writer.change(Method::PATCH, &path, "*", Some(json!({ "role": "operator" }))).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(writer.get(&path).await.json()["role"], "operator");
    until("the change is read there", A_SECOND, async || other.get(&path).await.json()["role"] == "operator")
        .await;
}

#[tokio::test]
async fn a_write_on_one_replica_is_read_on_all_within_a_second_with_redis_and_when_it_is_gone() {
    let (database, mut redis) = (Database::migrated().await, RedisServer::start().await);
    let deployment = over(&database, Some(&redis));
    let (replicas, [one, other]) = pair(&deployment).await;
    for replica in &replicas {
        let in_step = async || replica.status().await["fleetCache"]["inStep"] == true;
        until("it is in step", SOON, in_step).await;
    }
    for round in 0..4 {
        let (writer, reader) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        written_here_is_read_there(writer, reader, round).await;
    }
    redis.stop();
    for round in 4..8 {
        let (writer, reader) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        written_here_is_read_there(writer, reader, round).await;
    }
}

#[tokio::test]
async fn a_write_is_read_on_all_replicas_where_there_is_no_redis() {
    let database = Database::migrated().await;
    let deployment = over(&database, None);
    let (_replicas, [one, other]) = pair(&deployment).await;
    for round in 0..2 {
        written_here_is_read_there(&one, &other, round).await;
    }
}

#[tokio::test]
async fn redis_holds_nothing_about_people() {
    let (database, redis) = (Database::migrated().await, RedisServer::start().await);
    let deployment = over(&database, Some(&redis));
    let replica = deployment.replica().await;
    until("it is in step", SOON, async || replica.status().await["fleetCache"]["inStep"] == true).await;
    let admin = replica.admin().await;
    assert_eq!(
        admin.post("/api/v1/service-accounts", json!({ "name": "billing", "class": "normal" })).await.status,
        201
    );
    let values = || {
        let keys = redis.command(&["KEYS", "*}:v"]);
        keys.lines().map(|key| redis.command(&["GET", key])).collect::<String>()
    };
    until("programs are read from Redis", SOON, async || {
        for path in ["users", "audit", "service-accounts", "auth/me"] {
            assert_eq!(admin.get(&format!("/api/v1/{path}")).await.status, 200);
        }
        values().contains("billing")
    })
    .await;
    assert!(!values().contains("example.com"), "{}", values());
}

#[tokio::test]
async fn what_was_read_lately_is_read_without_the_database_and_nothing_else() {
    let mut cluster = Cluster::start().await;
    let deployment = Deployment::on_postgres(cluster.url());
    deployment.migrate().await;
    let replica = deployment.replica().await;
    let (admin, stranger) = (replica.admin().await, replica.anonymous());
    let users = admin.get("/api/v1/users").await;
    cluster.stop().await;
    assert_eq!(admin.get("/api/v1/users").await.json(), users.json());
    assert_eq!(stranger.get("/api/v1/users").await.status, 401, "who may read is asked before");
    assert_eq!(admin.get("/api/v1/users?limit=7").await.status, 503);
    until("it is too old", SOON, async || admin.get("/api/v1/users").await.status == 503).await;
}
