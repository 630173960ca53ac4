//! `timeout`: the time limits of a call.

use std::time::Duration;

use crate::models::decode::quantity::{DAY, HOUR, MILLISECOND, show_duration};
use crate::models::decode::{Fields, Object};
use crate::models::policy::{Retry, Timeouts};

/// The fields of the block.
pub(super) const FIELDS: Fields = Fields::all(&["total", "attempt", "connect", "idleBody", "body"]);

const TOTAL: Duration = Duration::from_secs(30);
const ATTEMPT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(1);
const IDLE_BODY: Duration = Duration::from_secs(30);
const LONGEST_CONNECT: Duration = Duration::from_secs(60);

/// Reads the block.
pub(super) fn read(block: &Object) -> Timeouts {
    let total = block.read("total", |place| place.duration(MILLISECOND..=HOUR)).unwrap_or(TOTAL);
    let attempt = block.read("attempt", |place| place.duration(MILLISECOND..=HOUR));
    let connect = block.read("connect", |place| place.duration(MILLISECOND..=LONGEST_CONNECT));
    let idle_body = block.read("idleBody", |place| place.duration(MILLISECOND..=HOUR)).unwrap_or(IDLE_BODY);
    let body = block.read("body", |place| place.duration(MILLISECOND..=DAY));
    let whole = attempt.unwrap_or(total);
    block.contradiction("attempt", &["total"], whole >= total, || {
        let default = if block.has("total") { "" } else { ", the default" };
        format!("must be below total ({}{default}); lower it or raise total", show_duration(total))
    });
    block.contradiction(
        "connect",
        &["total", "attempt"],
        connect.is_some_and(|connect| connect > whole),
        || format!("must not exceed attempt ({}); connecting is part of an attempt", show_duration(whole)),
    );
    Timeouts { total, attempt, connect: connect.unwrap_or(CONNECT.min(whole)), idle_body, body }
}

/// The time one attempt gets where the call can be retried.
pub(super) fn retried_attempt(timeouts: &Timeouts) -> Duration {
    timeouts.attempt.unwrap_or(ATTEMPT.min(timeouts.total))
}

/// The longest time one attempt of these calls can be sure to get.
pub(super) fn longest_attempt(timeouts: &Timeouts, retry: &Retry) -> Duration {
    if retry.attempts == 1 { timeouts.attempt.unwrap_or(timeouts.total) } else { retried_attempt(timeouts) }
}
