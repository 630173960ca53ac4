//! What the ops port says at each path.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::health::Check;
use super::{REQUEST_TIMEOUT, Served};
use crate::telemetry::metrics::Format;

const TEXT: &str = "text/plain; charset=utf-8";
const PATHS: &str = "/livez /readyz /startupz /status /metrics\n";

/// The answer to one request; its body is never read.
pub(super) async fn answer(
    request: Request<Incoming>,
    served: Arc<Served>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if !matches!(path, "/livez" | "/readyz" | "/startupz" | "/status" | "/metrics") {
        return Ok(response(StatusCode::NOT_FOUND, TEXT, format!("nothing here; there is {PATHS}")));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    let query = request.uri().query().unwrap_or_default();
    let verbose = query.split('&').any(|pair| pair.split('=').next() == Some("verbose"));
    let health = &served.health;
    Ok(match path {
        "/livez" => probe(&[health.heart(Instant::now())], verbose),
        "/startupz" => probe(&[health.startup()], verbose),
        "/readyz" => probe(&[health.snapshot(), health.drain()], verbose),
        "/status" => status(served).await,
        _ => metrics(&request, served).await,
    })
}

fn probe(checks: &[Check], verbose: bool) -> Response<Full<Bytes>> {
    let failed = checks.iter().find_map(|check| check.fault.as_ref());
    let mut body = String::new();
    for check in checks.iter().filter(|_| verbose) {
        let line = match &check.fault {
            None => writeln!(body, "[+] {}: ok", check.name),
            Some(fault) => writeln!(body, "[-] {}: {fault}", check.name),
        };
        line.expect("writing to a string cannot fail");
    }
    let verdict = failed.map_or("ok", String::as_str);
    let status = if failed.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    response(status, TEXT, format!("{body}{verdict}\n"))
}

async fn status(served: Arc<Served>) -> Response<Full<Bytes>> {
    let own = json!({
        "phase": served.health.phase(),
        "live": served.health.heart(Instant::now()).fault.is_none(),
    });
    let asked = ask(move || {
        let mut members = own;
        if let (Value::Object(members), Value::Object(more)) = (&mut members, (served.sources.status)()) {
            members.extend(more);
        }
        members.to_string()
    });
    match asked.await {
        Ok(body) => response(StatusCode::OK, "application/json", body + "\n"),
        Err(refusal) => refusal,
    }
}

async fn metrics(request: &Request<Incoming>, served: Arc<Served>) -> Response<Full<Bytes>> {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    match ask(move || (served.sources.metrics)(format)).await {
        Ok(body) => response(StatusCode::OK, format.content_type(), body),
        Err(refusal) => refusal,
    }
}

/// Asks a source off this thread: one that waits for a lock of a wedged runtime must not silence the probes.
async fn ask(source: impl FnOnce() -> String + Send + 'static) -> Result<String, Response<Full<Bytes>>> {
    match timeout(REQUEST_TIMEOUT, spawn_blocking(source)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let detail = "the answer could not be made; see the log\n".to_owned();
            Err(response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, detail))
        }
        Err(_) => {
            let detail = "the process did not answer in time\n".to_owned();
            Err(response(StatusCode::SERVICE_UNAVAILABLE, TEXT, detail))
        }
    }
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
