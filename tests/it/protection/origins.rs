//! Pages of other origins, and what every answer tells a browser.

use http::Method;

use super::ask;
use crate::support::levee::TestApp;

const OURS: &str = "https://console.example.com";
const FOREIGN: &str = "https://evil.example.com";

async fn app() -> TestApp {
    TestApp::with("").env("LEVEE_CORS_ORIGINS", OURS).start().await
}

#[tokio::test]
async fn a_listed_origin_may_ask_and_a_foreign_one_learns_nothing() {
    let app = app().await;
    let read = ask(&app, Method::GET, "/api/v1/health", &[("origin", OURS)], b"").await;
    assert_eq!((read.status.as_u16(), read.header("access-control-allow-origin")), (200, OURS));
    assert_eq!(read.header("vary"), "Origin");
    let foreign = ask(&app, Method::GET, "/api/v1/health", &[("origin", FOREIGN)], b"").await;
    let told: Vec<_> =
        foreign.headers.keys().filter(|name| name.as_str().starts_with("access-control-")).collect();
    assert_eq!((foreign.status.as_u16(), told), (200, vec![]));
    assert_eq!(foreign.header("vary"), "Origin");
}

#[tokio::test]
async fn a_preflight_is_answered_without_proof_of_who_asks() {
    let app = app().await;
    let wanted = [("access-control-request-method", "PUT"), ("access-control-request-headers", "if-match")];
    let with = |origin| [("origin", origin), wanted[0], wanted[1]];
    let answer = ask(&app, Method::OPTIONS, "/api/v1/breakers/rates", &with(OURS), b"").await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("access-control-allow-methods").contains("PUT"));
    assert!(answer.header("access-control-allow-headers").contains("if-match"));
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    let foreign = ask(&app, Method::OPTIONS, "/api/v1/breakers/rates", &with(FOREIGN), b"").await;
    assert_eq!(foreign.status, 405);
    assert!(!foreign.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn every_answer_a_refusal_too_says_what_a_browser_may_do_with_it() {
    let app = TestApp::start("").await;
    for path in ["/api/v1/health", "/api/v1/users", "/nowhere", "/docs", "/openapi.json"] {
        let answer = ask(&app, Method::GET, path, &[], b"").await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert!(!answer.headers.contains_key("strict-transport-security"), "{path}");
    }
}

#[tokio::test]
async fn strict_transport_security_is_for_who_comes_by_tls_through_a_trusted_proxy() {
    let app = TestApp::with("").env("LEVEE_TRUSTED_PROXIES", "127.0.0.0/8").start().await;
    let tls = [("x-forwarded-proto", "https"), ("x-forwarded-for", "203.0.113.9")];
    let answer = ask(&app, Method::GET, "/api/v1/health", &tls, b"").await;
    assert!(answer.header("strict-transport-security").starts_with("max-age="));
    let stranger = TestApp::start("").await;
    let answer = ask(&stranger, Method::GET, "/api/v1/health", &tls, b"").await;
    assert!(!answer.headers.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn long_text_is_compressed_for_who_accepts_it() {
    let app = TestApp::start("").await;
    let plain = ask(&app, Method::GET, "/openapi.json", &[], b"").await;
    let gzipped = ask(&app, Method::GET, "/openapi.json", &[("accept-encoding", "gzip")], b"").await;
    assert_eq!((gzipped.status.as_u16(), gzipped.header("content-encoding")), (200, "gzip"));
    assert!(gzipped.body.len() * 3 < plain.body.len());
    for answer in [&plain, &gzipped] {
        assert!(answer.header("vary").contains("Accept-Encoding"));
    }
    let short = ask(&app, Method::GET, "/api/v1/health", &[("accept-encoding", "gzip")], b"").await;
    assert!(!short.headers.contains_key("content-encoding"));
}
