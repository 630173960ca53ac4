//! Service accounts and their keys, on the real binary over SQLite and PostgreSQL: what a key opens, and for how long.

use http::Method;
use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::control::Api;
use crate::support::levee::{Setup, TestApp};

mod accounts;
mod ending;
mod matrix;
mod proving;
mod secrets;

/// One scenario on both databases.
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
use on_both;

const ACCOUNTS: &str = "/api/v1/service-accounts";

/// A program that an admin made, with one key.
struct Program {
    /// Its own path.
    path: String,
    tag: String,
    /// Its key's path.
    key: String,
    /// The API as the program sees it.
    api: Api,
    text: String,
}

impl Program {
    async fn new(admin: &Api, name: &str, role: &str) -> Self {
        let made = admin.post(ACCOUNTS, json!({ "name": name, "class": "normal", "role": role })).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let path = made.header("location").to_owned();
        let issued = issue(admin, &path, json!({ "name": "tests" })).await;
        let text = issued.json()["key"].as_str().unwrap().to_owned();
        let key = issued.header("location").to_owned();
        Self { tag: made.header("etag").to_owned(), api: admin.bearer(&text), path, key, text }
    }

    async fn change(&mut self, admin: &Api, change: Value) {
        let changed = admin.change(Method::PATCH, &self.path, &self.tag, Some(change)).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        changed.header("etag").clone_into(&mut self.tag);
    }

    /// What reading the list of accounts answers it: 200 for a key that counts and a role that reads.
    async fn reads(&self) -> u16 {
        self.api.get(ACCOUNTS).await.status.as_u16()
    }
}

async fn issue(admin: &Api, account: &str, key: Value) -> Answer {
    let issued = admin.post(&format!("{account}/keys"), key).await;
    assert_eq!(issued.status, 201, "{}", issued.text());
    issued
}

async fn started(setup: Setup) -> (TestApp, Api) {
    let app = setup.start().await;
    let admin = app.admin().await;
    (app, admin)
}

fn pointers(answer: &Answer) -> Vec<String> {
    let problem = answer.json();
    let faults = problem["errors"].as_array().cloned().unwrap_or_default();
    faults.iter().map(|fault| fault["pointer"].as_str().unwrap().to_owned()).collect()
}
