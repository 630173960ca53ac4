//! The HTTP-free vocabulary of failures every layer shares: what went wrong, what a person outside may read of it,
//! and the table of problem types (RFC 9457) it is told with.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// Everything before the slug in a problem's `type`.
pub const PROBLEM_BASE_URL: &str = "https://levee.dev/problems/";

/// Why a service refused or failed. One short match ([`Kind::problem_type`]) turns it into what a client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The caller's input is wrong; the faults say where.
    Validation,
    /// Nothing, or nothing that counts, says who the caller is.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// What was named does not exist.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// It is in another state than the caller believed.
    PreconditionFailed,
    /// The caller must say which state it believes it to be in.
    PreconditionRequired,
    /// The body is larger than what is read.
    TooLarge,
    /// The body is of a type that is not read.
    UnsupportedMediaType,
    /// Too many requests.
    RateLimited,
    /// Something we need is away; later it may work.
    Unavailable,
    /// Our fault; the cause stays inside.
    Internal,
}

impl Kind {
    /// The problem type a failure of this kind is told as.
    pub fn problem_type(self) -> ProblemType {
        match self {
            Self::Validation => ProblemType::InvalidRequest,
            Self::Unauthorized => ProblemType::Unauthorized,
            Self::Forbidden => ProblemType::Forbidden,
            Self::NotFound => ProblemType::NotFound,
            Self::Conflict => ProblemType::Conflict,
            Self::PreconditionFailed => ProblemType::PreconditionFailed,
            Self::PreconditionRequired => ProblemType::PreconditionRequired,
            Self::TooLarge => ProblemType::PayloadTooLarge,
            Self::UnsupportedMediaType => ProblemType::UnsupportedMediaType,
            Self::RateLimited => ProblemType::RateLimited,
            Self::Unavailable => ProblemType::Unavailable,
            Self::Internal => ProblemType::Internal,
        }
    }
}

/// One wrong place in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// JSON Pointer (RFC 6901) into the body, or the bare name of a parameter (a pointer starts with `/`, a name never
    /// does). Empty: the body as a whole.
    pub pointer: String,
    /// What is wrong there, for a person.
    pub detail: String,
}

/// A failure with its outside message and its inside cause kept apart.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: Cow<'static, str>,
    faults: Vec<Fault>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), faults: Vec::new(), retry_after: None, cause: None }
    }

    /// Nothing that counts says who the caller is; `message` says what would.
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unauthorized, message)
    }

    /// The caller may not do this; `message` says who may.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, message)
    }

    /// Something named does not exist; `message` says what.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// It contradicts what is there; `message` says what, and what to do.
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// It is in another state than `If-Match` says.
    pub fn precondition_failed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::PreconditionFailed, message)
    }

    /// `If-Match` is missing.
    pub fn precondition_required(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::PreconditionRequired, message)
    }

    /// The body is too large; `message` says what is read.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::TooLarge, message)
    }

    /// The body is of another type; `message` says which is read.
    pub fn unsupported_media_type(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::UnsupportedMediaType, message)
    }

    /// Too many requests; the next one may come after `retry_after`.
    pub fn rate_limited(message: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Kind::RateLimited, message) }
    }

    /// Something we need is away. The cause is for the log only.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let message = "Something that this needs is not available. It was not done; try again.";
        let retry_after = Some(Duration::from_secs(1));
        Self { retry_after, cause: Some(cause.into()), ..Self::new(Kind::Unavailable, message) }
    }

    /// One wrong place in the request; see [`Fault::pointer`].
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid_at(vec![Fault { pointer: pointer.into(), detail: detail.into() }])
    }

    /// Every wrong place in the request, at least one.
    pub fn invalid_at(faults: Vec<Fault>) -> Self {
        let line = |fault: &Fault| match fault.pointer.as_str() {
            "" => format!("The body {}", fault.detail),
            pointer => format!("{pointer}: {}", fault.detail),
        };
        let lines: Vec<_> = faults.iter().map(line).collect();
        Self { faults, ..Self::new(Kind::Validation, lines.join("; ")) }
    }

    /// Our own fault. The cause is for the log only.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let message = "Something failed on our side. The log has the cause under this instance.";
        Self { cause: Some(cause.into()), ..Self::new(Kind::Internal, message) }
    }

    /// When it is worth trying again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What a client may read.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The wrong places of the request, for [`Kind::Validation`].
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// What only the log may read.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// The stable `type` of every problem Levee itself answers with, on both planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table in `row` says what each is")]
pub enum ProblemType {
    InvalidRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    UnknownUpstream,
    MethodNotAllowed,
    Conflict,
    PreconditionFailed,
    PreconditionRequired,
    PayloadTooLarge,
    UnsupportedMediaType,
    RequestTimeout,
    HeadersTooLarge,
    NotSupported,
    RateLimited,
    TooManyConcurrent,
    CircuitOpen,
    QuotaExhausted,
    Overloaded,
    CredentialsMissing,
    Unavailable,
    UpstreamTimeout,
    OnlyIfCached,
    UpstreamUnreachable,
    UpstreamProtocol,
    DestinationRefused,
    LoopDetected,
    Internal,
}

