//! A stored answer as one caller gets it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;

use super::conditional;
use super::entry::Entry;
use super::key::{Key, RequestView};
use super::position::Moment;

/// A stored answer, its age now, and what the caller's own conditions make of it.
#[derive(Debug, Clone)]
pub struct Hit {
    pub(super) entry: Arc<Entry>,
    age: Duration,
    not_modified: bool,
    is_head: bool,
    /// The purges known when it was looked up.
    pub(super) began: Moment,
    /// How long ago it was purged softly.
    purged: Option<Duration>,
}

impl Hit {
    pub(super) fn new(entry: Arc<Entry>, request: &RequestView<'_>, began: Moment, now: Instant) -> Self {
        Self {
            age: entry.age(now),
            not_modified: conditional::is_not_modified(request.headers, entry.status, &entry.headers),
            is_head: request.method == Method::HEAD,
            entry,
            began,
            purged: None,
        }
    }

    /// The same, purged softly at a time.
    pub(super) fn purged(self, since: Option<Instant>, now: Instant) -> Self {
        Self { purged: since.map(|since| now.saturating_duration_since(since)), ..self }
    }

    /// The stored status, or 304 where the caller's `If-None-Match` or `If-Modified-Since` asks for it.
    pub fn status(&self) -> StatusCode {
        if self.not_modified { StatusCode::NOT_MODIFIED } else { self.entry.status }
    }

    /// The headers to send: the stored ones with `Age`, and `Content-Length` where there is a body. `Location`
    /// and the like are still the upstream's.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = self.entry.headers.clone();
        headers.insert(header::AGE, HeaderValue::from(self.age.as_secs()));
        if self.not_modified {
            for name in [
                header::CONTENT_LENGTH,
                header::CONTENT_TYPE,
                header::CONTENT_ENCODING,
                header::CONTENT_LANGUAGE,
                header::CONTENT_RANGE,
            ] {
                headers.remove(name);
            }
        }
        headers
    }

    /// The body to send: empty for HEAD and 304.
    pub fn body(&self) -> Bytes {
        if self.not_modified || self.is_head { Bytes::new() } else { self.entry.body.clone() }
    }

    /// Whether what the upstream says next may be fresh for others too, going by what it said last.
    pub fn can_be_fresh(&self) -> bool {
        !(self.entry.terms.no_cache || self.entry.terms.lifetime.is_zero())
    }

    /// Seconds it stays fresh; negative when it is stale, as `ttl` of RFC 9211 wants it.
    pub fn ttl(&self) -> i64 {
        let (lifetime, age) = (self.entry.terms.lifetime.as_secs(), self.age.as_secs());
        let left = lifetime.cast_signed().saturating_sub(age.cast_signed());
        self.purged.map_or(left, |since| left.min(-since.as_secs().cast_signed()))
    }

    /// What is stored, to be shared with those who wait for it.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The key to refresh it under.
    pub fn key(&self) -> Key {
        Key { began: self.began, ..self.entry.key.clone() }
    }
}
