//! The two text formats scrapers ask for.

use std::fmt::Write;

use prometheus::TextEncoder;
use prometheus::proto::{Histogram, LabelPair, MetricFamily, MetricType};

use super::exemplars::{Exemplar, OfCalls};
use super::families::CALL_DURATION;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format an `Accept` header asks for: OpenMetrics where it is named, without weighing `q` but for zero.
    pub fn accepted(accept: &str) -> Self {
        let asks = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next() == Some("application/openmetrics-text");
            named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        };
        if accept.split(',').any(asks) { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type` of a document in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus::TEXT_FORMAT,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The families as Prometheus text; none of them may be empty.
pub(super) fn prometheus(families: &[MetricFamily]) -> String {
    TextEncoder::new().encode_to_string(families).expect("no family is empty or without a name")
}

/// The families as OpenMetrics, calls' durations with the examples there are.
pub(super) fn open_metrics(families: &[MetricFamily], exemplars: &OfCalls) -> String {
    let mut out = String::new();
    for family in families {
        open_metrics_family(&mut out, family, exemplars);
    }
    out.push_str("# EOF\n");
    out
}

fn open_metrics_family(out: &mut String, family: &MetricFamily, exemplars: &OfCalls) {
    let sample = family.name();
    let (name, kind) = match family.get_field_type() {
        // A counter's family is named without the suffix its samples carry.
        MetricType::COUNTER => (sample.strip_suffix("_total").unwrap_or(sample), "counter"),
        MetricType::HISTOGRAM => (sample, "histogram"),
        _ => (sample, "gauge"),
    };
    put(out, format_args!("# TYPE {name} {kind}\n# HELP {name} {}\n", escaped(family.help())));
    for metric in family.get_metric() {
        let labels = labels(metric.get_label(), None);
        match family.get_field_type() {
            MetricType::COUNTER => {
                put(out, format_args!("{sample}{labels} {}\n", metric.get_counter().get_value()));
            }
            MetricType::HISTOGRAM => {
                let pairs = metric.get_label();
                let exemplars = match pairs {
                    [upstream, outcome] if CALL_DURATION.is_named(name) => {
                        exemplars.of(upstream.value(), outcome.value())
                    }
                    _ => None,
                };
                let exemplar = |bucket: usize| exemplars.and_then(|of| of[bucket]);
                open_metrics_histogram(out, name, pairs, metric.get_histogram(), exemplar);
            }
            _ => put(out, format_args!("{sample}{labels} {}\n", metric.get_gauge().get_value())),
        }
    }
}

fn open_metrics_histogram(
    out: &mut String,
    name: &str,
    pairs: &[LabelPair],
    histogram: &Histogram,
    exemplar: impl Fn(usize) -> Option<Exemplar>,
) {
    let (count, sum) = (histogram.get_sample_count(), histogram.get_sample_sum());
    let bounds = histogram.get_bucket().iter().map(|bucket| {
        // `{:?}` writes 1 as 1.0, the canonical form of a bound.
        (format!("{:?}", bucket.upper_bound()), bucket.cumulative_count())
    });
    for (at, (bound, seen)) in bounds.chain([("+Inf".to_owned(), count)]).enumerate() {
        put(out, format_args!("{name}_bucket{} {seen}", labels(pairs, Some(&bound))));
        if let Some(exemplar) = exemplar(at) {
            exemplar.append_to(out);
        }
        out.push('\n');
    }
    let plain = labels(pairs, None);
    put(out, format_args!("{name}_sum{plain} {sum}\n{name}_count{plain} {count}\n"));
}

fn labels(pairs: &[LabelPair], bound: Option<&str>) -> String {
    let mut parts: Vec<String> =
        pairs.iter().map(|pair| format!("{}=\"{}\"", pair.name(), escaped(pair.value()))).collect();
    parts.extend(bound.map(|bound| format!("le=\"{bound}\"")));
    if parts.is_empty() { String::new() } else { format!("{{{}}}", parts.join(",")) }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}
