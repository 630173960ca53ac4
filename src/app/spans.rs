//! Traces: on when an endpoint is set; their sender outlives everything that makes spans.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::{TraceSettings, Traces};

/// The task that sends spans, where there is one.
#[derive(Default)]
pub(super) struct Exporting {
    task: TaskTracker,
    stop: CancellationToken,
}

/// Begins to trace by these settings.
pub(super) fn start(
    settings: Option<&TraceSettings>,
    metrics: &Arc<Metrics>,
) -> Result<(Traces, Exporting), String> {
    let exporting = Exporting::default();
    let Some(settings) = settings else { return Ok((Traces::off(), exporting)) };
    let (traces, export) = Traces::to(settings, metrics)
        .map_err(|fault| format!("OTEL_EXPORTER_OTLP_ENDPOINT: traces cannot be exported: {fault}"))?;
    exporting.task.spawn(export.run(exporting.stop.clone()));
    Ok((traces, exporting))
}

impl Exporting {
    /// Sends what is left, for a few seconds at most.
    pub(super) async fn finish(self) {
        self.stop.cancel();
        self.task.close();
        self.task.wait().await;
    }
}
