//! Signing in, on the real binary: what attackers try with tokens, sessions and passwords, over SQLite and PostgreSQL.

use http::Method;
use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::control::Api;
use crate::support::levee::{Setup, TestApp};

mod beside;
mod commands;
mod first_admin;
mod passwords;
mod prompting;
mod resets;
mod sessions;
mod tokens;
mod users;

/// A good password.
const PASSWORD: &str = "the rain in Spain, mostly";

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

/// A user that an admin created.
struct Person {
    id: String,
    email: String,
    tag: String,
}

async fn started(setup: Setup) -> (TestApp, Api) {
    let app = setup.start().await;
    let admin = app.admin().await;
    (app, admin)
}

async fn create(admin: &Api, name: &str, role: &str) -> Person {
    let email = format!("{name}@example.com");
    let body = json!({ "email": email, "name": name, "password": PASSWORD, "role": role });
    let created = admin.post("/api/v1/users", body).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let id = created.json()["id"].as_str().unwrap().to_owned();
    Person { id, email, tag: created.header("etag").to_owned() }
}

impl Person {
    fn path(&self) -> String {
        format!("/api/v1/users/{}", self.id)
    }

    async fn update(&self, admin: &Api, change: Value) -> Answer {
        admin.change(Method::PATCH, &self.path(), "*", Some(change)).await
    }
}

/// The body of a login: tokens.
async fn login(app: &TestApp, email: &str, password: &str) -> Answer {
    app.anonymous().post("/api/v1/auth/login", json!({ "email": email, "password": password })).await
}

async fn signed_in(app: &TestApp, person: &Person) -> (Api, String) {
    let answer = login(app, &person.email, PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let tokens = answer.json();
    (app.anonymous().bearer(text(&tokens, "accessToken")), text(&tokens, "refreshToken").to_owned())
}

async fn refresh(app: &TestApp, token: &str) -> Answer {
    app.anonymous().post("/api/v1/auth/refresh", json!({ "refreshToken": token })).await
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}"))
}

fn pointers(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let faults = body["errors"].as_array().cloned().unwrap_or_default();
    faults.iter().map(|fault| text(fault, "pointer").to_owned()).collect()
}

/// What the audit list says was done to a target, the newest first.
async fn audited(admin: &Api, target: &str) -> Vec<String> {
    let entries = admin.get(&format!("/api/v1/audit?target={target}")).await.json();
    let entries = entries["items"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| text(entry, "action").to_owned()).collect()
}
