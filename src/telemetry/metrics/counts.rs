//! The cells calls are recorded into: relaxed atomics, one per value of a bounded label.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::labels::Label;

/// Upper bounds of the duration buckets, seconds; 2 ms is the objective for what Levee adds to a call, the rest
/// follows slow upstreams up to the default total timeout.
const BOUNDS: [f64; 13] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Buckets of a histogram, the one for all that is longer included.
pub(super) const BUCKETS: usize = BOUNDS.len() + 1;

/// The bucket that a duration falls into.
pub(super) fn bucket_of(seconds: f64) -> usize {
    BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len())
}

/// One counter for each value of `L`.
#[derive(Debug)]
pub(super) struct Counts<L> {
    cells: Box<[AtomicU64]>,
    label: PhantomData<L>,
}

impl<L: Label> Counts<L> {
    pub(super) fn add(&self, label: L) {
        self.add_many(label, 1);
    }

    pub(super) fn add_many(&self, label: L, count: u64) {
        self.cells[label.index()].fetch_add(count, Relaxed);
    }

    pub(super) fn read(&self) -> impl Iterator<Item = (L, u64)> {
        self.cells.iter().enumerate().map(|(index, cell)| (L::at(index), cell.load(Relaxed)))
    }
}

impl<L: Label> Default for Counts<L> {
    fn default() -> Self {
        Self { cells: (0..L::COUNT).map(|_| AtomicU64::new(0)).collect(), label: PhantomData }
    }
}

/// A histogram of durations.
#[derive(Debug, Default)]
pub(super) struct Durations {
    buckets: [AtomicU64; BUCKETS],
    /// Microseconds: nanoseconds of ten thousand concurrent calls would overflow within weeks.
    sum: AtomicU64,
}

impl Durations {
    pub(super) fn record(&self, took: Duration) {
        self.buckets[bucket_of(took.as_secs_f64())].fetch_add(1, Relaxed);
        self.sum.fetch_add((took.as_nanos() as u64).saturating_add(500) / 1000, Relaxed);
    }

    pub(super) fn read(&self) -> prometheus::proto::Histogram {
        let mut seen = 0;
        let mut buckets = Vec::with_capacity(BOUNDS.len());
        for (bound, cell) in BOUNDS.iter().zip(&self.buckets) {
            seen += cell.load(Relaxed);
            let mut bucket = prometheus::proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(seen);
            buckets.push(bucket);
        }
        seen += self.buckets[BOUNDS.len()].load(Relaxed);
        let mut histogram = prometheus::proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(seen);
        histogram.set_sample_sum(self.sum.load(Relaxed) as f64 / 1e6);
        histogram
    }
}
