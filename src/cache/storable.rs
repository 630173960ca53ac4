//! May an answer be stored, and on what terms may it be used again (RFC 9111 section 3, RFC 5861, the policy).
//!
//! `override` puts the policy's `ttl` in place of everything the response says about freshness and revalidation
//! (`max-age`, `s-maxage`, `Expires`, `no-cache`, `must-revalidate`, `proxy-revalidate`). It lifts no prohibition
//! to store: `no-store`, `private` in a shared partition, `Set-Cookie`, `Vary: *`, `Authorization` without leave,
//! 5xx. It applies to 200, 203, 204, 300, 301 and 308; other statuses need their own directives or `negative`.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};

use super::directives::ResponseDirectives;
use super::freshness::{self, ExchangeTimes};
use super::key::{Partition, RequestView};
use super::{fingerprint, vary};
use crate::models::policy::{self, CacheMode};

/// Largest header section kept, bytes.
const LARGEST_HEADERS: usize = 16 * 1024;

/// How long past its freshness an answer that can be revalidated is worth keeping.
const WORTH_REVALIDATING: Duration = Duration::from_secs(3600);

/// The head of an upstream's response, as it came, with `Location` and the like not yet rewritten.
#[derive(Clone, Copy)]
pub struct ResponseHead<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// When it was asked for and came.
    pub times: ExchangeTimes,
}

/// The operation's policy as far as it bears on storing.
#[derive(Debug, Clone, Copy)]
pub struct StoreRules<'a> {
    /// Its cache block.
    pub cache: &'a policy::Cache,
    /// `maxAge` of its `stale` fallback, zero without one: how long past freshness a copy is worth keeping.
    pub stale_fallback: Duration,
}

/// Why an answer is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The request was no GET.
    Method,
    /// 5xx: never stored. Said only where nothing else forbids it, so that those who waited may share it.
    ServerError,
    /// 1xx, 206, 304, `Content-Range`: not a whole answer.
    Partial,
    /// A status that is not understood although `must-understand` asks for it.
    Status,
    /// `no-store`, or directives too odd to trust.
    NoStore,
    /// `private`, and the partition is shared.
    Private,
    /// It sets a cookie.
    SetCookie,
    /// The request had `Authorization`, and the response does not allow sharing (RFC 9111 section 3.5).
    Authorization,
    /// `Vary: *`, or a 5xx with a `Vary` that the key does not answer.
    Vary,
    /// Body or headers over their limit.
    TooLarge,
    /// More tags than it could be purged by.
    Tags,
    /// Neither fresh for a while nor of any use stale.
    NotFresh,
}

impl Refusal {
    /// The resource itself cannot be cached, so waiting for one another's answers helps nobody. A failure says
    /// nothing about the resource, nor does an error status that comes and goes.
    pub fn is_lasting(self, status: StatusCode) -> bool {
        let passing = status.is_server_error()
            || (status.is_client_error() && !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE));
        !passing && !matches!(self, Self::Method | Self::ServerError | Self::Partial)
    }
}

/// On what terms a stored answer may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    /// Fresh for so long, counted in age.
    pub(super) lifetime: Duration,
    /// The response's own `stale-while-revalidate`.
    pub(super) stale_while_revalidate: Duration,
    /// The response's own `stale-if-error`.
    pub(super) stale_if_error: Duration,
    /// Of no use to anyone beyond this age.
    pub(super) keep: Duration,
    /// `no-cache`: ask before every use.
    pub(super) no_cache: bool,
    /// `no-cache`, `must-revalidate`, `proxy-revalidate`: never stale, whoever allows it.
    pub(super) never_stale: bool,
    /// Stale only where a directive of its own or the policy allows it: `s-maxage` implies as much
    /// (RFC 9111 section 5.2.2.10), a caller's `max-stale` does not lift it.
    pub(super) no_max_stale: bool,
    /// Fingerprint of the policy it was judged under; under another one it has to be asked for again.
    pub(super) judged_by: u64,
}

impl Terms {
    /// Terms that allow no use at all but the one at hand.
    pub(super) fn spent(policy: &policy::Cache) -> Self {
        Self {
            lifetime: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            keep: Duration::ZERO,
            no_cache: true,
            never_stale: true,
            no_max_stale: true,
            judged_by: fingerprint::judging(policy),
        }
    }
}

/// The verdict on an answer, and the header names that select it.
pub(super) fn judge(
    request: &RequestView<'_>,
    head: &ResponseHead<'_>,
    rules: &StoreRules<'_>,
) -> Result<(Terms, Vec<http::HeaderName>), Refusal> {
    let directives = ResponseDirectives::of(head.headers);
    may_store(request, head, &directives)?;
    let names = vary::selecting(head.headers, request.partition, rules.cache).ok_or(Refusal::Vary)?;
    if head.status.as_u16() >= 500 {
        return Err(if names.is_empty() { Refusal::ServerError } else { Refusal::Vary });
    }
    Ok((terms(request, head, rules, &directives)?, names))
}

