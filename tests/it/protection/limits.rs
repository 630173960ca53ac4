//! Rate limits, which only `levee serve` has: by address, by account, by class, told in headers.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::made;
use crate::support::client::{self, Answer, RawConnection};
use crate::support::levee::{levee, ready_addresses};
use crate::support::process::Process;
use crate::support::watchdog::Watchdog;

const ADMIN: &str = "admin@example.com";
const PASSWORD: &str = "the rain in Spain, mostly";

/// `levee serve` on a database of its own, behind a proxy on this machine: every test's clients have the addresses it
/// gives them.
struct Served {
    api: SocketAddr,
    ops: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Served {
    async fn start() -> Self {
        let folder = TempDir::with_prefix("levee-serve-").unwrap();
        Watchdog::of_this_process().remove(folder.path());
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let database = format!("sqlite://{}", folder.path().join("levee.db").display());
        let migrated = levee().arg("migrate").env("LEVEE_DATABASE_URL", &database).status().unwrap();
        assert!(migrated.success());
        let mut command = levee();
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--api-listen",
                "127.0.0.1:0",
                "--ops-listen",
                "127.0.0.1:0",
            ])
            .env("LEVEE_DATABASE_URL", &database)
            .env("LEVEE_SECRET_KEYS", "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
            .env("LEVEE_BOOTSTRAP_ADMIN_EMAIL", ADMIN)
            .env("LEVEE_BOOTSTRAP_ADMIN_PASSWORD_FILE", &password)
            .env("LEVEE_TRUSTED_PROXIES", "127.0.0.1/32")
            .env("LEVEE_LOG_FORMAT", "json");
        let mut process = Process::start("levee", command);
        let [_, api, ops] = process.logged(Duration::from_secs(20), ready_addresses).await;
        Self { api, ops, _process: process, _folder: folder }
    }

    async fn from(&self, client: &str, method: Method, path: &str, body: &Value) -> Answer {
        let headers = [("x-forwarded-for", client), ("content-type", "application/json")];
        client::send(self.api, made(method, path, &headers, body.to_string().as_bytes())).await.unwrap()
    }

    async fn get(&self, client: &str, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("x-forwarded-for", client), ("authorization", &*bearer)];
        client::send(self.api, made(Method::GET, path, &headers, b"")).await.unwrap()
    }

    async fn login(&self, client: &str, email: &str, password: &str) -> Answer {
        let body = json!({ "email": email, "password": password });
        self.from(client, Method::POST, "/api/v1/auth/login", &body).await
    }
}

#[track_caller]
fn assert_limited(answer: &Answer, limit: &str) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.json()["type"], "https://levee.dev/problems/rate-limited");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|after| after > 0));
    assert!(
        answer.header("ratelimit").starts_with(&format!("\"{limit}\"")),
        "{}",
        answer.header("ratelimit")
    );
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn an_address_may_try_secrets_ten_times_a_minute_whatever_it_sends() {
    let served = Served::start().await;
    for _ in 0..10 {
        let answer = served.from("203.0.113.1", Method::POST, "/api/v1/auth/login", &json!([])).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("ratelimit-policy"), "\"auth\";q=10;w=60");
    }
    // Before the body is looked at, and before the password is.
    assert_limited(&served.from("203.0.113.1", Method::POST, "/api/v1/auth/login", &json!([])).await, "auth");
    assert_limited(&served.login("203.0.113.1", ADMIN, PASSWORD).await, "auth");
    assert_eq!(served.login("203.0.113.2", ADMIN, PASSWORD).await.status, 200);
    let metrics = client::get(served.ops, "/metrics").await;
    assert!(metrics.text().contains("levee_rate_limited_total{scope=\"auth\"} 2"));
}

/// A refusal before the body is looked at: what of the body is under way is no part of the next request.
#[tokio::test]
async fn a_refusal_ends_the_connection_only_where_the_body_is_not_there_and_says_so() {
    let served = Served::start().await;
    for _ in 0..10 {
        served.from("203.0.113.1", Method::POST, "/api/v1/auth/login", &json!([])).await;
    }
    let head = |length: usize| {
        format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.1\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut kept = RawConnection::open(served.api).await;
    for _ in 0..3 {
        kept.write(head(30) + &"x".repeat(30)).await.unwrap();
        let answer = kept.read_answer().await.unwrap();
        assert_eq!((answer.second_word().as_str(), answer.header("connection")), ("429", None));
    }
    kept.write(head(30)).await.unwrap();
    let answer = kept.read_answer().await.unwrap();
    assert_eq!(
        (answer.second_word().as_str(), answer.header("connection").as_deref()),
        ("429", Some("close"))
    );
    assert!(kept.read_to_end().await.unwrap().is_empty());
}

#[tokio::test]
async fn five_failures_close_an_account_to_an_address_and_not_to_its_owner() {
    let served = Served::start().await;
    assert_eq!(served.login("203.0.113.1", ADMIN, PASSWORD).await.status, 200);
    for _ in 0..5 {
        assert_eq!(served.login("203.0.113.1", ADMIN, "not the right password").await.status, 401);
    }
    let refused = served.login("203.0.113.1", &ADMIN.to_uppercase(), PASSWORD).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|after| (1..=180).contains(&after)));
    assert_eq!(served.login("203.0.113.2", ADMIN, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn who_does_not_prove_who_it_is_shares_a_hundred_requests_with_its_address() {
    let served = Served::start().await;
    let ask = async |path| served.get("2001:db8::1", path, "lvk_nonsense").await;
    for left in (0..100).rev() {
        let answer = ask("/api/v1/users").await;
        assert_eq!(answer.status, 401);
        assert!(answer.header("ratelimit").starts_with(&format!("\"anonymous\";r={left};")));
    }
    assert_limited(&ask("/api/v1/users").await, "anonymous");
    assert_limited(&served.get("2001:db8::ffff", "/api/v1/health", "").await, "anonymous");
    // What is public stays so, and who proves who it is has its own limit.
    for path in ["/openapi.json", "/docs", "/docs/problems"] {
        assert_eq!(ask(path).await.status, 200, "{path}");
    }
    let token = served.login("203.0.113.2", ADMIN, PASSWORD).await.json()["accessToken"].clone();
    let me = served.get("2001:db8::1", "/api/v1/auth/me", token.as_str().unwrap()).await;
    assert_eq!(me.status, 200, "{}", me.text());
    assert_eq!(me.header("ratelimit-policy"), "\"normal\";q=600;w=60");
}
