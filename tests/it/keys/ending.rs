//! What ends a key, and what is known of its use.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::support::control::Deployment;
use crate::support::postgres::Database;
use crate::support::until::until;

on_both!(
    a_revoked_key_counts_no_more_at_once,
    a_key_ends_with_its_time,
    a_disabled_account_is_shut_out_at_once,
    a_lowered_role_is_lowered_at_once,
);

async fn a_revoked_key_counts_no_more_at_once(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let program = Program::new(&admin, "billing", "viewer").await;
    assert_eq!(program.reads().await, 200);
    assert_eq!(admin.change(Method::DELETE, &program.key, "*", None).await.status, 204);
    assert_eq!(program.reads().await, 401);
    assert_eq!(admin.get(&program.key).await.status, 404);
    assert_eq!(admin.change(Method::DELETE, &program.key, "*", None).await.status, 404);
    let keys = admin.get(&format!("{}/keys", program.path)).await.json();
    assert!(keys["items"][0]["revokedAt"].is_string(), "the list remembers it: {keys}");
}

async fn a_key_ends_with_its_time(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let program = Program::new(&admin, "billing", "viewer").await;
    let issued = issue(&admin, &program.path, json!({ "name": "short", "expiresIn": "2s" })).await.json();
    let short = admin.bearer(issued["key"].as_str().unwrap());
    assert!(issued["expiresAt"].is_string());
    until("the key has expired", Duration::from_secs(10), async || short.get(ACCOUNTS).await.status == 401)
        .await;
    assert_eq!(program.reads().await, 200, "the other one does not");
}

async fn a_disabled_account_is_shut_out_at_once(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let mut program = Program::new(&admin, "billing", "viewer").await;
    program.change(&admin, json!({ "disabled": true })).await;
    assert_eq!(program.reads().await, 401);
    program.change(&admin, json!({ "disabled": false })).await;
    assert_eq!(program.reads().await, 200);
    admin.change(Method::DELETE, &program.path, "*", None).await;
    assert_eq!(program.reads().await, 401, "deleted with its keys");
}

async fn a_lowered_role_is_lowered_at_once(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let mut program = Program::new(&admin, "billing", "viewer").await;
    program.change(&admin, json!({ "role": "none" })).await;
    assert_eq!(program.reads().await, 403);
}

#[tokio::test]
async fn another_replica_knows_of_a_revocation_within_a_second() {
    let database = Database::migrated().await;
    let deployment = Deployment::on_postgres(database.url());
    let (here, there) = (deployment.replica().await, deployment.replica().await);
    let admin = here.admin().await;
    let program = Program::new(&admin, "billing", "viewer").await;
    let elsewhere = program.api.at(&there);
    until("the key counts there", Duration::from_secs(5), async || {
        elsewhere.get(ACCOUNTS).await.status == 200
    })
    .await;
    admin.change(Method::DELETE, &program.key, "*", None).await;
    // A second is promised; the rest is for a busy machine.
    until("it counts there no more", Duration::from_secs(3), async || {
        elsewhere.get(ACCOUNTS).await.status == 401
    })
    .await;
}

#[tokio::test]
async fn the_last_use_of_a_key_survives_a_stop() {
    let deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let program = Program::new(&admin, "billing", "viewer").await;
    issue(&admin, &program.path, json!({ "name": "unused" })).await;
    assert_eq!(program.reads().await, 200);
    replica.stop().await;
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let keys = admin.get(&format!("{}/keys", program.path)).await.json();
    let used: Vec<bool> =
        keys["items"].as_array().unwrap().iter().map(|key| key["lastUsedAt"].is_string()).collect();
    assert_eq!(used, [true, false], "{keys}");
}
