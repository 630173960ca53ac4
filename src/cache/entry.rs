//! A stored answer, in memory of its own: it pins no buffer of the connection it came from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use super::early;
use super::freshness::{self, ExchangeTimes};
use super::key::Key;
use super::position::Origin;
use super::storable::{ResponseHead, Terms};
use super::tags::Tags;

/// What a place in the store costs beside what it holds: table slot, pointers, allocations' heads. Bytes.
pub(super) const SLOT_OVERHEAD: usize = 128;

/// What a header costs beside its name and value. Bytes.
const HEADER_OVERHEAD: usize = 104;

/// A whole answer as it may be given again; also what a flight hands to those who wait for it.
pub struct Entry {
    pub(super) key: Key,
    pub(super) names: Vec<HeaderName>,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) terms: Terms,
    pub(super) initial_age: Duration,
    pub(super) received: Instant,
    pub(super) origin: Origin,
    pub(super) tags: Tags,
    /// The age at which to ask for it again although it is fresh.
    pub(super) due: Duration,
    /// When a refresh was last tried: milliseconds from `received`, and one. 0 before the first.
    pub(super) tried: AtomicU64,
    /// The purges it is known to have survived.
    pub(super) checked: AtomicU64,
}

impl Entry {
    /// An answer without its body.
    pub(super) fn new(
        key: Key,
        names: Vec<HeaderName>,
        head: &ResponseHead<'_>,
        terms: Terms,
        tags: Tags,
    ) -> Self {
        Self {
            checked: AtomicU64::new(key.began.number),
            origin: Origin::Here(key.began),
            tags,
            tried: AtomicU64::new(0),
            due: early::due(
                terms.lifetime,
                freshness::initial_age(head.headers, head.times),
                head.times.received.saturating_duration_since(head.times.requested),
            ),
            key,
            names,
            status: head.status,
            headers: kept_headers(head.headers, head.times),
            body: Bytes::new(),
            terms,
            initial_age: freshness::initial_age(head.headers, head.times),
            received: head.times.received,
        }
    }

    /// Good for the call at hand only: the upstream forbade to store what it confirmed, so nobody else may have it.
    pub fn is_spent(&self) -> bool {
        self.terms.keep.is_zero()
    }

    /// The answer with its whole body.
    pub(super) fn with_body(mut self, body: Bytes) -> Self {
        if self.status != StatusCode::NO_CONTENT {
            self.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        self.body = body;
        self
    }

    /// Its age on the monotonic clock (RFC 9111 section 4.2.3).
    pub(super) fn age(&self, now: Instant) -> Duration {
        self.initial_age.saturating_add(now.saturating_duration_since(self.received))
    }

    /// Whether to try a refresh now: not again before `pause` is over. Answers `true` to one of those who ask at once.
    pub(super) fn try_refresh(&self, pause: Duration, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.received).as_millis() as u64 + 1;
        let tried = self.tried.load(Ordering::Relaxed);
        let over = tried == 0 || since >= tried + pause.as_millis() as u64;
        over && self.tried.compare_exchange(tried, since, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It nears its end, or has passed it.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.age(now) >= self.due
    }

    /// How far past its freshness it is; `None` while it is fresh.
    pub(super) fn staleness(&self, now: Instant) -> Option<Duration> {
        self.age(now).checked_sub(self.terms.lifetime)
    }

    /// What it weighs in the store, bytes.
    pub(super) fn weight(&self) -> u64 {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + HEADER_OVERHEAD)
            .sum();
        let names = self.names.len() * size_of::<HeaderName>();
        (size_of::<Self>()
            + SLOT_OVERHEAD
            + self.key.text.len()
            + names
            + headers
            + self.body.len()
            + 8 * self.tags.named.len()) as u64
    }
}

impl std::fmt::Debug for Entry {
    /// Headers and body are the upstream's business, not a log's.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Entry");
        shown.field("key", &self.key).field("status", &self.status).finish_non_exhaustive()
    }
}

/// The headers to keep of a response (RFC 9111 section 3.1): end to end, with the `Date` of their arrival where they
/// had none.
fn kept_headers(headers: &HeaderMap, times: ExchangeTimes) -> HeaderMap {
    let nominated: Vec<&[u8]> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii))
        .collect();
    let mut kept = packed(headers, |name| {
        !is_hop_by_hop(name)
            && !nominated.iter().any(|token| token.eq_ignore_ascii_case(name.as_str().as_bytes()))
    });
    if freshness::date(&kept, header::DATE).is_none()
        && let Some(date) = freshness::date_header(times.wall)
    {
        kept.insert(header::DATE, date);
    }
    // A place for each use's own value, so that the copy sent need not grow.
    kept.insert(header::AGE, HeaderValue::from_static("0"));
    kept
}

/// The body in one allocation of exactly its size.
pub(super) fn packed_body(frames: &[Bytes]) -> Bytes {
    let mut body = Vec::with_capacity(frames.iter().map(Bytes::len).sum());
    for frame in frames {
        body.extend_from_slice(frame);
    }
    body.into()
}

/// `Age` and `Content-Length` are not the sender's any more but ours.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "age"
            | "connection"
            | "content-length"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Copies header values into one buffer: those of a received head are slices of the connection's.
fn packed(headers: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut copies = Vec::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values() {
        copies.extend_from_slice(value.as_bytes());
    }
    let (copies, mut packed, mut start) = (Bytes::from(copies), HeaderMap::with_capacity(headers.len()), 0);
    for (name, value) in headers {
        let end = start + value.len();
        if wanted(name)
            && let Ok(mut copy) = HeaderValue::from_maybe_shared(copies.slice(start..end))
        {
            copy.set_sensitive(value.is_sensitive());
            packed.append(name, copy);
        }
        start = end;
    }
    packed
}
