//! Why a call could not be answered by its upstream: the one vocabulary the stages refuse and fail with.
//!
//! A failure knows its origin, so that our own refusals never count as an upstream's failure, and where it
//! arose it already says what the caller will be told.

use std::time::Duration;

use crate::error::ProblemType;
use crate::models::policy::Cause;

/// Whose doing a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The caller asked for something it cannot have, or broke off.
    Caller,
    /// The upstream could not be reached or did not answer properly.
    Upstream,
    /// Levee refused, to protect the upstream or the rest.
    Levee,
}

/// One failed call or attempt.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// What the caller is told; never an internal detail.
    pub detail: String,
    /// RFC 9209 error token for `Proxy-Status`.
    pub token: &'static str,
    /// When it is worth asking again.
    pub retry_after: Option<Duration>,
    /// Nothing of the request was sent to the upstream.
    pub nothing_sent: bool,
    /// For the log only: addresses and library errors included.
    pub cause_text: Option<String>,
}

/// The kinds a stage can fail with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The breaker refused.
    CircuitOpen,
    /// The upstream's quota had no token, or the upstream asked for a pause.
    QuotaExhausted,
    /// The upstream's bulkhead, or a flight's waiting room, was full.
    Overloaded,
    /// The caller's own bulkhead was full.
    CallerBusy,
    /// An attempt's or the call's time ran out.
    Timeout,
    /// No connection, so nothing was sent.
    Connect,
    /// The connection broke before the response's headers.
    Reset,
    /// The upstream spoke no valid HTTP.
    Protocol,
    /// The address may not be dialled.
    Destination,
    /// The caller's body was larger than allowed.
    BodyTooLarge,
    /// The caller's body broke off or fell silent.
    BodyBroken,
    /// `only-if-cached`, and nothing was.
    OnlyIfCached,
    /// The upstream needs a credential, and there is none.
    CredentialsMissing,
    /// A defect of ours.
    Internal,
}

impl Failure {
    /// A failure with its token; the rest is filled in by the `with_` methods.
    pub fn new(kind: FailureKind, token: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), token, retry_after: None, nothing_sent: false, cause_text: None }
    }

    /// Adds when to ask again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// Notes that nothing of the request left us, so any method may be tried elsewhere.
    #[must_use]
    pub fn with_nothing_sent(mut self) -> Self {
        self.nothing_sent = true;
        self
    }

    /// Adds what only the log may know.
    #[must_use]
    pub fn with_cause_text(mut self, text: &str) -> Self {
        self.cause_text = Some(text.to_owned());
        self
    }

    /// Whose doing it is.
    pub fn origin(&self) -> Origin {
        match self.kind {
            FailureKind::Timeout | FailureKind::Connect | FailureKind::Reset | FailureKind::Protocol => {
                Origin::Upstream
            }
            FailureKind::CallerBusy
            | FailureKind::BodyTooLarge
            | FailureKind::BodyBroken
            | FailureKind::OnlyIfCached => Origin::Caller,
            FailureKind::CircuitOpen
            | FailureKind::QuotaExhausted
            | FailureKind::Overloaded
            | FailureKind::Destination
            | FailureKind::CredentialsMissing
            | FailureKind::Internal => Origin::Levee,
        }
    }

    /// The word a policy knows it by, where a policy can speak of it.
    pub fn cause(&self) -> Option<Cause> {
        match self.kind {
            FailureKind::CircuitOpen => Some(Cause::CircuitOpen),
            FailureKind::QuotaExhausted => Some(Cause::QuotaExhausted),
            FailureKind::Overloaded => Some(Cause::Overloaded),
            FailureKind::Timeout => Some(Cause::Timeout),
            FailureKind::Connect => Some(Cause::ConnectFailure),
            FailureKind::Reset | FailureKind::Protocol => Some(Cause::Reset),
            _ => None,
        }
    }

    /// The problem type it is reported as.
    pub fn problem(&self) -> ProblemType {
        match self.kind {
            FailureKind::CircuitOpen => ProblemType::CircuitOpen,
            FailureKind::QuotaExhausted => ProblemType::QuotaExhausted,
            FailureKind::Overloaded => ProblemType::Overloaded,
            FailureKind::CallerBusy => ProblemType::TooManyConcurrent,
            FailureKind::Timeout => ProblemType::UpstreamTimeout,
            FailureKind::Connect | FailureKind::Reset => ProblemType::UpstreamUnreachable,
            FailureKind::Protocol => ProblemType::UpstreamProtocol,
            FailureKind::Destination => ProblemType::DestinationRefused,
            FailureKind::BodyTooLarge => ProblemType::PayloadTooLarge,
            FailureKind::BodyBroken => ProblemType::InvalidRequest,
            FailureKind::OnlyIfCached => ProblemType::OnlyIfCached,
            FailureKind::CredentialsMissing => ProblemType::CredentialsMissing,
            FailureKind::Internal => ProblemType::Internal,
        }
    }
}
