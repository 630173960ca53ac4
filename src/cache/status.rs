//! The `Cache-Status` header (RFC 9211): how the cache handled a call.

use std::fmt::Write;

use http::{HeaderValue, StatusCode};

/// Why a request went on to the upstream (RFC 9211 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// The policy, or the request's shape, keeps it out of the cache.
    Bypass,
    /// Its method is not cacheable.
    Method,
    /// Nothing is stored for this resource.
    UriMiss,
    /// The resource is known, not this selection of it.
    VaryMiss,
    /// It is known that nothing can be stored.
    Miss,
    /// The caller's directives ask for it.
    Request,
    /// What is stored is stale or has to be validated.
    Stale,
}

impl Forward {
    fn token(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
        }
    }
}

/// Most values fit without growing.
const USUAL_LENGTH: usize = 64;

/// Builds the value, member by member.
#[derive(Debug, Clone)]
pub struct CacheStatus {
    text: String,
}

impl CacheStatus {
    /// Answered from the store; `ttl` in seconds, negative when stale.
    pub fn hit(ttl: i64) -> Self {
        Self::begin("levee; hit; ttl=").with(format_args!("{ttl}"))
    }

    /// Neither answered from the store nor sent on.
    pub fn aside() -> Self {
        Self::begin("levee")
    }

    /// Sent on to the upstream, and why.
    pub fn forward(why: Forward) -> Self {
        Self::begin("levee; fwd=").with(format_args!("{}", why.token()))
    }

    /// The upstream's status, where it is not the one of the answer.
    #[must_use]
    pub fn forward_status(self, status: StatusCode) -> Self {
        self.with(format_args!("; fwd-status={}", status.as_u16()))
    }

    /// The answer was stored.
    #[must_use]
    pub fn stored(self) -> Self {
        self.with(format_args!("; stored"))
    }

    /// It shared another call's exchange with the upstream.
    #[must_use]
    pub fn collapsed(self) -> Self {
        self.with(format_args!("; collapsed"))
    }

    /// A word of our own, a token such as `memory` or `stale`.
    #[must_use]
    pub fn detail(self, token: &'static str) -> Self {
        self.with(format_args!("; detail={token}"))
    }

    /// The header's value; append it to what the upstream's own caches said.
    pub fn into_value(self) -> HeaderValue {
        HeaderValue::try_from(self.text).expect("tokens and numbers are valid in a header")
    }

    fn begin(with: &str) -> Self {
        let mut text = String::with_capacity(USUAL_LENGTH);
        text.push_str(with);
        Self { text }
    }

    fn with(mut self, member: std::fmt::Arguments<'_>) -> Self {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(member);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_are_those_of_the_contract() {
        let value = |status: CacheStatus| status.into_value().to_str().unwrap().to_owned();
        assert_eq!(value(CacheStatus::hit(37).detail("memory")), "levee; hit; ttl=37; detail=memory");
        assert_eq!(value(CacheStatus::forward(Forward::UriMiss).stored()), "levee; fwd=uri-miss; stored");
        assert_eq!(
            value(
                CacheStatus::forward(Forward::Stale)
                    .forward_status(StatusCode::SERVICE_UNAVAILABLE)
                    .detail("stale")
            ),
            "levee; fwd=stale; fwd-status=503; detail=stale"
        );
        assert_eq!(
            value(CacheStatus::forward(Forward::VaryMiss).collapsed()),
            "levee; fwd=vary-miss; collapsed"
        );
    }
}
