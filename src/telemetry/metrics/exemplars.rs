//! For each bucket of a call's durations the last trace that fell into it: from a slow bar on a dashboard to one call.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::counts::{BUCKETS, bucket_of};
use super::labels::{AnsweredBy, Label as _};
use super::upstream::UpstreamMetrics;
use crate::telemetry::traces::TraceName;

/// One example.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exemplar {
    trace: TraceName,
    seconds: f64,
    at: SystemTime,
}

/// Those of one histogram. Takes no memory until the first recorded trace.
#[derive(Debug, Default)]
pub(super) struct Exemplars(OnceLock<Box<[Mutex<Option<Exemplar>>; BUCKETS]>>);

/// Those of the histogram of calls, by upstream and who answered.
#[derive(Debug, Default)]
pub(super) struct OfCalls(HashMap<(String, &'static str), [Option<Exemplar>; BUCKETS]>);

impl Exemplars {
    pub(super) fn note(&self, trace: TraceName, took: Duration) {
        let (seconds, at) = (took.as_secs_f64(), SystemTime::now());
        let cells = self.0.get_or_init(Box::default);
        // Somebody else's example is as good as this one: nobody waits.
        if let Some(mut cell) = cells[bucket_of(seconds)].try_lock() {
            *cell = Some(Exemplar { trace, seconds, at });
        }
    }

    fn read(&self) -> Option<[Option<Exemplar>; BUCKETS]> {
        self.0.get().map(|cells| std::array::from_fn(|at| *cells[at].lock()))
    }
}

impl OfCalls {
    pub(super) fn add(&mut self, upstream: &str, metrics: &UpstreamMetrics) {
        for (index, exemplars) in metrics.call_exemplars.iter().enumerate() {
            if let Some(read) = exemplars.read() {
                self.0.insert((upstream.to_owned(), AnsweredBy::at(index).text()), read);
            }
        }
    }

    pub(super) fn of(&self, upstream: &str, outcome: &str) -> Option<&[Option<Exemplar>; BUCKETS]> {
        let answered_by = (0..AnsweredBy::COUNT).map(|index| AnsweredBy::at(index).text());
        let outcome = answered_by.into_iter().find(|known| *known == outcome)?;
        self.0.get(&(upstream.to_owned(), outcome))
    }
}

impl Exemplar {
    /// As OpenMetrics writes it behind a sample (section "Exemplars").
    pub(super) fn append_to(&self, out: &mut String) {
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        write!(out, " # {{trace_id=\"{}\"}} {} {at:.3}", self.trace, self.seconds)
            .expect("writing to a string cannot fail");
    }
}
