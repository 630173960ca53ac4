//! What is begun, recorded, dropped and flushed, with a sender of the test's own and paused time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderValue, StatusCode, Version};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanData;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::call::CallEnd;
use super::context::TRACEPARENT;
use super::*;
use crate::telemetry::metrics::{CacheResult, Format, Outcome, Readings};

/// Takes spans at once, or never.
#[derive(Debug, Clone, Default)]
struct Sender {
    taken: Arc<Mutex<Vec<SpanData>>>,
    deaf: Arc<AtomicBool>,
}

impl opentelemetry_sdk::trace::SpanExporter for Sender {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if self.deaf.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.taken.lock().extend(batch);
        Ok(())
    }
}

struct Bench {
    traces: Traces,
    sender: Sender,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

const TIMEOUT: Duration = Duration::from_secs(10);

fn bench(sampler: Sampler) -> Bench {
    let (sender, metrics, stop) =
        (Sender::default(), Arc::new(Metrics::new("0", "test")), CancellationToken::new());
    let (queue, export) = export::queue(sender.clone(), TIMEOUT, &metrics);
    let task = tokio::spawn(export.run(stop.clone()));
    Bench { traces: Traces::recording(sampler, queue), sender, metrics, stop, task }
}

impl Bench {
    fn lost(&self, reason: &str) -> u64 {
        let document = self.metrics.render(Format::Prometheus, &Readings::default());
        let series = format!("levee_spans_dropped_total{{reason=\"{reason}\"}} ");
        let line = document.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap().parse().unwrap()
    }

    fn one_call(&self) {
        self.traces.call(&HeaderMap::new(), &Method::GET).end_call(&end());
    }

    async fn finish(self) -> Vec<SpanData> {
        self.stop.cancel();
        self.task.await.unwrap();
        std::mem::take(&mut *self.sender.taken.lock())
    }
}

fn end() -> CallEnd<'static> {
    CallEnd {
        id: "an-id",
        status: Some(StatusCode::OK),
        outcome: Outcome::Upstream,
        answer: "upstream",
        fallback: None,
        attempts: 1,
        error: None,
    }
}

fn peer() -> Peer<'static> {
    Peer { upstream: "rates", operation: None, host: "rates.example", port: 443 }
}

#[tokio::test]
async fn where_traces_are_off_nothing_is_read_made_or_changed() {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, HeaderValue::from_static("as it came"));
    let trace = Traces::off().call(&headers, &Method::GET);
    assert!(trace.0.is_none() && trace.recorded().is_none() && trace.place().is_none());
    trace.cache("rates", CacheResult::Miss);
    let attempt = trace.attempt(&peer(), &Method::GET, 1);
    attempt.inject(&mut headers);
    assert_eq!(headers[TRACEPARENT], "as it came");
    trace.end_call(&end());
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_is_not_sampled_is_continued_and_not_recorded() {
    let bench = bench(Sampler::named("always_off", 1.0).unwrap());
    let trace = bench.traces.call(&HeaderMap::new(), &Method::GET);
    assert!(trace.recorded().is_none() && trace.name(&HeaderMap::new()).is_some());
    let mut headers = HeaderMap::new();
    trace.attempt(&peer(), &Method::GET, 1).inject(&mut headers);
    let place = SpanPlace::of_caller(&headers).unwrap();
    assert!(!place.is_sampled() && Some(TraceName(place.trace)) == trace.name(&headers));
    trace.end_call(&end());
    assert!(bench.finish().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_span_is_sent_once_whatever_is_said_after_its_end() {
    let bench = bench(Sampler::DEFAULT);
    let trace = bench.traces.call(&HeaderMap::new(), &Method::GET);
    trace.attempt(&peer(), &Method::GET, 2).answered(StatusCode::OK, Version::HTTP_11);
    trace.end_call(&end());
    trace.cache("rates", CacheResult::Hit);
    trace.end_call(&CallEnd { outcome: Outcome::Cancelled, ..end() });
    drop(trace);
    let sent = bench.finish().await;
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].parent_span_id, sent[1].span_context.span_id());
    assert!(sent[1].events.is_empty());
    let outcomes: Vec<_> =
        sent[1].attributes.iter().filter(|pair| pair.key.as_str() == "levee.outcome").collect();
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].value.as_str(), "upstream");
}

#[tokio::test(start_paused = true)]
async fn callers_cannot_make_names() {
    let bench = bench(Sampler::DEFAULT);
    let method = Method::from_bytes(b"HUNTER2").unwrap();
    bench.traces.call(&HeaderMap::new(), &method).end_call(&end());
    let sent = bench.finish().await;
    assert_eq!(sent[0].name, "HTTP /proxy/{upstream}/{path}");
    assert!(!format!("{sent:?}").contains("HUNTER2"));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_the_queue_is_counted_and_nobody_waits() {
    let bench = bench(Sampler::DEFAULT);
    bench.sender.deaf.store(true, Ordering::SeqCst);
    let began = Instant::now();
    for _ in 0..5000 {
        bench.one_call();
    }
    assert_eq!((bench.lost("queue_full"), began.elapsed()), (5000 - 4096, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_a_deaf_collector_does_not_take_in_time_is_counted_and_later_spans_get_through() {
    let bench = bench(Sampler::DEFAULT);
    bench.sender.deaf.store(true, Ordering::SeqCst);
    bench.one_call();
    tokio::time::sleep(TIMEOUT * 2).await;
    assert_eq!(bench.lost("export_failed"), 1);
    bench.sender.deaf.store(false, Ordering::SeqCst);
    bench.one_call();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.sender.taken.lock().len(), 1);
    assert_eq!(bench.lost("export_failed"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_takes_a_few_seconds_at_most_and_counts_what_is_lost() {
    let bench = bench(Sampler::DEFAULT);
    bench.sender.deaf.store(true, Ordering::SeqCst);
    for _ in 0..1000 {
        bench.one_call();
    }
    let (began, metrics) = (Instant::now(), Arc::clone(&bench.metrics));
    assert!(bench.finish().await.is_empty());
    assert!(began.elapsed() <= Duration::from_secs(6), "{:?}", began.elapsed());
    let document = metrics.render(Format::Prometheus, &Readings::default());
    assert!(document.contains("levee_spans_dropped_total{reason=\"export_failed\"} 1000"), "{document}");
}
