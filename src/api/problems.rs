//! The API's outer layer: whatever a handler, the router or a panic says, the client reads `application/problem+json`.
//!
//! It stands outside the routes because the framework makes errors of its own (no such path, no such method, a
//! parameter that does not parse), and inside the request id because a problem's instance is the request's name.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use poem::error::ParsePathError as UnreadablePathError;
use poem::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use poem::http::{HeaderValue, StatusCode};
use poem::{Endpoint, Error, IntoResponse, Request, Response, Result};
use poem_openapi::error::{ParseParamError, ParsePathError};
use serde_json::Value;

use super::error::{ApiError, ProblemJson};
use crate::error::{Failure, Fault, Kind, ProblemType};
use crate::models::routes::fits;
use crate::services::identity::{Identity, Visitor};

/// What proves who is calling (RFC 6750 section 3), for whom has sent nothing.
const NO_TOKEN: &str = "Bearer realm=\"levee\"";
/// The same for whom has sent what does not count.
const INVALID_TOKEN: &str = "Bearer realm=\"levee\", error=\"invalid_token\"";

/// Knows which methods each path has.
pub(super) struct Problems {
    allowed: Vec<(String, HeaderValue)>,
}

impl Problems {
    /// Takes the methods from the document, and adds paths outside it that can only be read.
    pub(super) fn new<'a>(document: &Value, read_only: impl IntoIterator<Item = &'a str>) -> Self {
        let described = document["paths"].as_object().into_iter().flatten();
        let described = described.map(|(path, item)| (path.clone(), allow(item)));
        let read_only =
            read_only.into_iter().map(|path| (path.to_owned(), HeaderValue::from_static("GET, HEAD")));
        Self { allowed: described.chain(read_only).collect() }
    }

    /// The layer round the routes.
    pub(super) fn around<E: Endpoint>(self, inner: E) -> ProblemsEndpoint<E> {
        ProblemsEndpoint { problems: self, inner }
    }

    fn tell(&self, error: Error, request: &Occurrence) -> Response {
        if error.status() == StatusCode::METHOD_NOT_ALLOWED {
            return self.tell_allowed_methods(request);
        }
        let failure = failure_of(error, |number| self.parameter(&request.path, number));
        if let Some(cause) = failure.cause() {
            let route = self.allowed.iter().find(|(template, _)| fits(template, &request.path));
            let route = route.map_or("none", |(template, _)| template.as_str());
            tracing::error!(request_id = %request.id, route, cause = %cause, "a request failed inside");
        }
        let mut response =
            request.problem(failure.kind().problem_type(), failure.message(), failure.faults());
        if failure.kind() == Kind::Unauthorized {
            response.headers_mut().insert(WWW_AUTHENTICATE, request.challenge.clone());
        }
        if let Some(after) = failure.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, whole_seconds(after).into());
        }
        response
    }

    /// The name of the n-th parameter of a path, which the framework only numbers.
    fn parameter(&self, path: &str, number: usize) -> Option<&str> {
        let (template, _) = self.allowed.iter().find(|(template, _)| fits(template, path))?;
        let mut names = template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        names.nth(number)
    }

    fn tell_allowed_methods(&self, request: &Occurrence) -> Response {
        let mut response =
            request.problem(ProblemType::MethodNotAllowed, "The Allow header lists what is.", &[]);
        let allowed = self.allowed.iter().find(|(template, _)| fits(template, &request.path));
        if let Some((_, methods)) = allowed {
            response.headers_mut().insert(ALLOW, methods.clone());
        }
        response
    }
}

/// The endpoint it makes.
pub(super) struct ProblemsEndpoint<E> {
    problems: Problems,
    inner: E,
}

impl<E: Endpoint> Endpoint for ProblemsEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let occurrence = Occurrence::of(&request);
        let outcome = AssertUnwindSafe(self.inner.call(request)).catch_unwind().await;
        let result =
            outcome.unwrap_or_else(|panic| Err(ApiError(Failure::internal(what_panicked(&*panic))).into()));
        Ok(match result {
            Ok(response) => response.into_response(),
            Err(error) => self.problems.tell(error, &occurrence),
        })
    }
}

/// The request a problem belongs to.
struct Occurrence {
    id: String,
    path: String,
    challenge: HeaderValue,
}

impl Occurrence {
    fn of(request: &Request) -> Self {
        let id = request.header("x-request-id").unwrap_or_default().to_owned();
        let refused =
            matches!(request.data::<Visitor>(), Some(Visitor { identity: Identity::Refused(_), .. }));
        let challenge = if refused { INVALID_TOKEN } else { NO_TOKEN };
        Self { id, path: request.uri().path().to_owned(), challenge: HeaderValue::from_static(challenge) }
    }

    fn problem(&self, problem: ProblemType, detail: &str, faults: &[Fault]) -> Response {
        ProblemJson::new(problem, detail, &format!("request:{}", self.id), faults).into_response()
    }
}

/// The methods of one path in the document, HEAD with GET (RFC 9110 section 9.3.2).
fn allow(path_item: &Value) -> HeaderValue {
    let methods = path_item.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase());
    let methods: Vec<_> =
        methods.map(|method| if method == "GET" { "GET, HEAD".to_owned() } else { method }).collect();
    HeaderValue::try_from(methods.join(", ")).expect("the document's methods are letters")
}

/// What the framework says, in our words.
fn failure_of<'a>(error: Error, parameter: impl Fn(usize) -> Option<&'a str>) -> Failure {
    let named = |name: &str, reason: &str| {
        let number = name.strip_prefix("param").and_then(|number| number.parse().ok());
        Failure::invalid(number.and_then(&parameter).unwrap_or(name), reason)
    };
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return named(error.name, &error.reason);
    }
    if let Some(error) = error.downcast_ref::<ParsePathError>() {
        return named(error.name, &error.reason);
    }
    match error.downcast::<ApiError>() {
        Ok(ApiError(failure)) => failure,
        Err(error) => match error.status() {
            _ if error.is::<UnreadablePathError>() => Failure::not_found("The API has no such path."),
            StatusCode::NOT_FOUND => Failure::not_found("The API has no such path."),
            StatusCode::BAD_REQUEST => Failure::invalid("", "or a parameter cannot be read"),
            StatusCode::PAYLOAD_TOO_LARGE => Failure::too_large("Send less."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Failure::unsupported_media_type("Send application/json."),
            _ => Failure::internal(error),
        },
    }
}

/// Rounded up, so that whoever waits that long has waited long enough.
fn whole_seconds(after: Duration) -> u64 {
    after.as_millis().div_ceil(1000).max(1) as u64
}

fn what_panicked(panic: &(dyn Any + Send)) -> String {
    let message =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", message.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests;
