//! The data plane: calls through `/proxy/{upstream}/…` under each upstream's policy.
//!
//! `endpoint` turns HTTP into a `call`, `pipeline` takes it through the stages, `answer` explains the result.
//! It imports nothing from the control plane: what it needs to know comes in as a `snapshot`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio_util::task::TaskTracker;

use crate::cache::HttpCache;
use access::Gatekeeper;
use flight::Flights;
use snapshot::{Live, Snapshot};

/// Stage 0: who calls, and whether it may.
pub mod access;
/// What goes back.
pub mod answer;
/// Stages 9 to 13 for one exchange.
mod attempt;
/// Stage 9: the circuit breaker.
pub mod breaker;
/// The retry budget.
pub mod budget;
/// Stages 6 and 11: seats.
pub mod bulkhead;
/// Stage 4.
mod caching;
/// One call.
pub mod call;
/// Stage 5.
mod coalescing;
/// What is added for the upstream.
pub mod credentials;
/// Stage 2.
pub mod deadline;
/// Poem on one side, a call on the other.
pub mod endpoint;
/// What can go wrong.
pub mod failure;
/// Stage 3.
mod fallback;
/// One exchange for the cache.
mod fetch;
/// Who flies and who waits.
mod flight;
/// What may pass.
mod hygiene;
/// Requests out, responses in.
mod outgoing;
/// What replicas tell each other of their breakers.
pub mod peers;
/// The stages in order.
pub mod pipeline;
/// Stage 10.
pub mod quota;
/// Stage 7.
pub mod retry;
/// References led back through Levee.
mod rewrite;
/// The set of upstreams.
pub mod snapshot;
/// Response bodies.
mod stream;
/// Breaker transitions, logged and counted.
mod transitions;
/// Stage 13.
pub mod transport;
/// Request bodies.
mod upload;

/// Everything the data plane holds between calls.
pub struct Gateway {
    gatekeeper: Gatekeeper,
    snapshot: ArcSwap<Snapshot>,
    cache: Arc<HttpCache>,
    flights: Arc<Flights>,
    /// Runs flights and refreshes, so that a drain can wait for them.
    tasks: TaskTracker,
    pseudonym: String,
    via: HeaderValue,
    stopping: AtomicBool,
    partition_seed: u64,
}

impl Gateway {
    /// A gateway with no upstreams yet. Its flights run on `tasks`.
    pub fn new(gatekeeper: Gatekeeper, cache: HttpCache, tasks: TaskTracker) -> Arc<Self> {
        let pseudonym = format!("levee-{:08x}", fastrand::u32(..));
        let via =
            HeaderValue::from_str(&format!("1.1 {pseudonym}")).expect("hexadecimal digits are a valid value");
        Arc::new(Self {
            gatekeeper,
            snapshot: ArcSwap::default(),
            partition_seed: cache.partition_seed(),
            cache: Arc::new(cache),
            flights: Arc::default(),
            tasks,
            pseudonym,
            via,
            stopping: AtomicBool::new(false),
        })
    }

    /// The upstreams in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Lets new calls see `next`; those in flight keep what they began with.
    pub fn publish(&self, next: Snapshot) {
        self.snapshot.store(Arc::new(next));
    }

    /// The cache: for sweeping, for its gauges, for purges.
    pub fn cache(&self) -> &Arc<HttpCache> {
        &self.cache
    }

    /// From now on nothing is tried again: a drain wants calls to end.
    pub fn stop_retrying(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn upstream(&self, name: &str) -> Option<Arc<Live>> {
        self.snapshot.load().get(name).cloned()
    }

    fn via(&self) -> &HeaderValue {
        &self.via
    }
}
