//! Tests of the outer layer with endpoints that go wrong on purpose.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use poem::endpoint::make_sync;
use serde_json::json;

use super::*;

async fn told(endpoint: impl Endpoint, path: &str) -> (StatusCode, Option<String>, Value) {
    let document = json!({ "paths": { "/a/{id}": { "get": {}, "delete": {} } } });
    let request = Request::builder().uri(path.parse().unwrap()).header("x-request-id", "r-1").finish();
    let response = Problems::new(&document, ["/b"]).around(endpoint).get_response(request).await;
    assert_eq!(response.content_type(), Some("application/problem+json"));
    let allow = response.header(ALLOW).map(str::to_owned);
    (response.status(), allow, response.into_body().into_json().await.unwrap())
}

#[tokio::test]
async fn a_panic_is_an_internal_problem_that_shows_nothing() {
    let endpoint = make_sync(|_| -> Response { panic!("the password is hunter2") });
    let (status, _, body) = told(endpoint, "/a/1").await;
    assert_eq!(status, 500);
    assert_eq!(body["type"], "https://levee.dev/problems/internal");
    assert_eq!(body["instance"], "request:r-1");
    assert!(!body.to_string().contains("hunter2"));
}

#[tokio::test]
async fn a_cause_is_logged_once_under_the_name_of_its_request() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    told(make_sync(|_| Err::<(), _>(Error::from(ApiError(Failure::internal("disk full"))))), "/a/1").await;
    told(make_sync(|_| Err::<(), _>(Error::from(ApiError(Failure::not_found("no such thing"))))), "/a/1")
        .await;
    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(
        log.contains("disk full") && log.contains("request_id=r-1") && log.contains("route=\"/a/{id}\""),
        "{log}"
    );
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_inside_error_shows_nothing_of_its_cause() {
    let endpoint =
        make_sync(|_| Err::<(), _>(Error::new(io::Error::other("10.0.0.7"), StatusCode::BAD_GATEWAY)));
    let (status, _, body) = told(endpoint, "/a/1").await;
    assert_eq!(status, 500);
    assert!(!body.to_string().contains("10.0.0.7"));
}

#[tokio::test]
async fn a_refused_method_learns_which_are_allowed() {
    let refuse = || make_sync(|_| Err::<(), Error>(poem::error::MethodNotAllowedError.into()));
    let (status, allow, body) = told(refuse(), "/a/1").await;
    assert_eq!((status.as_u16(), body["status"].as_u64()), (405, Some(405)));
    assert_eq!(allow.as_deref(), Some("GET, HEAD, DELETE"));
    assert_eq!(told(refuse(), "/b").await.1.as_deref(), Some("GET, HEAD"));
    assert_eq!(told(refuse(), "/a/1/more").await.1, None);
}

async fn header(error: Failure, name: poem::http::HeaderName) -> Option<String> {
    let refuse = parking_lot::Mutex::new(Some(error));
    let endpoint = make_sync(move |_| Err::<(), _>(Error::from(ApiError(refuse.lock().take().unwrap()))));
    let response = Problems::new(&json!({}), []).around(endpoint).get_response(Request::default()).await;
    response.header(name).map(str::to_owned)
}

#[tokio::test]
async fn who_has_not_proved_who_it_is_learns_how() {
    let challenge = header(Failure::unauthorized("Sign in."), WWW_AUTHENTICATE).await;
    assert_eq!(challenge.as_deref(), Some("Bearer realm=\"levee\""));
    assert_eq!(header(Failure::forbidden("No."), WWW_AUTHENTICATE).await, None);
}

#[tokio::test]
async fn when_to_come_back_is_said_in_whole_seconds() {
    let limited = Failure::rate_limited("Too many.", Duration::from_millis(1200));
    assert_eq!(header(limited, RETRY_AFTER).await.as_deref(), Some("2"));
    assert_eq!(header(Failure::unavailable("gone"), RETRY_AFTER).await.as_deref(), Some("1"));
}
