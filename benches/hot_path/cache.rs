//! What a memory hit costs: the key, the store, the verdict, and the headers to send.

use std::hint::black_box;
use std::time::SystemTime;

use bytes::Bytes;
use criterion::Criterion;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use levee::cache::{ExchangeTimes, HttpCache, Key, Lookup, Partition, RequestView, ResponseHead, StoreRules};
use levee::models::policy::{Cache, CacheMode};
use tokio::time::Instant;

/// A header.
type Line = (&'static str, &'static str);

/// An answer that is fresh for a day.
pub(crate) const ANSWER: &[Line] = &[
    ("cache-control", "max-age=86400"),
    ("content-type", "application/json"),
    ("etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
];

/// Benchmarks a lookup that hits, alone and with its answer's headers and body made.
pub(crate) fn bench(criterion: &mut Criterion) {
    let (policy, asked) = (policy(), asked());
    let request = request(&asked);
    let cache = HttpCache::new(64 * 1024 * 1024);
    filled(&cache, &request, &policy, &[ANSWER, &[("vary", "accept-encoding")]].concat());
    criterion.bench_function("cache/lookup_hit", |bencher| {
        bencher.iter(|| black_box(cache.lookup(black_box(&request), &policy, Instant::now())));
    });
    criterion.bench_function("cache/lookup_hit_and_answer", |bencher| {
        bencher.iter(|| match cache.lookup(black_box(&request), &policy, Instant::now()) {
            Lookup::Fresh(hit) => black_box((hit.status(), hit.headers(), hit.body())),
            other => panic!("not a hit: {other:?}"),
        });
    });
}

/// The headers of a request as a program sends them.
pub(crate) fn asked() -> HeaderMap {
    headers(&[
        ("host", "rates.example.com"),
        ("user-agent", "client/1.0"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate, br"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ])
}

/// A request of one principal.
pub(crate) fn request(asked: &HeaderMap) -> RequestView<'_> {
    RequestView {
        method: &Method::GET,
        headers: asked,
        https: true,
        host: "rates.example.com",
        port: 443,
        path: "/v1/quotes/EURUSD",
        query: Some("precision=5"),
        operation: "rates",
        partition: Partition::Private(0x1234_5678),
        has_body: false,
    }
}

/// The cache as RFC 9111 has it.
pub(crate) fn policy() -> Cache {
    Cache {
        mode: CacheMode::Respect,
        ttl: None,
        stale_while_revalidate: None,
        shared: false,
        negative: Vec::new(),
        query_ignore: Vec::new(),
        query_sort: false,
        vary: Vec::new(),
        max_object: 1024 * 1024,
        tags: Vec::new(),
    }
}

/// Stores an answer of 1 KiB for a request, and says under which key it was missed.
pub(crate) fn filled(cache: &HttpCache, request: &RequestView<'_>, policy: &Cache, answer: &[Line]) -> Key {
    let (now, answer) = (Instant::now(), headers(answer));
    let Lookup::Miss(key) = cache.lookup(request, policy, now) else { panic!("the cache is empty") };
    let times = ExchangeTimes { requested: now, received: now, wall: SystemTime::now() };
    let head = ResponseHead { status: StatusCode::OK, headers: &answer, times };
    let rules = StoreRules { cache: policy, stale_fallback: std::time::Duration::ZERO };
    let plan = cache.admit(request, &key, &head, &rules).expect("it is fresh for a day");
    cache.insert(plan, &[Bytes::from(vec![b'x'; 1024])]);
    key
}

fn headers(lines: &[Line]) -> HeaderMap {
    let pair = |(name, value): &Line| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(pair).collect()
}
