//! Against httpbin: methods, statuses, redirects, cookies, delays and compression pass as HTTP says they should.

use http::Method;
use serde_json::json;

use super::{get_with, problem, upstream, with_headers};
use crate::support::client::{self, Connection};
use crate::support::httpbin::httpbin;
use crate::support::levee::TestApp;

async fn before_httpbin(spec: &[&str]) -> TestApp {
    TestApp::start(upstream("bin", &format!("http://{}", httpbin().await), spec)).await
}

#[tokio::test]
async fn every_method_arrives_with_its_query_headers_and_body() {
    let app = before_httpbin(&[]).await;
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let path = "/proxy/bin/anything/a%2Fb?x=1&y=%20&x=2&show_env=1";
        let mut request = with_headers(path, &[("x-own", "1"), ("content-type", "text/plain")]);
        *request.method_mut() = method.clone();
        *request.body_mut() = "some body".into();
        let answer = client::send(app.data, request).await.unwrap();
        let echo = answer.json();
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(echo["method"], method.as_str());
        assert_eq!(echo["args"], json!({"x": ["1", "2"], "y": " ", "show_env": "1"}), "{method}");
        assert_eq!(echo["data"], "some body", "{method}");
        assert_eq!(echo["headers"]["X-Own"], "1", "{method}");
        assert_eq!(echo["headers"]["Host"], httpbin().await.to_string(), "{method}");
        assert!(echo["headers"]["Via"].as_str().unwrap().starts_with("1.1 levee-"), "{method}");
    }
}

#[tokio::test]
async fn head_and_options_have_headers_and_no_body() {
    let app = before_httpbin(&[]).await;
    let length = app.get("/proxy/bin/html").await.body.len();
    let head = client::send_body(app.data, Method::HEAD, "/proxy/bin/html", b"").await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, &*length.to_string()));
    assert!(head.body.is_empty());
    let options = client::send_body(app.data, Method::OPTIONS, "/proxy/bin/get", b"").await;
    let mut allowed: Vec<_> = options.header("allow").split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "OPTIONS"]);
    assert!(options.body.is_empty());
}

#[tokio::test]
async fn the_upstreams_statuses_are_the_callers_good_or_bad() {
    let app = before_httpbin(&[]).await;
    let address = httpbin().await;
    for status in [200, 201, 204, 304, 400, 401, 403, 404, 409, 418, 429, 500, 501] {
        let answer = app.get(&format!("/proxy/bin/status/{status}")).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.body, client::get(address, &format!("/status/{status}")).await.body, "{status}");
        assert_eq!((answer.header("levee-answer"), answer.header("levee-attempts")), ("upstream", "1"));
    }
}

#[tokio::test]
async fn a_503_is_asked_again_and_then_passed_on() {
    let app = before_httpbin(&["retry: { attempts: 3, backoff: { base: 1ms, throttledBase: 1ms } }"]).await;
    let answer = app.get("/proxy/bin/status/503").await;
    assert_eq!((answer.status.as_u16(), answer.header("levee-attempts")), (503, "3"));
    assert_eq!(answer.header("levee-answer"), "upstream");
    assert_eq!(answer.header("proxy-status"), r#"levee; received-status=503; next-hop="bin""#);
    let posted = client::send_body(app.data, Method::POST, "/proxy/bin/status/503", b"once").await;
    assert_eq!((posted.status.as_u16(), posted.header("levee-attempts")), (503, "1"));
}

#[tokio::test]
async fn a_delay_is_waited_for_as_long_as_the_caller_wants() {
    let app = before_httpbin(&[]).await;
    assert_eq!(app.get("/proxy/bin/delay/1").await.status, 200);
    let impatient = get_with(&app, "/proxy/bin/delay/9", &[("levee-timeout", "150ms")]).await;
    assert_eq!(problem(&impatient), (504, "upstream-timeout".to_owned()));
    assert_eq!(impatient.header("proxy-status"), r#"levee; error=http_response_timeout; next-hop="bin""#);
}

#[tokio::test]
async fn compressed_answers_stay_as_they_are() {
    let app = before_httpbin(&[]).await;
    for (path, coding, magic) in
        [("gzip", "gzip", &[0x1f, 0x8b][..]), ("deflate", "deflate", &[0x78][..]), ("brotli", "br", &[][..])]
    {
        let answer =
            get_with(&app, &format!("/proxy/bin/{path}"), &[("accept-encoding", "gzip, deflate, br")]).await;
        assert_eq!(answer.header("content-encoding"), coding);
        assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "{coding}");
        assert!(answer.body.starts_with(magic), "{coding}");
        assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err(), "{coding} was undone");
    }
}

