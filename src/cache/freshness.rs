//! How old an answer was when it arrived, and how long it stays fresh (RFC 9111 sections 4.2.1 and 4.2.3).
//!
//! Resident time is counted on the monotonic clock, so that a jump of the wall clock cannot make a stored answer
//! fresher or staler; the wall clock is read once, on arrival, to compare with `Date`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;

use super::directives::{LONGEST, ResponseDirectives, seconds};

/// When an exchange with the upstream took place.
#[derive(Debug, Clone, Copy)]
pub struct ExchangeTimes {
    /// The request was begun.
    pub requested: Instant,
    /// The response's headers had arrived.
    pub received: Instant,
    /// The wall clock then.
    pub wall: SystemTime,
}

/// The corrected initial age: no younger than `Date` and `Age` admit.
pub(super) fn initial_age(headers: &HeaderMap, times: ExchangeTimes) -> Duration {
    let apparent =
        date(headers, header::DATE).and_then(|date| times.wall.duration_since(date).ok()).unwrap_or_default();
    let delay = times.received.saturating_duration_since(times.requested);
    apparent.max(age_field(headers) + delay).min(LONGEST)
}

/// The lifetime the response states, `None` when it states none: there is no heuristic.
///
/// A private partition takes the shorter of `s-maxage` and `max-age`: the first is not meant for one caller's
/// copy, yet we still are a proxy.
pub(super) fn lifetime(
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    shared: bool,
    wall: SystemTime,
) -> Option<Duration> {
    let stated = match (directives.s_maxage, directives.max_age) {
        (Some(for_proxies), Some(for_all)) if !shared => Some(for_proxies.min(for_all)),
        (for_proxies, for_all) => for_proxies.or(for_all),
    };
    if stated.is_some() || directives.targeted { stated } else { expires(headers, wall) }
}

/// An HTTP date that stands once in the headers and is valid in one of the three formats (RFC 9110 section 5.6.7).
pub(super) fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.any(|other| other != value) {
        return None;
    }
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// The wall clock as a header; `None` when the clock is set to where HTTP has no dates.
pub(super) fn date_header(wall: SystemTime) -> Option<HeaderValue> {
    const YEAR_9999: u64 = 253_370_764_800;
    let since = wall.duration_since(UNIX_EPOCH).ok().filter(|since| since.as_secs() < YEAR_9999)?;
    HeaderValue::try_from(httpdate::fmt_http_date(UNIX_EPOCH + since)).ok()
}

/// The first member counts; garbage counts as no `Age` (RFC 9111 section 5.1).
fn age_field(headers: &HeaderMap) -> Duration {
    let first =
        headers.get(header::AGE).and_then(|value| value.as_bytes().split(|&byte| byte == b',').next());
    first.and_then(|text| seconds(text.trim_ascii())).unwrap_or_default()
}

/// Invalid or contradictory `Expires` mean "already stale" (RFC 9111 section 5.3).
fn expires(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    headers.get(header::EXPIRES)?;
    let base = date(headers, header::DATE).unwrap_or(wall);
    let lifetime = date(headers, header::EXPIRES).and_then(|expires| expires.duration_since(base).ok());
    Some(lifetime.unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests;
