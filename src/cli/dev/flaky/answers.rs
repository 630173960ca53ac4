//! What `flaky` answers at ordinary paths while it behaves.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::Body;
use crate::models::decode::quantity::parse_duration;

/// Largest body `/echo` sends back, bytes.
const ECHO_LIMIT: usize = 1024 * 1024;
/// When all items changed last: 2026-01-01T00:00:00Z.
const MODIFIED: Duration = Duration::from_secs(1_767_225_600);

/// The answer to one request, the `served`th that was answered.
pub(super) async fn answer(request: Request<Incoming>, served: u64) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/echo" {
        return echo(request, served).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused =
            json_response(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "only GET and HEAD" }));
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path.as_str() {
        "/hello" => {
            json_response(StatusCode::OK, &json!({ "message": "hello from flaky", "served": served }))
        }
        "/time" => time(served),
        "/stream" => numbers(request.uri().query().unwrap_or_default()),
        path => match path.strip_prefix("/items/").filter(|id| !id.is_empty() && !id.contains('/')) {
            Some(id) => item(id, request.headers(), served),
            None => nothing_here(),
        },
    }
}

/// A failure of the kind that was ordered.
pub(super) fn failure(status: StatusCode) -> Response<Body> {
    json_response(status, &json!({ "error": "flaky was told to fail" }))
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(whole(format!("{body}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn whole(body: String) -> Body {
    Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed()
}

fn nothing_here() -> Response<Body> {
    let paths = ["/hello", "/time", "/items/{id}", "/echo", "/stream", super::control::PATH];
    json_response(StatusCode::NOT_FOUND, &json!({ "error": "nothing here", "paths": paths }))
}

/// Cacheable for 5 s, and 30 s more while a refresh runs (RFC 5861).
fn time(served: u64) -> Response<Body> {
    let now = httpdate::fmt_http_date(SystemTime::now());
    let mut response = json_response(StatusCode::OK, &json!({ "time": now, "served": served }));
    let directives = HeaderValue::from_static("public, max-age=5, stale-while-revalidate=30");
    response.headers_mut().insert(CACHE_CONTROL, directives);
    response
}

/// Has validators, and answers 304 to the caller who holds it already.
fn item(id: &str, headers: &HeaderMap, served: u64) -> Response<Body> {
    let tag = format!("\"{:08x}\"", xxhash_rust::xxh3::xxh3_64(id.as_bytes()) as u32);
    let mut response = if held(headers, &tag) {
        let mut response = Response::new(whole(String::new()));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        json_response(StatusCode::OK, &json!({ "id": id, "name": format!("item {id}"), "served": served }))
    };
    let modified = httpdate::fmt_http_date(UNIX_EPOCH + MODIFIED);
    for (name, value) in [(ETAG, tag), (LAST_MODIFIED, modified), (CACHE_CONTROL, "max-age=2".to_owned())] {
        response.headers_mut().insert(name, HeaderValue::try_from(value).expect("made of visible ASCII"));
    }
    response
}

/// RFC 9110 section 13.2.2: a tag outweighs a date.
fn held(headers: &HeaderMap, tag: &str) -> bool {
    let mut tags = headers.get_all(IF_NONE_MATCH).iter().peekable();
    if tags.peek().is_some() {
        let mut listed = tags.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
        return listed
            .any(|known| matches!(known.trim(), "*") || known.trim().trim_start_matches("W/") == tag);
    }
    let since = headers.get(IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    since
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .is_some_and(|date| date >= UNIX_EPOCH + MODIFIED)
}

async fn echo(request: Request<Incoming>, served: u64) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, ECHO_LIMIT).collect().await else {
        let detail = format!("a body of at most {ECHO_LIMIT} bytes is expected");
        return json_response(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "error": detail }));
    };
    let body = body.to_bytes();
    let mut headers = Map::new();
    for name in head.headers.keys() {
        let values = head.headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        headers.insert(name.as_str().to_owned(), values.collect::<Vec<_>>().join(", ").into());
    }
    let told = json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "headers": headers,
        "bytes": body.len(),
        "body": String::from_utf8_lossy(&body),
        "served": served,
    });
    json_response(StatusCode::OK, &told)
}

/// One number a line, `count` of them (10, at most 1,000), `every` so long (500ms, at most 10 s).
fn numbers(query: &str) -> Response<Body> {
    let given = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let count: u32 = given("count").map_or(Some(10), |text| text.parse().ok()).unwrap_or(10).min(1000);
    let every = given("every").and_then(parse_duration).unwrap_or(Duration::from_millis(500));
    let every = every.min(Duration::from_secs(10));
    let lines = stream::unfold(0, move |sent| async move {
        if sent == count {
            return None;
        }
        if sent > 0 {
            sleep(every).await;
        }
        let line = Frame::data(Bytes::from(format!("{{\"number\":{}}}\n", sent + 1)));
        Some((Ok::<_, io::Error>(line), sent + 1))
    });
    let mut response = Response::new(StreamBody::new(lines).boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}
