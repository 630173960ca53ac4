//! `retry`: when and how to try again.

use std::time::Duration;

use http::Method;

use super::settings::{self, ATTEMPT_CAUSES};
use crate::models::decode::quantity::{KIB, MIB, MILLISECOND, show_duration, show_size};
use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::{Limits, Retry, RetryMethods};

/// The fields of the block.
pub(super) const FIELDS: Fields =
    Fields::all(&["attempts", "on", "statuses", "methods", "idempotencyKey", "backoff", "budget", "maxBody"]);

const BACKOFF: Fields = Fields::all(&["base", "cap", "throttledBase"]);
const BUDGET: Fields = Fields::all(&["percent", "minPerSecond", "window"]);

const BASE: Duration = Duration::from_millis(50);
const CAP: Duration = Duration::from_secs(2);
const THROTTLED_BASE: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
const MAX_BODY: u64 = 64 * KIB;

/// Reads the block of calls whose bodies have these limits.
pub(super) fn read(block: &Object, limits: &Limits) -> Retry {
    let honoured = block.read("idempotencyKey", |place| place.choice(&[("honoured", ())])).is_some();
    let methods = block.read("methods", methods).map_or(RetryMethods::Idempotent, RetryMethods::Listed);
    let needs_key = matches!(&methods, RetryMethods::Listed(listed)
        if listed.iter().any(|method| [Method::POST, Method::PATCH].contains(method)));
    block.contradiction("methods", &["idempotencyKey"], needs_key && !honoured, || {
        "POST and PATCH are retried only with `idempotencyKey: honoured`, or they may act twice".to_owned()
    });
    let max_body = block.read("maxBody", |place| place.size(0..=16 * MIB));
    let larger = block.is_sound_beside("limits") && max_body.is_some_and(|size| size > limits.request);
    block.contradiction("maxBody", &[], larger, || {
        format!("must not exceed limits.request ({})", show_size(limits.request))
    });
    let (base, cap, throttled_base) = backoff(&block.block("backoff", BACKOFF));
    let budget = block.block("budget", BUDGET);
    Retry {
        attempts: block.read("attempts", |place| place.count(1..=10)).unwrap_or(3),
        on: settings::causes(block, "on", ATTEMPT_CAUSES),
        statuses: settings::failure_statuses(block, "statuses"),
        methods,
        idempotency_key_honoured: honoured,
        base,
        cap,
        throttled_base,
        budget_percent: budget.read("percent", |place| place.number(0.0..=100.0)).unwrap_or(20.0),
        budget_min_per_second: budget
            .read("minPerSecond", |place| place.number(0.0..=10_000.0))
            .unwrap_or(3.0),
        budget_window: budget
            .read("window", |place| place.duration(settings::WINDOW))
            .unwrap_or(BUDGET_WINDOW),
        max_body: max_body.unwrap_or(MAX_BODY).min(limits.request),
    }
}

fn methods(place: &Place) -> Option<Vec<Method>> {
    let methods = place.list_of(16, Place::method)?;
    if methods.is_empty() {
        place
            .refuse("is empty; leave it out for the idempotent methods, or set attempts to 1 for no retries");
        return None;
    }
    Some(methods)
}

fn backoff(block: &Object) -> (Duration, Duration, Duration) {
    let wait = |name| block.read(name, |place: &Place| place.duration(MILLISECOND..=LONGEST_BACKOFF));
    let (base, cap, throttled) = (wait("base"), wait("cap"), wait("throttledBase"));
    let longest = cap.unwrap_or_else(|| CAP.max(base.unwrap_or(BASE)).max(throttled.unwrap_or(BASE)));
    block.contradiction("cap", &["base"], base > Some(longest), || {
        format!("must not be below base ({})", show_duration(base.unwrap_or(BASE)))
    });
    block.contradiction("throttledBase", &["cap"], throttled > Some(longest), || {
        format!("must not exceed cap ({})", show_duration(longest))
    });
    let bent = |given: Option<Duration>, default: Duration| given.unwrap_or(default.min(longest));
    (bent(base, BASE), longest, bent(throttled, THROTTLED_BASE))
}
