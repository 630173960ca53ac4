//! The one error every handler returns, and the one body every error is told with (RFC 9457).

use std::fmt;

use poem::error::ResponseError;
use poem::http::StatusCode;
use poem::http::header::CONTENT_TYPE;
use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};

use crate::error::{Failure, Fault, PROBLEM_BASE_URL, ProblemType};

/// A failure on its way out of a handler. The outer layer ([`Problems`](super::problems::Problems)) tells it, because
/// only that layer knows the request it belongs to.
#[derive(Debug)]
pub(super) struct ApiError(pub(super) Failure);

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        status_of(self.0.kind().problem_type())
    }
}

impl ApiResponse for ApiError {
    fn meta() -> MetaResponses {
        let content =
            MetaMediaType { content_type: ProblemJson::CONTENT_TYPE, schema: ProblemJson::schema_ref() };
        MetaResponses {
            responses: vec![MetaResponse {
                description: "A failure, told as a problem.",
                status: None,
                status_range: None,
                content: vec![content],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        ProblemJson::register(registry);
    }
}

/// A problem as a body.
pub(super) struct ProblemJson(Problem);

impl ProblemJson {
    /// `instance` names this occurrence.
    pub(super) fn new(problem: ProblemType, detail: &str, instance: &str, faults: &[Fault]) -> Self {
        Self(Problem {
            kind: format!("{PROBLEM_BASE_URL}{}", problem.slug()),
            title: problem.title().to_owned(),
            status: problem.status(),
            detail: detail.to_owned(),
            instance: instance.to_owned(),
            errors: (!faults.is_empty()).then(|| faults.iter().map(ProblemFault::from).collect()),
        })
    }
}

impl Payload for ProblemJson {
    const CONTENT_TYPE: &'static str = "application/problem+json";

    fn schema_ref() -> MetaSchemaRef {
        Problem::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}

impl IntoResponse for ProblemJson {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Response::builder()
            .status(status)
            .header(CONTENT_TYPE, Self::CONTENT_TYPE)
            .body(self.0.to_json_string())
    }
}

/// What went wrong (RFC 9457).
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Problem {
    /// Which problem it is: a stable URL to tell problems apart by.
    #[oai(rename = "type")]
    kind: String,
    /// The problem in a few words, the same each time.
    title: String,
    /// The status it is answered with.
    #[oai(validator(minimum(value = "400"), maximum(value = "599")))]
    status: u16,
    /// What is particular this time, for a person.
    detail: String,
    /// Names this occurrence: `request:` and the `X-Request-Id` of the answer.
    instance: String,
    /// The wrong places of an invalid request.
    errors: Option<Vec<ProblemFault>>,
}

/// One wrong place in a request.
#[derive(Object)]
pub(super) struct ProblemFault {
    /// JSON Pointer (RFC 6901) into the body, or the bare name of a parameter. A pointer starts with `/`, a name never does.
    pointer: String,
    /// What is wrong there, for a person.
    detail: String,
}

impl From<&Fault> for ProblemFault {
    fn from(fault: &Fault) -> Self {
        Self { pointer: fault.pointer.clone(), detail: fault.detail.clone() }
    }
}

fn status_of(problem: ProblemType) -> StatusCode {
    StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::problem_body;

    #[tokio::test]
    async fn both_planes_tell_a_problem_with_the_same_members() {
        let ours = ProblemJson::new(ProblemType::NotFound, "no", "request:1", &[]).into_response();
        let ours: serde_json::Value = ours.into_body().into_json().await.unwrap();
        let theirs = problem_body(ProblemType::NotFound, "no", "request:1");
        assert_eq!(ours, serde_json::from_slice::<serde_json::Value>(&theirs).unwrap());
    }
}
