//! From finished spans to the collector: a bounded queue and one task that empties it. Whoever ends a span never waits;
//! what does not fit or is not taken is dropped and counted.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::telemetry::metrics::{Metrics, SpanLoss};

/// Most spans waiting to be sent: a few megabytes.
const QUEUE: usize = 4096;
/// Most spans of one message.
const BATCH: usize = 512;
/// Longest that a span waits for others to travel with.
const LINGER: Duration = Duration::from_secs(1);
/// Longest that a stopping process goes on sending.
const FLUSH: Duration = Duration::from_secs(5);
/// Most of a sender's words that go into the log.
const LONGEST_REASON: usize = 300;

/// Where finished spans go.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    metrics: Arc<Metrics>,
}

/// What empties the queue.
pub struct Export<E> {
    spans: mpsc::Receiver<SpanData>,
    exporter: E,
    timeout: Duration,
    metrics: Arc<Metrics>,
    failing: bool,
}

/// A queue and what empties it. A message that takes longer than `timeout` is given up.
pub(super) fn queue<E: SpanExporter>(
    exporter: E,
    timeout: Duration,
    metrics: &Arc<Metrics>,
) -> (Queue, Export<E>) {
    let (sender, spans) = mpsc::channel(QUEUE);
    let queue = Queue { spans: sender, metrics: Arc::clone(metrics) };
    (queue, Export { spans, exporter, timeout, metrics: Arc::clone(metrics), failing: false })
}

impl Queue {
    pub(super) fn push(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.metrics.spans_dropped(SpanLoss::QueueFull, 1);
        }
    }
}

impl<E: SpanExporter> Export<E> {
    /// Sends until `stop`, and then what is left for a few seconds more.
    pub async fn run(mut self, stop: CancellationToken) {
        let cut = async {
            stop.cancelled().await;
            sleep(FLUSH).await;
        };
        let mut cut = std::pin::pin!(cut);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => take_at_hand(&mut self.spans, &mut batch),
                () = gather(&mut self.spans, &mut batch) => {}
            }
            if batch.is_empty() {
                return;
            }
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            let count = full.len() as u64;
            let sent = tokio::select! {
                biased;
                sent = self.exporter.export(full) => settled(sent),
                () = sleep(self.timeout) => Err("it did not answer in time".to_owned()),
                () = &mut cut => return self.give_up(count),
            };
            self.note(sent, count);
        }
    }

    fn note(&mut self, sent: Result<(), String>, count: u64) {
        match sent {
            Ok(()) => {
                self.metrics.spans_exported(count);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(reason) => {
                self.metrics.spans_dropped(SpanLoss::ExportFailed, count);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(reason, "the collector does not take spans; they are dropped");
                }
            }
        }
    }

    /// The time for sending is over.
    fn give_up(&mut self, unsent: u64) {
        let left = unsent + self.spans.len() as u64;
        self.metrics.spans_dropped(SpanLoss::ExportFailed, left);
        tracing::warn!(spans = left, "the collector did not take the last spans in time");
    }
}

/// Waits for spans and, for a moment, for more of them. What it has gathered is kept when it is cancelled.
async fn gather(spans: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) {
    if batch.is_empty() && spans.recv_many(batch, BATCH).await == 0 {
        // Nobody can send any more.
        return;
    }
    let end = Instant::now() + LINGER;
    while batch.len() < BATCH {
        match timeout_at(end, spans.recv_many(batch, BATCH - batch.len())).await {
            Ok(more) if more > 0 => {}
            _ => return,
        }
    }
}

/// All that waits, as far as one message holds it.
fn take_at_hand(spans: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) {
    while batch.len() < BATCH
        && let Ok(span) = spans.try_recv()
    {
        batch.push(span);
    }
}

fn settled(sent: OTelSdkResult) -> Result<(), String> {
    sent.map_err(|error| error.to_string().chars().take(LONGEST_REASON).collect())
}
