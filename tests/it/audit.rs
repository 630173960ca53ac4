//! The audit list, on the real binary over SQLite and PostgreSQL.

use http::Method;
use serde_json::{Value, json};

use crate::support::control::Api;
use crate::support::levee::Setup;

macro_rules! on_both {
    ($($scenario:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(crate::support::levee::TestApp::with("")).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $scenario() {
                let database = crate::support::postgres::Database::migrated().await;
                let setup = crate::support::levee::TestApp::with("").env("LEVEE_DATABASE_URL", database.url());
                super::$scenario(setup).await;
            })+
        }
    };
}

on_both!(
    every_change_is_listed_with_who_made_it,
    filters_choose_and_pages_follow_each_other,
    what_was_refused_is_not_listed,
);

const ACCOUNTS: &str = "/api/v1/service-accounts";

/// The entries that this query finds.
async fn entries(admin: &Api, query: &str) -> Vec<Value> {
    let answer = admin.get(&format!("/api/v1/audit?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["items"].as_array().unwrap().clone()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

/// An account, changed, with a key that was revoked, and deleted.
async fn life_of_an_account(admin: &Api) {
    let made = admin.post(ACCOUNTS, json!({ "name": "billing", "class": "low" })).await;
    let path = made.header("location");
    admin.change(Method::PATCH, path, "*", Some(json!({ "role": "viewer" }))).await;
    let issued = admin.post(&format!("{path}/keys"), json!({ "name": "ci" })).await;
    admin.change(Method::DELETE, issued.header("location"), "*", None).await;
    let deleted = admin.change(Method::DELETE, path, "*", None).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text());
}

const LIFE: [&str; 5] = [
    "service_account.deleted",
    "key.revoked",
    "key.created",
    "service_account.updated",
    "service_account.created",
];

async fn every_change_is_listed_with_who_made_it(setup: Setup) {
    let app = setup.start().await;
    let admin = app.admin().await;
    life_of_an_account(&admin).await;
    let listed = entries(&admin, "target=sa:billing").await;
    assert_eq!(actions(&listed), LIFE, "the newest first");
    let me = admin.get("/api/v1/auth/me").await.json();
    for entry in &listed {
        assert_eq!(entry["actor"], "user:admin@localhost");
        assert_eq!(entry["actorId"], me["id"]);
        assert_eq!(entry["address"], "127.0.0.1");
        assert!(entry["requestId"].is_string() && entry["at"].is_string() && entry["details"].is_object());
    }
    assert_eq!(listed[3]["details"]["role"], json!({ "from": null, "to": "viewer" }));
}

async fn filters_choose_and_pages_follow_each_other(setup: Setup) {
    let app = setup.start().await;
    let admin = app.admin().await;
    life_of_an_account(&admin).await;
    assert_eq!(actions(&entries(&admin, "action=key.").await), ["key.revoked", "key.created"]);
    assert_eq!(actions(&entries(&admin, "action=key.created").await), ["key.created"]);
    assert_eq!(entries(&admin, "actor=user:nobody@example.com").await, Vec::<Value>::new());
    let all = entries(&admin, "target=sa:billing").await;
    let moment = all[1]["at"].as_str().unwrap();
    let since = entries(&admin, &format!("target=sa:billing&since={moment}")).await;
    let until = entries(&admin, &format!("target=sa:billing&until={moment}")).await;
    assert_eq!((since.as_slice(), until.as_slice()), (&all[..2], &all[2..]));
    let mut paged = Vec::new();
    let mut query = "target=sa:billing&limit=2".to_owned();
    loop {
        let page = admin.get(&format!("/api/v1/audit?{query}")).await.json();
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        query = format!("target=sa:billing&limit=2&cursor={next}");
    }
    assert_eq!(paged, all);
    assert_eq!(admin.get("/api/v1/audit?since=yesterday").await.status, 400);
}

async fn what_was_refused_is_not_listed(setup: Setup) {
    let app = setup.start().await;
    let admin = app.admin().await;
    let body = || json!({ "name": "billing", "class": "low", "role": "viewer" });
    let made = admin.post(ACCOUNTS, body()).await;
    assert_eq!(admin.post(ACCOUNTS, body()).await.status, 409);
    let stale = admin.change(Method::PATCH, made.header("location"), "\"77\"", Some(json!({}))).await;
    assert_eq!(stale.status, 412);
    assert_eq!(actions(&entries(&admin, "target=sa:billing").await), ["service_account.created"]);
}