#[tokio::test]
async fn large_bodies_arrive_whole_by_length_and_by_chunks() {
    let app = before_httpbin(&[]).await;
    for path in ["/bytes/102400?seed=7", "/stream-bytes/102400?seed=7&chunk_size=1000"] {
        let direct = client::get(httpbin().await, path).await;
        let through = app.get(&format!("/proxy/bin{path}")).await;
        assert_eq!(through.body.len(), 102_400, "{path}");
        assert!(through.body == direct.body, "{path}: other bytes");
    }
    let lines = app.get("/proxy/bin/stream/50").await;
    assert_eq!(lines.text().lines().count(), 50);
}

#[tokio::test]
async fn what_the_upstream_drips_arrives_in_drops() {
    let app = before_httpbin(&[]).await;
    let mut connection = Connection::open(app.data).await;
    let request = client::request("/proxy/bin/drip?numbytes=5&duration=2&delay=0");
    let mut body = connection.begin(request).await.unwrap().into_body();
    let mut drops = Vec::new();
    while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
        drops.push(frame.unwrap().into_data().unwrap().len());
    }
    assert_eq!(drops.iter().sum::<usize>(), 5);
    assert!(drops.len() > 1, "the body was held back until its end: {drops:?}");
}

#[tokio::test]
async fn redirects_are_the_callers_to_follow_and_lead_through_levee() {
    let app = before_httpbin(&[]).await;
    let address = httpbin().await;
    for (path, location) in [
        ("/redirect/1".to_owned(), "/proxy/bin/get"),
        ("/absolute-redirect/1".to_owned(), "/proxy/bin/get"),
        ("/relative-redirect/1".to_owned(), "/proxy/bin/get"),
        (format!("/redirect-to?url=http://{address}/a%3Fb=c"), "/proxy/bin/a?b=c"),
        ("/redirect-to?url=https://example.com/x".to_owned(), "https://example.com/x"),
    ] {
        let answer = app.get(&format!("/proxy/bin{path}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, location), "{path}");
    }
    assert_eq!(app.get(app.get("/proxy/bin/redirect/1").await.header("location")).await.status, 200);
}

#[tokio::test]
async fn references_and_cookies_of_the_upstream_become_ours() {
    let app = before_httpbin(&[]).await;
    let set = app.get("/proxy/bin/cookies/set?crumb=1").await;
    assert_eq!(set.header("set-cookie"), "crumb=1; Path=/proxy/bin/");
    let kept = get_with(&app, "/proxy/bin/cookies", &[("cookie", "crumb=1")]).await;
    assert_eq!(kept.json(), json!({"cookies": {"crumb": "1"}}));
    for (name, value, becomes) in [
        ("Set-Cookie", "a=b; Domain=example.com; Path=/x; HttpOnly", "a=b; HttpOnly; Path=/proxy/bin/x"),
        ("Link", "</get?page=2>; rel=\"next\"", "</proxy/bin/get?page=2>; rel=\"next\""),
        ("Content-Location", "/get", "/proxy/bin/get"),
    ] {
        let query = value.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let answer = app.get(&format!("/proxy/bin/response-headers?{name}={query}")).await;
        assert_eq!(answer.header(&name.to_lowercase()), becomes);
    }
}

#[tokio::test]
async fn a_page_of_the_upstream_is_kept_from_running_as_ours() {
    let app = before_httpbin(&[]).await;
    let page = app.get("/proxy/bin/html").await;
    assert_eq!(page.header("content-security-policy"), "sandbox");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let json = app.get("/proxy/bin/json").await;
    assert_eq!(json.header("content-security-policy"), "");
}
