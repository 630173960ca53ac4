//! What goes back to the caller, and the headers by which every answer explains itself.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, response};
use http_body::{Body, Frame, SizeHint};

use super::failure::{Failure, FailureKind, Origin};
use super::flight::FlightBody;
use super::stream::UpstreamBody;
use crate::cache::CacheStatus;
use crate::error::{ProblemType, problem_body};
use crate::telemetry::metrics::Outcome;

/// Names of our own answer headers.
pub const LEVEE_ANSWER: HeaderName = HeaderName::from_static("levee-answer");
/// Which fallback step answered.
pub const LEVEE_FALLBACK: HeaderName = HeaderName::from_static("levee-fallback");
/// Attempts made.
pub const LEVEE_ATTEMPTS: HeaderName = HeaderName::from_static("levee-attempts");
/// The id to look a call up with.
pub const LEVEE_CALL_ID: HeaderName = HeaderName::from_static("levee-call-id");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// An answer on its way out.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, fit for the caller.
    pub headers: HeaderMap,
    /// Its body.
    pub body: AnswerBody,
    /// Why it is what it is.
    pub why: Why,
    /// How it counts.
    pub outcome: Outcome,
    /// What Levee itself had to say, where nothing else could answer.
    pub problem: Option<ProblemType>,
}

/// The explanation of one answer.
#[derive(Debug, Default, Clone)]
pub struct Why {
    /// Who produced the body.
    pub by: AnsweredBy,
    /// The fallback step that answered.
    pub fallback: Option<String>,
    /// Attempts made at the upstream.
    pub attempts: u32,
    /// What the cache did.
    pub cache: Option<CacheStatus>,
    /// What failed on the way, where something did.
    pub trouble: Option<Trouble>,
    /// Nobody was sent the request, so that somebody else may still be.
    pub nothing_sent: bool,
}

/// What failed on the way to an answer: one member of `Proxy-Status` (RFC 9209).
#[derive(Debug, Clone)]
pub enum Trouble {
    /// An error token.
    Error(&'static str),
    /// The upstream's own status, replaced or passed on.
    Status(StatusCode),
}

/// Who produced a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The upstream, just now.
    #[default]
    Upstream,
    /// The upstream, earlier.
    Cache,
    /// A step of the fallback chain.
    Fallback,
    /// Levee itself.
    Levee,
}

impl AnsweredBy {
    /// As `Levee-Answer` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Cache => "cache",
            Self::Fallback => "fallback",
            Self::Levee => "levee",
        }
    }
}

impl Answer {
    /// An upstream's own answer.
    pub fn from_upstream(parts: response::Parts, body: AnswerBody, attempts: u32) -> Self {
        let trouble = parts.status.is_server_error().then_some(Trouble::Status(parts.status));
        let outcome = if trouble.is_some() { Outcome::UpstreamError } else { Outcome::Upstream };
        let why = Why { attempts, trouble, ..Why::default() };
        Self { status: parts.status, headers: parts.headers, body, why, outcome, problem: None }
    }

    /// Levee's own refusal or failure, as problem+json.
    pub fn problem(failure: &Failure, call_id: &str) -> Self {
        let kind = failure.problem();
        let mut answer = Self::plain_problem(kind, &failure.detail, call_id);
        if let Some(after) = failure.retry_after.or_else(|| default_retry_after(kind)) {
            answer.headers.insert(header::RETRY_AFTER, seconds(after));
        }
        answer.why.trouble = Some(Trouble::Error(failure.token));
        answer.why.nothing_sent = failure.nothing_sent;
        answer.outcome = match (failure.kind, failure.origin()) {
            (FailureKind::Internal, _) => Outcome::Internal,
            (_, Origin::Caller) => Outcome::Refused,
            (_, Origin::Upstream) => Outcome::Failed,
            (_, Origin::Levee) => Outcome::Unavailable,
        };
        answer
    }

    /// A problem with no failure behind it: the request itself was wrong.
    pub fn plain_problem(kind: ProblemType, detail: &str, call_id: &str) -> Self {
        let body = problem_body(kind, detail, &format!("call:{call_id}"));
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let status = StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let why = Why {
            by: AnsweredBy::Levee,
            trouble: Some(Trouble::Error(token_of_refusal(kind))),
            ..Why::default()
        };
        let body = AnswerBody::Whole(Bytes::from(body));
        Self { status, headers, body, why, outcome: Outcome::Refused, problem: Some(kind) }
    }

    /// Writes the explanation into the headers. Upstreams' own `Cache-Status` and `Proxy-Status` members stay before ours.
    pub fn explain(&mut self, call_id: &str, upstream: Option<&str>) {
        let headers = &mut self.headers;
        headers.insert(LEVEE_ANSWER, HeaderValue::from_static(self.why.by.as_str()));
        headers.insert(LEVEE_ATTEMPTS, small_number(self.why.attempts));
        insert_text(headers, LEVEE_CALL_ID, call_id);
        if let Some(step) = &self.why.fallback {
            insert_text(headers, LEVEE_FALLBACK, step);
        }
        if let Some(cache) = self.why.cache.take() {
            headers.append(CACHE_STATUS, cache.into_value());
        }
        if let Some(trouble) = &self.why.trouble {
            let what = match trouble {
                Trouble::Error(token) => format!("error={token}"),
                Trouble::Status(status) => format!("received-status={}", status.as_u16()),
            };
            let hop = upstream.map(|name| format!("; next-hop=\"{name}\"")).unwrap_or_default();
            append_text(headers, PROXY_STATUS, &format!("levee; {what}{hop}"));
        }
    }
}

/// RFC 9209 error token of a refusal before any upstream.
fn token_of_refusal(kind: ProblemType) -> &'static str {
    match kind {
        ProblemType::UnknownUpstream | ProblemType::NotFound => "destination_not_found",
        ProblemType::Unauthorized | ProblemType::Forbidden => "http_request_denied",
        ProblemType::LoopDetected => "proxy_loop_detected",
        ProblemType::Internal => "proxy_internal_error",
        _ => "http_request_error",
    }
}

/// The contract promises `Retry-After` on these, also where nothing better is known.
fn default_retry_after(kind: ProblemType) -> Option<Duration> {
    match kind {
        ProblemType::TooManyConcurrent | ProblemType::Overloaded => Some(Duration::from_secs(1)),
        // A person has to do something first.
        ProblemType::CredentialsMissing => Some(Duration::from_secs(60)),
        _ => None,
    }
}

/// Whole seconds, rounded up, at least one.
pub fn seconds(duration: Duration) -> HeaderValue {
    HeaderValue::from(duration.as_millis().div_ceil(1000).max(1) as u64)
}

fn small_number(number: u32) -> HeaderValue {
    match number {
        0 => HeaderValue::from_static("0"),
        1 => HeaderValue::from_static("1"),
        more => HeaderValue::from(more),
    }
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

fn append_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.append(name, value);
    }
}

/// The bodies an answer can have.
pub enum AnswerBody {
    /// In memory.
    Whole(Bytes),
    /// From the upstream as it arrives.
    Upstream(Box<UpstreamBody>),
    /// From a flight that others share, as it arrives.
    Flight(FlightBody),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Upstream(body) => Pin::new(body).poll_frame(context),
            Self::Flight(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Flight(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(body) => body.size_hint(),
            Self::Flight(body) => body.size_hint(),
        }
    }
}
