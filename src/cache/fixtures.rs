//! Requests, responses and policies for the tests of this module.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::Instant;

use super::{
    Entry, ExchangeTimes, Hit, HttpCache, Key, Lookup, Partition, Refusal, RequestView, ResponseHead,
    StoreRules,
};
use crate::models::policy::{Cache, CacheMode};

pub(super) const MIB: u64 = 1024 * 1024;

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `name: value` lines.
pub(super) fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.trim().as_bytes()).unwrap(),
        );
    }
    headers
}

pub(super) fn respect() -> Cache {
    Cache {
        mode: CacheMode::Respect,
        ttl: None,
        stale_while_revalidate: None,
        shared: false,
        negative: Vec::new(),
        query_ignore: Vec::new(),
        query_sort: false,
        vary: Vec::new(),
        max_object: MIB,
        tags: Vec::new(),
    }
}

pub(super) fn overriding(ttl: Duration) -> Cache {
    Cache { mode: CacheMode::Override, ttl: Some(ttl), ..respect() }
}

pub(super) fn get(headers: &HeaderMap) -> RequestView<'_> {
    RequestView {
        method: &Method::GET,
        headers,
        https: true,
        host: "api.example.com",
        port: 443,
        path: "/quotes/1",
        query: None,
        operation: "rates",
        partition: Partition::Shared,
        has_body: false,
    }
}

pub(super) fn at(now: Instant) -> ExchangeTimes {
    ExchangeTimes { requested: now, received: now, wall: SystemTime::now() }
}

/// A cache with one policy and a clock that is moved by hand.
pub(super) struct World {
    pub(super) cache: HttpCache,
    pub(super) policy: Cache,
    pub(super) stale_fallback: Duration,
    pub(super) now: Instant,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            cache: HttpCache::new(64 * MIB),
            policy: respect(),
            stale_fallback: Duration::ZERO,
            now: Instant::now(),
        }
    }

    pub(super) fn under(policy: Cache) -> Self {
        Self { policy, ..Self::new() }
    }

    pub(super) fn pass(&mut self, time: u64) {
        self.now += seconds(time);
    }

    pub(super) fn lookup(&self, request: &RequestView<'_>) -> Lookup {
        self.cache.lookup(request, &self.policy, self.now)
    }

    pub(super) fn ask(&self, lines: &[&str]) -> Lookup {
        self.lookup(&get(&headers(lines)))
    }

    pub(super) fn admit(
        &self,
        request: &RequestView<'_>,
        key: &Key,
        status: u16,
        lines: &[&str],
    ) -> Result<super::Plan, Refusal> {
        let headers = headers(lines);
        let status = StatusCode::from_u16(status).unwrap();
        let head = ResponseHead { status, headers: &headers, times: at(self.now) };
        self.cache.admit(request, key, &head, &self.rules())
    }

    /// Looks up, fetches, stores.
    pub(super) fn fetch(
        &self,
        request: &RequestView<'_>,
        status: u16,
        lines: &[&str],
    ) -> Result<Arc<Entry>, Refusal> {
        let key = key_of(self.lookup(request));
        let plan = self.admit(request, &key, status, lines)?;
        Ok(self.cache.insert(plan, &[Bytes::from_static(b"hello "), Bytes::from_static(b"world")]))
    }

    pub(super) fn store(&self, lines: &[&str]) -> Arc<Entry> {
        self.fetch(&get(&HeaderMap::new()), 200, lines).unwrap()
    }

    pub(super) fn freshen(&self, hit: &Hit, lines: &[&str]) -> Option<Arc<Entry>> {
        let headers = headers(lines);
        let head = ResponseHead { status: StatusCode::NOT_MODIFIED, headers: &headers, times: at(self.now) };
        self.cache.freshen(&get(&HeaderMap::new()), hit, &head, &self.rules())
    }

    fn rules(&self) -> StoreRules<'_> {
        StoreRules { cache: &self.policy, stale_fallback: self.stale_fallback }
    }
}

/// The key a lookup went by.
pub(super) fn key_of(lookup: Lookup) -> Key {
    match lookup {
        Lookup::Miss(key) | Lookup::HitForMiss(key) | Lookup::Reload { key, .. } => key,
        Lookup::Fresh(hit) | Lookup::Stale { hit, .. } | Lookup::MustRevalidate(hit) => hit.key(),
        other => panic!("no key: {other:?}"),
    }
}

pub(super) fn fresh(lookup: Lookup) -> Hit {
    match lookup {
        Lookup::Fresh(hit) => hit,
        other => panic!("not fresh: {other:?}"),
    }
}
