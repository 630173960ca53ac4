//! The line for every request, and what nobody can make it say.

use http::Method;
use serde_json::Value;

use super::ask;
use crate::support::client::RawConnection;
use crate::support::levee::TestApp;
use crate::support::until::until;

const SOON: std::time::Duration = std::time::Duration::from_secs(10);

/// The fields of the line of the request of this name.
async fn line_of(app: &TestApp, id: &str) -> Value {
    let find = || {
        let lines = app.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let mut fields = lines.map(|line| line.get("fields").cloned().unwrap_or(line));
        fields.find(|fields| fields["request_id"] == id && fields["method"].is_string())
    };
    until("the request is in the log", SOON, async || find().is_some()).await;
    find().unwrap()
}

#[tokio::test]
async fn a_request_is_one_line_with_its_template_and_without_its_query() {
    let app = TestApp::start("").await;
    let headers =
        [("x-request-id", "line-1"), ("user-agent", "probe/1.0"), ("authorization", "Bearer lvk_seeded")];
    ask(&app, Method::GET, "/api/v1/breakers/secretive?operation=hunter2", &headers, b"").await;
    let line = line_of(&app, "line-1").await;
    assert_eq!(line["message"], "request");
    assert_eq!(line["route"], "/api/v1/breakers/{upstream}");
    assert_eq!((line["method"].as_str(), line["status"].as_u64()), (Some("GET"), Some(401)));
    assert_eq!((line["principal"].as_str(), line["address"].as_str()), (Some("refused"), Some("127.0.0.1")));
    assert_eq!(line["user_agent"], "probe/1.0");
    assert!(line["took_ms"].as_f64().is_some_and(|took| took >= 0.0));
    let log = app.log().join("\n");
    for secret in ["hunter2", "lvk_seeded", "secretive"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn no_client_writes_lines_or_colours_of_its_own() {
    let app = TestApp::with("").env("LEVEE_LOG_FORMAT", "text").start().await;
    // What cannot be in a header is refused before anything looks at it.
    let mut raw = RawConnection::open(app.api).await;
    let escape = b"GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\nuser-agent: a\x1b[2J\r\n\r\n";
    raw.write(escape).await.unwrap();
    assert_eq!(raw.read_answer().await.unwrap().second_word(), "400");
    let mut raw = RawConnection::open(app.api).await;
    let head = b"GET /api/v1/users/%0d%0aERROR%20forged?x=%1b[31m HTTP/1.1\r\nhost: localhost\r\n\
        user-agent: a\xc2\x9b31m\tERROR forged by \xe2\x80\xae agent\r\nx-request-id: forged-1\r\n\r\n";
    raw.write(head).await.unwrap();
    raw.read_answer().await.unwrap();
    let body = br#"{"email":"a@b.c\r\nERROR forged by e-mail\u001b[31m","password":"x"}"#;
    let json = [("content-type", "application/json")];
    ask(&app, Method::POST, "/api/v1/auth/login", &json, body).await;
    ask(&app, Method::GET, "/api/v1/health", &[("x-request-id", "last-1")], b"").await;
    let seen = |id: &str| app.log().iter().any(|line| line.contains(id));
    until("both are in the log", SOON, async || seen("forged-1") && seen("last-1")).await;
    for line in app.log() {
        assert!(!line.trim_start().starts_with("ERROR forged"), "{line:?}");
        assert!(!line.contains(['\u{9b}', '\u{202e}', '\u{1b}']), "{line:?}");
        assert!(!line.contains("%0d%0a"), "a path is not logged: {line:?}");
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_named_and_a_forger_is_not_believed() {
    let app = TestApp::with("").env("LEVEE_TRUSTED_PROXIES", "127.0.0.1/32").start().await;
    for (id, forwarded, seen) in [
        ("through-1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("through-2", "[2001:db8::7]:4711", "2001:db8::7"),
        ("through-3", "6.6.6.6, nonsense", "127.0.0.1"),
    ] {
        ask(
            &app,
            Method::GET,
            "/api/v1/health",
            &[("x-request-id", id), ("x-forwarded-for", forwarded)],
            b"",
        )
        .await;
        assert_eq!(line_of(&app, id).await["address"], seen, "{forwarded}");
    }
}

#[tokio::test]
async fn the_metrics_count_by_template() {
    let app = TestApp::start("").await;
    ask(&app, Method::GET, "/api/v1/breakers/rates", &[], b"").await;
    ask(&app, Method::GET, "/api/v1/nothing/here", &[], b"").await;
    let one = r#"levee_http_requests_total{method="GET",route="/api/v1/breakers/{upstream}",status="401"}"#;
    assert_eq!(app.metric(one).await, Some(1.0));
    let other = r#"levee_http_requests_total{method="GET",route="_other",status="404"}"#;
    assert_eq!(app.metric(other).await, Some(1.0));
}