impl ProblemType {
    /// Every type, in the order the documentation lists them.
    pub const ALL: [Self; 28] = [
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::UnknownUpstream,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::PreconditionRequired,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::RequestTimeout,
        Self::HeadersTooLarge,
        Self::NotSupported,
        Self::RateLimited,
        Self::TooManyConcurrent,
        Self::CircuitOpen,
        Self::QuotaExhausted,
        Self::Overloaded,
        Self::CredentialsMissing,
        Self::Unavailable,
        Self::UpstreamTimeout,
        Self::OnlyIfCached,
        Self::UpstreamUnreachable,
        Self::UpstreamProtocol,
        Self::DestinationRefused,
        Self::LoopDetected,
        Self::Internal,
    ];

    /// The last part of the `type` URL, and the value of metric labels.
    pub const fn slug(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status it is answered with.
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// The same short sentence each time (RFC 9457 section 3.1.3).
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid-request", 400, "The request is not valid"),
            Self::Unauthorized => ("unauthorized", 401, "You have not proved who you are"),
            Self::Forbidden => ("forbidden", 403, "You may not do this"),
            Self::NotFound => ("not-found", 404, "There is nothing here"),
            Self::UnknownUpstream => ("unknown-upstream", 404, "No upstream has this name"),
            Self::MethodNotAllowed => ("method-not-allowed", 405, "This method is not allowed here"),
            Self::Conflict => ("conflict", 409, "It contradicts what is there"),
            Self::PreconditionFailed => ("precondition-failed", 412, "It was changed since you read it"),
            Self::PreconditionRequired => ("precondition-required", 428, "If-Match is required"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", 415, "This content type is not read here")
            }
            Self::PayloadTooLarge => ("payload-too-large", 413, "The body is too large"),
            Self::RequestTimeout => ("request-timeout", 408, "The request took too long to arrive"),
            Self::HeadersTooLarge => ("headers-too-large", 431, "The request's headers are too large"),
            Self::NotSupported => ("not-supported", 501, "This is not supported"),
            Self::RateLimited => ("rate-limited", 429, "You have sent too many requests"),
            Self::CredentialsMissing => {
                ("credentials-missing", 503, "The upstream's credentials are missing")
            }
            Self::Unavailable => ("unavailable", 503, "Something this needs is not available"),
            Self::TooManyConcurrent => ("too-many-concurrent", 429, "You have too many calls in flight"),
            Self::CircuitOpen => ("circuit-open", 503, "The circuit breaker is open"),
            Self::QuotaExhausted => ("quota-exhausted", 503, "The upstream's quota is used up"),
            Self::Overloaded => ("overloaded", 503, "Too many calls are in flight"),
            Self::UpstreamTimeout => ("upstream-timeout", 504, "The upstream did not answer in time"),
            Self::OnlyIfCached => ("only-if-cached", 504, "The cache has no usable answer"),
            Self::UpstreamUnreachable => ("upstream-unreachable", 502, "The upstream cannot be reached"),
            Self::UpstreamProtocol => ("upstream-protocol", 502, "The upstream broke the protocol"),
            Self::DestinationRefused => ("destination-refused", 502, "The upstream's address is not allowed"),
            Self::LoopDetected => ("loop-detected", 508, "The call came back to Levee"),
            Self::Internal => ("internal", 500, "Levee failed"),
        }
    }
}

/// Renders a problem (RFC 9457) as the bytes of an `application/problem+json` body. `detail` is for a person and says
/// what is particular this time; `instance` names this occurrence: `call:{id}` on the data plane, `request:{id}` on
/// the control plane.
pub fn problem_body(problem: ProblemType, detail: &str, instance: &str) -> Vec<u8> {
    let body = Body {
        r#type: format!("{PROBLEM_BASE_URL}{}", problem.slug()),
        title: problem.title(),
        status: problem.status(),
        detail,
        instance,
    };
    serde_json::to_vec(&body).expect("a struct of strings and one integer always serialises")
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_problem_type_has_a_slug_of_its_own_and_an_error_status() {
        let slugs: HashSet<_> = ProblemType::ALL.iter().map(|problem| problem.slug()).collect();
        assert_eq!(slugs.len(), ProblemType::ALL.len());
        for problem in ProblemType::ALL {
            assert!((400..600).contains(&problem.status()), "{problem:?}");
            assert!(problem.slug().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{problem:?}");
        }
    }

    #[test]
    fn a_problem_body_has_the_members_of_rfc_9457() {
        let body = problem_body(ProblemType::CircuitOpen, "open since \"12:00\"", "call:0190");
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "https://levee.dev/problems/circuit-open",
                "title": "The circuit breaker is open",
                "status": 503,
                "detail": "open since \"12:00\"",
                "instance": "call:0190",
            })
        );
    }

    #[test]
    fn an_internal_failure_shows_nothing_of_its_cause() {
        let failure = Failure::internal("connection to 10.0.0.7 refused");
        assert!(!failure.message().contains("10.0.0.7"));
        assert_eq!(failure.cause().unwrap().to_string(), "connection to 10.0.0.7 refused");
    }
}
