//! The upstreams that have series: as many as are registered, up to a bound.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::proto::MetricFamily;

use super::collect;
use super::exemplars::OfCalls;
use super::problems::Problems;
use super::readings::{ConnectionsReading, UpstreamReading};
use super::upstream::UpstreamMetrics;

/// Upstreams with a label of their own; every further one shares [`OTHER`].
const CAP: usize = 1000;

/// The label of upstreams above the cap. No upstream can have this name.
pub(super) const OTHER: &str = "_other";

/// Everything recorded per upstream.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    registered: Mutex<BTreeMap<String, Arc<UpstreamMetrics>>>,
}

impl Upstreams {
    pub(super) fn register(&self, name: &str) -> Arc<UpstreamMetrics> {
        let mut registered = self.registered.lock();
        let room = registered.contains_key(name) || registered.len() < CAP;
        let label = if room { name } else { OTHER };
        Arc::clone(registered.entry(label.to_owned()).or_default())
    }

    pub(super) fn forget(&self, name: &str) {
        self.registered.lock().remove(name);
    }

    pub(super) fn exemplars(&self) -> OfCalls {
        let mut exemplars = OfCalls::default();
        for (name, upstream) in &*self.registered.lock() {
            exemplars.add(name, upstream);
        }
        exemplars
    }

    /// `strangers` are the answers to requests that never became calls.
    pub(super) fn collect(&self, readings: &[UpstreamReading], strangers: &Problems) -> Vec<MetricFamily> {
        let registered = self.registered.lock().clone();
        let mut families = collect::counted(&registered, strangers);
        families.extend(collect::read(&labelled(&registered, readings)));
        families
    }
}

/// Readings under the label their upstream has; those above the cap are added up, and their breakers and quotas, which
/// cannot be, left out.
fn labelled(
    registered: &BTreeMap<String, Arc<UpstreamMetrics>>,
    readings: &[UpstreamReading],
) -> Vec<UpstreamReading> {
    let (mut labelled, beyond): (Vec<_>, Vec<_>) =
        readings.iter().cloned().partition(|reading| registered.contains_key(&reading.name));
    if registered.contains_key(OTHER) {
        labelled.push(UpstreamReading {
            name: OTHER.to_owned(),
            owner: None,
            in_flight: beyond.iter().map(|reading| reading.in_flight).sum(),
            queued: beyond.iter().map(|reading| reading.queued).sum(),
            limit: beyond.iter().map(|reading| reading.limit).sum(),
            retry_budget: beyond.iter().map(|reading| reading.retry_budget).sum(),
            connections: ConnectionsReading {
                open: beyond.iter().map(|reading| reading.connections.open).sum(),
                idle: beyond.iter().map(|reading| reading.connections.idle).sum(),
                dialled: beyond.iter().map(|reading| reading.connections.dialled).sum(),
            },
            credentials_attached: None,
            stale_runway: None,
            breakers: Vec::new(),
            quotas: Vec::new(),
        });
    }
    labelled
}
