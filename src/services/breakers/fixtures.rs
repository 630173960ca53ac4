//! What tests here and in the controller share.

use std::time::SystemTime;

use super::{BreakerMode, BreakerReport, BreakerState};

/// A breaker to which nothing has happened yet.
pub(crate) fn quiet(upstream: &str, operation: Option<&str>) -> BreakerReport {
    BreakerReport {
        upstream: upstream.to_owned(),
        operation: operation.map(str::to_owned),
        mode: BreakerMode::Auto,
        state: BreakerState::Closed,
        since: SystemTime::UNIX_EPOCH,
        reason: None,
        retry_after_seconds: None,
        failure_rate: 0.0,
        calls: 0,
        failures: 0,
        slow: 0,
        forced: None,
        replicas: Vec::new(),
    }
}
