//! What this layer itself says: why a request is refused before it is routed, as problem+json (RFC 9457).

use http::header::{CONTENT_TYPE, HeaderName};
use poem::http::StatusCode;

/// Who produced the body, as on every other answer.
const LEVEE_ANSWER: HeaderName = HeaderName::from_static("levee-answer");

/// A request that is not let through, and why. Holds nothing of the request, so nothing can be echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    problem: &'static str,
    title: &'static str,
    detail: &'static str,
    line: usize,
}

impl Refusal {
    /// A malformed request: `invalid-request`, 400.
    pub(super) const fn invalid(detail: &'static str) -> Self {
        Self { status: 400, problem: "invalid-request", title: "Invalid request", detail, line: 0 }
    }

    const fn too_large(detail: &'static str) -> Self {
        Self {
            status: 431,
            problem: "headers-too-large",
            title: "Request header fields too large",
            detail,
            line: 0,
        }
    }

    /// Says which line of the request head is meant; the request line is number one.
    pub(super) const fn at(mut self, line: usize) -> Self {
        self.line = line;
        self
    }

    /// One sentence for logs.
    pub(super) const fn detail(&self) -> &'static str {
        self.detail
    }

    /// The complete answer, but for what belongs to the connection.
    pub(super) fn response(&self) -> poem::Response {
        let Self { status, problem, title, detail, line } = self;
        let place = if *line == 0 { String::new() } else { format!(" (line {line} of the request head)") };
        let body = format!(
            r#"{{"type":"https://levee.dev/problems/{problem}","title":"{title}","status":{status},"detail":"{detail}{place}"}}"#
        );
        poem::Response::builder()
            .status(StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST))
            .header(CONTENT_TYPE, "application/problem+json")
            .header(LEVEE_ANSWER, "levee")
            .body(body)
    }
}

pub(super) const HEAD_TOO_LARGE: Refusal = Refusal::too_large("the request head is larger than the limit");
pub(super) const TOO_MANY_FIELDS: Refusal =
    Refusal::too_large("the request has more header fields than the limit");

/// The head did not arrive in time. The vocabulary has no type of its own for it; the status tells.
pub(super) const SLOW_HEAD: Refusal =
    Refusal { status: 408, ..Refusal::invalid("the request head did not arrive in time") };

/// The endpoint panicked: a fault of ours.
pub(super) const PANICKED: Refusal = Refusal {
    status: 500,
    problem: "internal",
    title: "Internal error",
    detail: "an unexpected fault; it has been logged",
    line: 0,
};
