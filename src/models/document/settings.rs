//! What several blocks share: causes, statuses, bounds, and why some blocks have to wait.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::StatusCode;

use crate::models::decode::quantity::{GIB, MIB};
use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::{Cause, Limits};

pub(super) const HEDGE: &str = "one attempt at a time is made; use a shorter timeout.attempt with retry";
pub(super) const CREDENTIALS: &str = "those of the upstream are for all its operations";
pub(super) const ACCESS: &str = "who may call the upstream may call all its operations";
pub(super) const FAULTS: &str = "an upstream's behaviour cannot be imitated";

/// How long a sliding window may be.
pub(super) const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// What can go wrong with one attempt.
pub(super) const ATTEMPT_CAUSES: &[(&str, Cause)] =
    &[("connect_failure", Cause::ConnectFailure), ("reset", Cause::Reset), ("timeout", Cause::Timeout)];

/// What can go wrong with a call.
pub(super) const CALL_CAUSES: &[(&str, Cause)] = &[
    ("circuit_open", Cause::CircuitOpen),
    ("timeout", Cause::Timeout),
    ("connect_failure", Cause::ConnectFailure),
    ("reset", Cause::Reset),
    ("quota_exhausted", Cause::QuotaExhausted),
    ("overloaded", Cause::Overloaded),
];

/// The fields of `limits`.
pub(super) const LIMITS: Fields = Fields::all(&["request", "response"]);

/// The causes listed in a field; all of `choices` when it is left out.
pub(super) fn causes(block: &Object, name: &str, choices: &[(&str, Cause)]) -> Vec<Cause> {
    block
        .read(name, |place| place.list_of(16, |item| item.choice(choices)))
        .unwrap_or_else(|| choices.iter().map(|(_, cause)| *cause).collect())
}

/// The statuses listed in a field; 502, 503, 504 when it is left out.
pub(super) fn failure_statuses(block: &Object, name: &str) -> Vec<StatusCode> {
    block.read(name, |place| place.list_of(64, Place::failure_status)).unwrap_or_else(|| {
        vec![StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT]
    })
}

/// Reads `limits`.
pub(super) fn limits(block: &Object) -> Limits {
    Limits {
        request: block.read("request", |place| place.size(0..=GIB)).unwrap_or(10 * MIB),
        response: block.read("response", |place| place.size(1..=64 * GIB)),
    }
}
