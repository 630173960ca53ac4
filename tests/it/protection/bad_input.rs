//! Requests that no client should send: the right status, the place of every fault, and nothing stored.

use http::Method;
use serde_json::{Value, json};

use super::{ask, made};
use crate::support::client::{self, Answer, RawConnection};
use crate::support::levee::TestApp;

/// Levee with the token of its admin.
struct Signed {
    app: TestApp,
    token: String,
}

impl Signed {
    async fn start() -> Self {
        let app = TestApp::start("").await;
        let password = app.admin_password();
        let body = json!({ "email": "admin@localhost", "password": password }).to_string();
        let login = json_body(&app, Method::POST, "/api/v1/auth/login", &[], &body).await;
        let token = login.json()["accessToken"].as_str().unwrap().to_owned();
        Self { app, token }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [headers, &[("authorization", &*bearer)]].concat();
        json_body(&self.app, method, path, &headers, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    async fn users(&self) -> Value {
        self.get("/api/v1/users").await.json()["items"].clone()
    }

    async fn create(&self, user: &Value) -> Answer {
        self.send(Method::POST, "/api/v1/users", &[], &user.to_string()).await
    }
}

async fn json_body(
    app: &TestApp,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let headers = [headers, &[("content-type", "application/json")]].concat();
    ask(app, method, path, &headers, body.as_bytes()).await
}

fn ada() -> Value {
    json!({ "email": "ada@example.com", "name": "Ada", "role": "viewer", "password": "correct horse battery" })
}

/// A problem of this status and slug, with faults at these places.
#[track_caller]
fn assert_problem(answer: &Answer, status: u16, slug: &str, places: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["type"], format!("https://levee.dev/problems/{slug}"));
    assert_eq!(problem["status"], status);
    assert_eq!(problem["instance"], format!("request:{}", answer.header("x-request-id")));
    let faults = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let pointed: Vec<_> = faults.iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointed, places);
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_conflict_whatever_its_case() {
    let signed = Signed::start().await;
    assert_eq!(signed.create(&ada()).await.status, 201);
    let mut again = ada();
    again["email"] = json!("ADA@Example.COM");
    assert_problem(&signed.create(&again).await, 409, "conflict", &[]);
    assert_eq!(signed.users().await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_change_needs_the_state_it_is_meant_for() {
    let signed = Signed::start().await;
    let created = signed.create(&ada()).await;
    let (location, tag) = (created.header("location").to_owned(), created.header("etag").to_owned());
    let body = r#"{"name":"Countess"}"#;
    let patch = async |tags: &[(&str, &str)]| signed.send(Method::PATCH, &location, tags, body).await;
    assert_problem(&patch(&[]).await, 428, "precondition-required", &[]);
    for malformed in ["7", "\"7", "", "\"1\", \"2\""] {
        assert_problem(&patch(&[("if-match", malformed)]).await, 400, "invalid-request", &["If-Match"]);
    }
    for stale in ["\"999\"", "\"abc\"", &format!("W/{tag}")] {
        assert_problem(&patch(&[("if-match", stale)]).await, 412, "precondition-failed", &[]);
    }
    assert_problem(&signed.send(Method::DELETE, &location, &[], "").await, 428, "precondition-required", &[]);
    assert_eq!(signed.get(&location).await.json()["name"], "Ada");
    let changed = patch(&[("if-match", &tag)]).await;
    assert_eq!((changed.status.as_u16(), changed.json()["name"].as_str()), (200, Some("Countess")));
    assert_ne!(changed.header("etag"), tag);
    assert_problem(&patch(&[("if-match", &tag)]).await, 412, "precondition-failed", &[]);
    assert_eq!(patch(&[("if-match", "*")]).await.status, 200);
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_named() {
    let signed = Signed::start().await;
    for (path, name) in [
        ("/api/v1/users?cursor=nonsense", "cursor"),
        ("/api/v1/users?cursor=%00", "cursor"),
        ("/api/v1/users?limit=0", "limit"),
        ("/api/v1/users?limit=201", "limit"),
        ("/api/v1/users?limit=many", "limit"),
        ("/api/v1/users?role=root", "role"),
        ("/api/v1/users/not-a-uuid", "id"),
    ] {
        assert_problem(&signed.get(path).await, 400, "invalid-request", &[name]);
    }
}

#[tokio::test]
async fn every_wrong_field_of_a_body_is_pointed_at_and_nothing_is_stored() {
    let signed = Signed::start().await;
    let body = json!({ "name": "", "role": "root", "password": "short", "admin": true });
    let refused = signed.create(&body).await;
    assert_problem(&refused, 400, "invalid-request", &["/admin", "/email", "/name", "/password", "/role"]);
    let mut long = ada();
    long["password"] = json!("hunter2!".repeat(125_000));
    let refused = signed.create(&long).await;
    assert_problem(&refused, 400, "invalid-request", &["/password"]);
    assert!(!refused.text().contains("hunter2"));
    for (body, place) in [
        (r#"{"email":"a@b.c","email":"d@e.f"}"#.to_owned(), "/email"),
        (format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), &*"/0".repeat(32)),
        (r#"{"email":"\u0000"}"#.to_owned(), "/email"),
        ("{".to_owned(), ""),
        ("\u{feff}{}".to_owned(), ""),
        (String::new(), ""),
        ("[]".to_owned(), ""),
        ("null".to_owned(), ""),
    ] {
        let refused = signed.send(Method::POST, "/api/v1/users", &[], &body).await;
        assert_problem(&refused, 400, "invalid-request", &[place]);
    }
    assert_eq!(signed.users().await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn only_json_of_at_most_a_mebibyte_is_read() {
    let signed = Signed::start().await;
    let bearer = format!("Bearer {}", signed.token);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let headers = [("authorization", &*bearer), ("content-type", content_type)];
        let refused =
            ask(&signed.app, Method::POST, "/api/v1/users", &headers, ada().to_string().as_bytes()).await;
        assert_problem(&refused, 415, "unsupported-media-type", &[]);
    }
    let headers = [("authorization", &*bearer)];
    let refused = ask(&signed.app, Method::POST, "/api/v1/users", &headers, b"{}").await;
    assert_problem(&refused, 415, "unsupported-media-type", &[]);

    // Ten megabytes, announced and not.
    let mut raw = RawConnection::open(signed.app.api).await;
    let head = format!(
        "POST /api/v1/users HTTP/1.1\r\nhost: localhost\r\nauthorization: {bearer}\r\ncontent-type: application/json\r\n"
    );
    raw.write(format!("{head}content-length: 10485760\r\n\r\n")).await.unwrap();
    assert_eq!(raw.read_answer().await.unwrap().second_word(), "413");
    let mut raw = RawConnection::open(signed.app.api).await;
    raw.write(format!("{head}transfer-encoding: chunked\r\n\r\n")).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..160 {
        // It may well close before all of it has come.
        if raw.write(&chunk).await.is_err() {
            break;
        }
    }
    assert_eq!(raw.read_answer().await.unwrap().second_word(), "413");
    assert_eq!(signed.users().await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn another_method_learns_which_are_allowed() {
    let signed = Signed::start().await;
    for (method, path, allow) in [
        (Method::DELETE, "/api/v1/users", "GET, HEAD, POST"),
        (Method::POST, "/api/v1/auth/me", "GET, HEAD"),
        (Method::POST, "/openapi.json", "GET, HEAD"),
        (Method::PUT, "/docs", "GET, HEAD"),
        (Method::from_bytes(b"BREW").unwrap(), "/api/v1/health", "GET, HEAD"),
    ] {
        let refused = signed.send(method.clone(), path, &[], "").await;
        assert_problem(&refused, 405, "method-not-allowed", &[]);
        assert_eq!(refused.header("allow"), allow, "{method} {path}");
    }
    let head = signed.send(Method::HEAD, "/api/v1/users", &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn who_asks_is_settled_before_what_is_asked() {
    let app = TestApp::start("").await;
    // Nobody learns from a refusal whether the body would have been right.
    let nobody = json_body(&app, Method::POST, "/api/v1/users", &[], "not json").await;
    assert_problem(&nobody, 401, "unauthorized", &[]);
    assert_eq!(nobody.header("www-authenticate"), "Bearer realm=\"levee\"");
    let refused = [("authorization", "Bearer lvk_nothing")];
    let refused = json_body(&app, Method::POST, "/api/v1/users", &refused, "not json").await;
    assert!(refused.header("www-authenticate").ends_with("error=\"invalid_token\""));
}

#[tokio::test]
async fn too_many_headers_and_too_long_ones_are_refused_here_too() {
    let app = TestApp::start("").await;
    let names: Vec<_> = (0..101).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (&**name, "1")).collect();
    let long = "a".repeat(70_000);
    for headers in [&many[..], &[("x-long", &*long)]] {
        let refused = client::send(app.api, made(Method::GET, "/api/v1/health", headers, b"")).await.unwrap();
        assert_eq!(refused.status, 431);
        assert_eq!(refused.json()["type"], "https://levee.dev/problems/headers-too-large");
    }
}
