//! HTTP/2 over TLS with a private authority, against nginx.

use super::{problem, upstream};
use crate::support::client::{self, Connection, burst};
use crate::support::levee::TestApp;
use crate::support::nginx::{LARGE, large_byte, nginx};

/// `spec` with the authority that vouches for nginx.
fn trusting(ca: &str) -> Vec<String> {
    let pem = ca.lines().map(|line| format!("    {line}"));
    ["tls:".to_owned(), "  ca: |".to_owned()].into_iter().chain(pem).collect()
}

async fn before_nginx(ca: &str, host: &str) -> TestApp {
    before_nginx_under(ca, host, &[]).await
}

/// The same with further lines of policy.
async fn before_nginx_under(ca: &str, host: &str, policy: &[&str]) -> TestApp {
    let url = format!("https://{host}:{}", nginx().await.https.port());
    let spec: Vec<_> = trusting(ca).into_iter().chain(policy.iter().map(ToString::to_string)).collect();
    TestApp::start(upstream("secure", &url, &spec.iter().map(String::as_str).collect::<Vec<_>>())).await
}

#[tokio::test]
async fn an_upstream_that_speaks_http_2_is_spoken_to_in_it() {
    let ca = &nginx().await.ca;
    for host in ["localhost", "127.0.0.1"] {
        let app = before_nginx(ca, host).await;
        assert_eq!(app.get("/proxy/secure/protocol").await.text(), "HTTP/2.0 https", "{host}");
        let port = nginx().await.https.port();
        assert_eq!(app.get("/proxy/secure/host").await.text(), format!("{host}:{port}"));
        let moved = app.get("/proxy/secure/moved").await;
        assert_eq!(moved.header("location"), "/proxy/secure/small.txt", "{host}");
    }
}

#[tokio::test]
async fn many_calls_share_one_http_2_connection_to_the_upstream() {
    let app = before_nginx(&nginx().await.ca, "localhost").await;
    let data = app.data;
    let first = app.get("/proxy/secure/connection").await.text().to_owned();
    let h2 = Connection::open_h2c(data).await;
    let over_one =
        burst(50, |number| {
            let mut stream = h2.another_stream();
            async move {
                stream.send(client::request(&format!("/proxy/secure/connection?{number}"))).await.unwrap()
            }
        })
        .await;
    let over_many =
        burst(
            50,
            |number| async move { client::get(data, &format!("/proxy/secure/connection?m{number}")).await },
        )
        .await;
    for answer in over_one.iter().chain(&over_many) {
        assert_eq!((answer.status.as_u16(), answer.text()), (200, &*first));
    }
}

#[tokio::test]
async fn large_files_come_whole_at_once_over_one_connection() {
    let app = before_nginx(&nginx().await.ca, "localhost").await;
    let data = app.data;
    let lengths = burst(3, |_| async move {
        let answer = client::get(data, "/proxy/secure/large.bin").await;
        let same = answer.body.iter().enumerate().all(|(index, byte)| *byte == large_byte(index));
        (answer.body.len(), same)
    })
    .await;
    assert_eq!(lengths, [(LARGE, true); 3]);
}

#[tokio::test]
async fn callers_who_do_not_read_keep_no_bytes_from_others_on_the_same_connection() {
    let policy = ["cache: { mode: off }", "timeout: { idleBody: 2s }"];
    let app = before_nginx_under(&nginx().await.ca, "localhost", &policy).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut caller = Connection::open_h2c(app.data).await;
        let answer = caller.begin(client::request("/proxy/secure/large.bin")).await.unwrap();
        assert_eq!(answer.status(), 200);
        slow.push((caller, answer));
    }
    let first = app.get("/proxy/secure/connection").await.text().to_owned();
    for _ in 0..100 {
        assert_eq!(
            app.get("/proxy/secure/connection").await.text(),
            first,
            "none needs a connection of its own"
        );
    }
    let breaker = app.ask("/api/v1/breakers/secure").await.json();
    assert_eq!(breaker["failures"], 0);
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_trusted() {
    let url = format!("https://localhost:{}", nginx().await.https.port());
    let system_roots = TestApp::start(upstream("secure", &url, &["retry: { attempts: 1 }"])).await;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let other_authority = before_nginx(&other, "localhost").await;
    for app in [system_roots, other_authority] {
        let answer = app.get("/proxy/secure/protocol").await;
        assert_eq!(problem(&answer), (502, "upstream-unreachable".to_owned()));
        assert_eq!(answer.header("proxy-status"), r#"levee; error=tls_certificate_error; next-hop="secure""#);
    }
}

#[tokio::test]
async fn a_cleartext_upstream_behind_https_is_told_as_a_failure_of_tls() {
    let url = format!("https://localhost:{}", nginx().await.http.port());
    let app = TestApp::start(upstream("secure", &url, &["retry: { attempts: 1 }"])).await;
    let answer = app.get("/proxy/secure/protocol").await;
    assert_eq!(problem(&answer), (502, "upstream-unreachable".to_owned()));
    assert_eq!(answer.header("proxy-status"), r#"levee; error=tls_protocol_error; next-hop="secure""#);
}
