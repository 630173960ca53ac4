//! What still works while something is away: the published table of docs/operations.md, a test for each cell.
//!
//! A test takes a dependency away at one time and goes through its row; which one is in [`ROWS`].

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::control::{Api, Deployment, Replica};
use crate::support::misbehaving::{Behaviour, Misbehaving, Reply};
use crate::support::until::until;

mod collector;
mod kubernetes;
mod postgres;
mod redis;
mod upstream;

const SOON: Duration = Duration::from_secs(20);

/// The columns of the published table.
const COLUMNS: [&str; 5] =
    ["calls", "cached calls", "control plane, reading", "control plane, writing", "signing in"];

/// Its rows: what is away, when, and the tests that go through the cells.
const ROWS: [(&str, &str, &[&str]); 12] = [
    ("PostgreSQL", "while running", &["stability::postgres::while_running"]),
    ("PostgreSQL", "at start, with a snapshot", &["stability::postgres::at_start_with_a_snapshot"]),
    (
        "PostgreSQL",
        "at start, without",
        &[
            "upstreams_api::cold_start::without_a_snapshot_it_is_alive_and_not_ready_until_the_database_answers",
        ],
    ),
    (
        "Redis",
        "while running",
        &["stability::redis::while_running", QUOTAS_WITHOUT_REDIS, LIMITS_WITHOUT_REDIS],
    ),
    ("Redis", "at start", &["stability::redis::at_start", QUOTAS_WITHOUT_REDIS]),
    ("the Kubernetes API", "while running", &["stability::kubernetes::while_running", TOKENS_WITHOUT_ISSUER]),
    (
        "the Kubernetes API",
        "at start, with a snapshot",
        &["stability::kubernetes::at_start_with_a_snapshot", TOKENS_WITHOUT_ISSUER],
    ),
    (
        "the Kubernetes API",
        "at start, without",
        &["kubernetes::trouble::a_cold_start_without_the_api_server_waits_for_it"],
    ),
    ("the OTLP collector", "while running", &["stability::collector::while_running"]),
    ("the OTLP collector", "at start", &["stability::collector::at_start"]),
    ("an upstream", "while running", &["stability::upstream::while_running"]),
    ("an upstream", "at start", &["stability::upstream::at_start"]),
];

/// What replicas share through it: each goes by itself.
const QUOTAS_WITHOUT_REDIS: &str = "fleet::quotas::without_redis_the_policy_says_what_passes";
const LIMITS_WITHOUT_REDIS: &str = "fleet::rate_limits::replicas_share_them_and_are_never_open_without_redis";
/// Tokens of the cluster's service accounts, whose issuer it is.
const TOKENS_WITHOUT_ISSUER: &str = "kubernetes_tokens::an_api_server_that_is_away_keeps_nobody_from_calling";

#[test]
fn the_published_table_has_these_rows_and_each_has_its_test() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(repository.join("docs/operations.md")).unwrap();
    let head = format!("| down | when | {} |", COLUMNS.join(" | "));
    let mut published = page.lines().skip_while(|line| *line != head).skip(2);
    for (down, when, tests) in ROWS {
        let row = published.next().unwrap_or_default();
        assert!(row.starts_with(&format!("| {down} | {when} | ")), "{row}");
        assert_eq!(row.matches(" | ").count(), 1 + COLUMNS.len(), "{row}");
        assert!(!row.contains("|  |"), "a cell says nothing: {row}");
        for test in tests {
            let (module, name) = test.rsplit_once("::").unwrap();
            let file = repository.join("tests/it").join(module.replace("::", "/")).with_extension("rs");
            let source = std::fs::read_to_string(&file).unwrap();
            assert!(source.contains(&format!("#[tokio::test]\nasync fn {name}(")), "no {test}");
        }
    }
    assert_eq!(published.next(), Some(""), "a row without a test");
}

/// Two upstreams: `plain` is asked each time, `kept` keeps what it may.
async fn register_both(api: &Api, url: &str) {
    for (name, cache) in [("plain", "off"), ("kept", "respect")] {
        let spec = json!({
            "url": url,
            "access": { "allow": ["any_authenticated"] },
            "retry": { "attempts": 1 },
            "cache": { "mode": cache },
        });
        let made = api.post("/api/v1/upstreams", json!({ "name": name, "spec": spec })).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
}

/// `/kept` may be kept for ten minutes.
fn keepable(server: &Misbehaving) {
    server.script("/kept", [Reply::ok("kept").header("Cache-Control", "max-age=600").into()]);
}

fn problem(answer: &Answer) -> (u16, String) {
    let kind = answer.json()["type"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), kind.trim_start_matches("https://levee.dev/problems/").to_owned())
}

fn unavailable() -> (u16, String) {
    (503, "unavailable".to_owned())
}

/// The control plane knows nothing of it: reading, writing, signing in.
async fn control_plane_as_ever(replica: &Replica, admin: &Api) {
    assert_eq!(admin.get("/api/v1/upstreams").await.status, 200, "reading");
    assert_eq!(admin.get("/api/v1/audit").await.status, 200, "reading");
    let body = json!({ "name": "new", "spec": { "url": "https://api.example.com" } });
    assert_eq!(admin.post("/api/v1/upstreams", body).await.status, 201, "writing");
    replica.admin().await;
}
