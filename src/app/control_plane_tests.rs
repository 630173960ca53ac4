//! The control plane as it is served, with breakers made up for the purpose.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use poem::http::{Method, StatusCode};
use poem::{Endpoint, Request, Response};
use serde_json::{Value, json};

use crate::api::document::{self, Format};
use crate::api::{Services, routes};
use crate::middleware;
use crate::services::breakers::{BreakerMode, BreakerReport, BreakerState, BreakersService};
use crate::services::health::HealthService;
use crate::telemetry::metrics::Metrics;

fn report(upstream: &str, operation: Option<&str>) -> BreakerReport {
    BreakerReport {
        upstream: upstream.to_owned(),
        operation: operation.map(str::to_owned),
        mode: BreakerMode::Auto,
        state: BreakerState::HalfOpen,
        since: SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_250),
        reason: None,
        retry_after_seconds: None,
        failure_rate: 0.25,
        calls: 8,
        failures: 2,
        slow: 1,
    }
}

async fn send(method: Method, path: &str) -> Response {
    let breakers = BreakersService::new(|| vec![report("rates", Some("quote")), report("rates", None)]);
    let services = Services { breakers, health: HealthService::new(|| 7) };
    let api = middleware::control_plane(routes(services), Arc::new(Metrics::new("0", "0")));
    let request = Request::builder().method(method).uri(path.parse().unwrap()).finish();
    api.get_response(request).await
}

async fn read(path: &str) -> (StatusCode, Value) {
    let response = send(Method::GET, path).await;
    (response.status(), response.into_body().into_json().await.unwrap())
}

#[tokio::test]
async fn health_names_the_version_and_the_snapshot() {
    let wanted = json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION"), "revision": 7 });
    assert_eq!(read("/api/v1/health").await, (StatusCode::OK, wanted));
}

#[tokio::test]
async fn a_breaker_is_plain_json_without_absent_fields() {
    let response = send(Method::GET, "/api/v1/breakers/rates").await;
    assert_eq!(response.content_type(), Some("application/json"));
    let body: Value = response.into_body().into_json().await.unwrap();
    let wanted = json!({
        "upstream": "rates", "mode": "auto", "state": "half_open", "since": "2027-01-15T08:00:00Z",
        "failureRate": 0.25, "calls": 8, "failures": 2, "slow": 1,
    });
    assert_eq!(body, wanted);
}

#[tokio::test]
async fn an_operation_is_named_in_the_query() {
    assert_eq!(read("/api/v1/breakers/rates?operation=quote").await.1["operation"], "quote");
    assert_eq!(read("/api/v1/breakers/rates?operation=other").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_list_is_walked_by_its_cursors() {
    let (_, first) = read("/api/v1/breakers?limit=1").await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = read(&format!("/api/v1/breakers?limit=1&cursor={next}")).await;
    assert_eq!(first["items"][0].get("operation"), None);
    assert_eq!(second["items"][0]["operation"], "quote");
    assert_eq!(second.get("next"), None);
}

#[tokio::test]
async fn bad_parameters_are_named() {
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("cursor=x", "cursor"),
    ] {
        let (status, body) = read(&format!("/api/v1/breakers?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(body["type"], "https://levee.dev/problems/invalid-request", "{query}");
        assert_eq!(body["errors"][0]["pointer"], name, "{query}");
    }
}

#[tokio::test]
async fn unknown_paths_are_problems_that_name_the_request() {
    for path in [
        "/",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v1/breakers/nope",
        "/api/v1/breakers/%ff",
        "/api/v1/breakers/",
    ] {
        let response = send(Method::GET, path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(response.content_type(), Some("application/problem+json"), "{path}");
        let id = response.header("x-request-id").unwrap().to_owned();
        let body: Value = response.into_body().into_json().await.unwrap();
        assert_eq!(body["instance"], format!("request:{id}"), "{path}");
    }
}

#[tokio::test]
async fn every_described_path_refuses_other_methods_with_an_allow_header() {
    for path in
        ["/api/v1/health", "/api/v1/breakers", "/api/v1/breakers/rates", "/openapi.json", "/openapi.yaml"]
    {
        let response = send(Method::DELETE, path).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(response.header("allow"), Some("GET, HEAD"), "{path}");
        assert_eq!(send(Method::HEAD, path).await.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn the_document_is_served_in_both_formats() {
    let json = send(Method::GET, "/openapi.json").await;
    assert_eq!(json.content_type(), Some("application/json"));
    assert_eq!(json.into_body().into_json::<Value>().await.unwrap(), document::document());
    let yaml = send(Method::GET, "/openapi.yaml").await;
    assert_eq!(yaml.content_type(), Some("application/yaml"));
    let text = yaml.into_body().into_string().await.unwrap();
    assert_eq!(text, document::render(&document::document(), Format::Yaml));
}
