//! Whether this process serves, which version it is, and which snapshot its calls run under.

use std::sync::Arc;

/// What a running process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReport {
    /// The version of this binary.
    pub version: &'static str,
    /// The revision of the snapshot new calls run under.
    pub revision: u64,
}

/// Reads the health of this process.
#[derive(Clone)]
pub struct HealthService {
    revision: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl HealthService {
    /// `revision` reads the current snapshot's revision; it must not block.
    pub fn new(revision: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { revision: Arc::new(revision) }
    }

    /// The report of this moment.
    pub fn report(&self) -> HealthReport {
        HealthReport { version: env!("CARGO_PKG_VERSION"), revision: (self.revision)() }
    }
}
