//! What operators see: logs and metrics. The only place a metric name is spelled.

/// Where log lines go and in which form.
pub mod logs;
/// Counters and histograms, recorded by handles and rendered at each scrape.
pub mod metrics;
