//! `/_flaky`: shows and changes the behaviour. Fields left out keep their value.
//!
//! `PUT` with a JSON object, or `POST` with the same fields in the query.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::Body;
use super::answers::json_response;
use super::behaviour::{Behaviour, Fault};

pub(super) const PATH: &str = "/_flaky";

/// More than any change needs, bytes.
const BODY_LIMIT: usize = 4096;

/// The answer to a request for [`PATH`].
pub(super) async fn answer(
    request: Request<Incoming>,
    behaviour: &watch::Sender<Behaviour>,
) -> Response<Body> {
    if request.headers().contains_key(ORIGIN) && request.method() != Method::GET {
        return problem(StatusCode::FORBIDDEN, "a page in a browser may not change this", &[]);
    }
    let fields = match *request.method() {
        Method::GET | Method::HEAD => Ok(Map::new()),
        Method::PUT | Method::POST => given(request).await,
        _ => {
            let mut refused = problem(StatusCode::METHOD_NOT_ALLOWED, "only GET, PUT and POST", &[]);
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, PUT, POST"));
            return refused;
        }
    };
    match fields.and_then(|fields| change(behaviour, &fields)) {
        Ok(shown) => json_response(StatusCode::OK, &shown),
        Err(faults) => problem(StatusCode::BAD_REQUEST, "the behaviour was not changed", &faults),
    }
}

fn change(behaviour: &watch::Sender<Behaviour>, fields: &Map<String, Value>) -> Result<Value, Vec<Fault>> {
    let mut outcome = Ok(());
    behaviour.send_if_modified(|current| match current.changed(fields) {
        Ok(changed) => std::mem::replace(current, changed) != *current,
        Err(faults) => {
            outcome = Err(faults);
            false
        }
    });
    outcome.map(|()| behaviour.borrow().shown())
}

/// The fields of the query and of the body, when there is one.
async fn given(request: Request<Incoming>) -> Result<Map<String, Value>, Vec<Fault>> {
    let query = request.uri().query().unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut fields: Map<String, Value> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(field, value)| (field.to_owned(), Value::from(value)))
        .collect();
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
    let body = body.map_err(|error| in_body(format!("{error}; at most {BODY_LIMIT} bytes")))?.to_bytes();
    if !body.is_empty() {
        fields.extend(object(&body)?);
    }
    Ok(fields)
}

fn object(body: &Bytes) -> Result<Map<String, Value>, Vec<Fault>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(in_body("a JSON object is expected".to_owned())),
        Err(error) => Err(in_body(format!("no JSON: {error}"))),
    }
}

fn in_body(detail: String) -> Vec<Fault> {
    vec![Fault { field: String::new(), detail }]
}

/// RFC 9457; the pointers are JSON pointers into the object (RFC 6901), empty for the whole.
fn problem(status: StatusCode, detail: &str, faults: &[Fault]) -> Response<Body> {
    let pointer = |field: &str| match field {
        "" => String::new(),
        field => format!("/{}", field.replace('~', "~0").replace('/', "~1")),
    };
    let errors =
        faults.iter().map(|fault| json!({ "pointer": pointer(&fault.field), "detail": fault.detail }));
    let mut response = json_response(
        status,
        &json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
            "errors": errors.collect::<Vec<_>>(),
        }),
    );
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