fn may_store(
    request: &RequestView<'_>,
    head: &ResponseHead<'_>,
    directives: &ResponseDirectives,
) -> Result<(), Refusal> {
    let (headers, status) = (head.headers, head.status);
    let shared = request.partition == Partition::Shared;
    let refused = [
        (request.method != Method::GET, Refusal::Method),
        (is_partial(status, headers), Refusal::Partial),
        (directives.must_understand && !is_understood(status), Refusal::Status),
        (directives.no_store && !directives.must_understand, Refusal::NoStore),
        (directives.private && shared, Refusal::Private),
        (headers.contains_key(header::SET_COOKIE) || headers.contains_key("set-cookie2"), Refusal::SetCookie),
        (shared && !may_share_authorized(request, directives), Refusal::Authorization),
        (header_bytes(headers) > LARGEST_HEADERS, Refusal::TooLarge),
    ];
    refused.into_iter().find(|(applies, _)| *applies).map_or(Ok(()), |(_, refusal)| Err(refusal))
}

fn terms(
    request: &RequestView<'_>,
    head: &ResponseHead<'_>,
    rules: &StoreRules<'_>,
    directives: &ResponseDirectives,
) -> Result<Terms, Refusal> {
    let stated = freshness::lifetime(
        head.headers,
        directives,
        request.partition == Partition::Shared,
        head.times.wall,
    );
    // The policy counts from the answer's arrival, whatever age it came with.
    let age = freshness::initial_age(head.headers, head.times);
    let given = policy_lifetime(head.status, rules.cache).map(|ttl| ttl.saturating_add(age));
    let overridden = rules.cache.mode == CacheMode::Override && given.is_some();
    let lifetime = if overridden { given } else { stated.or(given) };
    if lifetime.is_none() && !is_worth_keeping_stale(head.status) {
        return Err(Refusal::NotFresh);
    }
    let no_cache = directives.no_cache && !overridden;
    let never_stale = (no_cache || directives.must_revalidate || directives.proxy_revalidate) && !overridden;
    let own =
        |window: Option<Duration>| if never_stale { Duration::ZERO } else { window.unwrap_or_default() };
    let mut terms = Terms {
        lifetime: lifetime.unwrap_or_default(),
        stale_while_revalidate: own(directives.stale_while_revalidate),
        stale_if_error: own(directives.stale_if_error),
        keep: Duration::ZERO,
        no_cache,
        never_stale,
        no_max_stale: never_stale || (directives.s_maxage.is_some() && !overridden),
        judged_by: fingerprint::judging(rules.cache),
    };
    terms.keep = keep(&terms, head.headers, rules);
    let usable = age < terms.keep && (has_validator(head.headers) || !no_cache);
    usable.then_some(terms).ok_or(Refusal::NotFresh)
}

/// The age up to which an answer is of use to anyone.
fn keep(terms: &Terms, headers: &HeaderMap, rules: &StoreRules<'_>) -> Duration {
    let revalidating = rules.cache.stale_while_revalidate.filter(|_| !terms.lifetime.is_zero());
    let by_policy = revalidating.unwrap_or_default().max(rules.stale_fallback);
    let stale = terms
        .stale_while_revalidate
        .max(terms.stale_if_error)
        .max(if terms.never_stale { Duration::ZERO } else { by_policy })
        .max(if has_validator(headers) { WORTH_REVALIDATING } else { Duration::ZERO });
    terms.lifetime.saturating_add(stale)
}

/// The lifetime the policy gives a status: in place of the response's own (`override`) or where that is silent.
fn policy_lifetime(status: StatusCode, policy: &policy::Cache) -> Option<Duration> {
    let negative = policy.negative.iter().find(|answer| answer.status == status).map(|answer| answer.ttl);
    let positive =
        policy.ttl.filter(|_| policy.mode == CacheMode::Override && is_worth_keeping_stale(status));
    negative.or(positive)
}

/// RFC 9111 section 3.5.
fn may_share_authorized(request: &RequestView<'_>, directives: &ResponseDirectives) -> bool {
    !request.headers.contains_key(header::AUTHORIZATION)
        || directives.public
        || directives.must_revalidate
        || directives.s_maxage.is_some()
}

fn is_partial(status: StatusCode, headers: &HeaderMap) -> bool {
    status.is_informational()
        || matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED)
        || headers.contains_key(header::CONTENT_RANGE)
}

/// The final statuses whose caching rules this cache knows (RFC 9110 section 15).
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300..=303 | 307 | 308 | 404 | 405 | 410 | 414 | 451)
}

/// Good answers, cacheable without explicit freshness (RFC 9110 section 15.1): worth a copy that is stale at once.
fn is_worth_keeping_stale(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308)
}

fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED)
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[cfg(test)]
mod tests;
