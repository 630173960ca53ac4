//! Upstreams over the API: the same over SQLite and PostgreSQL, on the real binary.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use crate::support::client::{self, Answer};
use crate::support::control::{Api, Deployment, Replica};
use crate::support::misbehaving::Misbehaving;
use crate::support::until::until;

mod bad_input;
mod cold_start;
mod documents;
mod files;
mod outage;
mod replicas;

const SOON: Duration = Duration::from_secs(20);

/// One scenario on both databases.
macro_rules! on_both {
    ($($scenario:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $scenario() {
                let deployment = crate::support::control::Deployment::on_sqlite();
                deployment.migrate();
                super::$scenario(deployment).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $scenario() {
                let url = crate::support::postgres::fresh_database().await;
                let deployment = crate::support::control::Deployment::on_postgres(url);
                deployment.migrate();
                super::$scenario(deployment).await;
            })+
        }
    };
}
pub(crate) use on_both;

/// A document that any key may call.
pub(crate) fn spec(url: &str) -> Value {
    json!({ "url": url, "access": { "allow": ["any_authenticated"] }, "retry": { "attempts": 1 }, "cache": { "mode": "off" } })
}

/// The same document in a file.
fn file(name: &str, url: &str) -> String {
    let spec = spec(url);
    format!(
        "---\napiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: {name} }}\nspec: {spec}\n"
    )
}

/// Registers an upstream and answers with its tag.
pub(crate) async fn register(api: &Api, name: &str, spec: Value) -> String {
    let made = api.post("/api/v1/upstreams", json!({ "name": name, "spec": spec })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.header("etag").to_owned()
}

fn problem(answer: &Answer) -> (u16, String) {
    let kind = answer.json()["type"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), kind.trim_start_matches("https://levee.dev/problems/").to_owned())
}

fn pointers(answer: &Answer) -> Vec<String> {
    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
}
