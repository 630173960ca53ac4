//! What operators see: logs, metrics and traces. The only place a metric name is spelled.

/// Where log lines go and in which form.
pub mod logs;
/// Counters and histograms, recorded by handles and rendered at each scrape.
pub mod metrics;
/// Spans, exported by OTLP where an endpoint is set.
pub mod traces;
