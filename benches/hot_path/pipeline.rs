//! Whole calls, from Poem's request to the last byte of the answer, with no socket on the caller's side: answered from
//! memory; refused by an open circuit and answered by a fixed document, which runs every stage but the wire; and
//! exchanged with an upstream in the same process over loopback.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;

use criterion::Criterion;
use http_body_util::BodyExt;
use levee::cache::HttpCache;
use levee::fleet::Fleet;
use levee::gateway::Gateway;
use levee::gateway::access::{Anonymous, Gatekeeper};
use levee::gateway::breaker::Mode;
use levee::gateway::credentials::Vault;
use levee::gateway::endpoint::Proxy;
use levee::gateway::snapshot::{Snapshot, Surroundings};
use levee::gateway::transport::Network;
use levee::identity::directory::Authenticator;
use levee::identity::ring::KeyRing;
use levee::identity::token::Tokens;
use levee::models::document::{Rules, Unsaid, read_documents};
use levee::telemetry::metrics::Metrics;
use levee::telemetry::traces::Traces;
use poem::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;

/// Adds this file's measurements.
pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (proxy, gateway) = runtime.block_on(async { proxy(upstream().await) });
    for live in gateway.snapshot().all().filter(|live| live.upstream.name == "open") {
        live.lanes[0].breaker.set_mode(Mode::ForcedOpen, "benchmark", None);
    }
    let mut group = criterion.benchmark_group("call");
    for (name, path) in [
        ("memory_hit", "/proxy/cached/x"),
        ("circuit_open_fallback", "/proxy/open/x"),
        ("loopback_exchange", "/proxy/plain/x"),
    ] {
        group.bench_function(name, |bencher| {
            bencher.to_async(&runtime).iter(|| call(&proxy, path));
        });
    }
    group.finish();
}

async fn call(proxy: &Proxy, path: &'static str) {
    let request = Request::builder()
        .uri(http::Uri::from_static(path))
        .header("host", "localhost")
        .header("accept", "application/json")
        .header("user-agent", "bench")
        .finish();
    let response = proxy.answer(request, Some(Ipv4Addr::LOCALHOST.into())).await;
    assert_eq!(response.status(), 200);
    let body: http_body_util::combinators::BoxBody<_, _> = response.into_body().into();
    black_box(body.collect().await.expect("a whole body"));
}

fn proxy(upstream: std::net::SocketAddr) -> (Proxy, Arc<Gateway>) {
    let document = |name: &str, more: &str| {
        format!(
            "---\napiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: {name} }}\n\
             spec: {{ url: 'http://{upstream}', {more} }}\n"
        )
    };
    let text = document("cached", "cache: { mode: override, ttl: 1h }")
        + &document("open", "cache: { mode: off }, fallback: [{ static: { status: 200, body: '{}' } }]")
        + &document("plain", "cache: { mode: off }");
    let allowed: Vec<ipnet::IpNet> = vec!["127.0.0.0/8".parse().expect("a range")];
    let rules = Rules { allowed_cidrs: allowed.clone(), unsaid_access: Unsaid::Anybody };
    let mut faults = Vec::new();
    let upstreams = read_documents("bench", &text, &rules, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    let tasks = TaskTracker::new();
    let ring = KeyRing::parse(&KeyRing::generate("bench")).expect("a ring of one key");
    let metrics = Arc::new(Metrics::new("bench", "bench"));
    let authenticator = Arc::new(Authenticator::new(Tokens::new(&ring)));
    let gatekeeper = Gatekeeper::new(authenticator, Anonymous::FromThisMachine, Arc::clone(&metrics));
    let gateway = Gateway::new(gatekeeper, HttpCache::new(64 << 20), tasks.clone());
    let network = Network::new(allowed, Vec::new(), tasks);
    let around = Surroundings { network, metrics, fleet: Fleet::alone(), cache: Arc::clone(gateway.cache()) };
    let vault = Vault::new(&ring, &[]);
    let snapshot = Snapshot::compile(1, upstreams, &vault, &Snapshot::default(), &around);
    gateway.publish(snapshot.expect("a snapshot"));
    (Proxy::new(Arc::clone(&gateway), Traces::off()), gateway)
}

/// An upstream that says the same to everything, and as little as possible.
async fn upstream() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while matches!(stream.read(&mut request).await, Ok(read) if read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
