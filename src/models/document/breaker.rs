//! `breaker`: when to stop calling.

use std::time::Duration;

use super::settings::{self, ATTEMPT_CAUSES};
use super::timeout::{longest_attempt, retried_attempt};
use crate::models::decode::quantity::{HOUR, MILLISECOND, show_duration};
use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::{Breaker, BreakerMode, Retry, SlowCall, Timeouts, Window};

/// The fields of the block.
pub(super) const FIELDS: Fields = Fields {
    known: &[
        "window",
        "minimumCalls",
        "failureRate",
        "failOn",
        "failStatuses",
        "consecutiveFailures",
        "slowCall",
        "open",
        "halfOpen",
        "mode",
        "fleet",
    ],
    unbuilt: &[],
};

const WINDOW: Fields = Fields::all(&["duration", "calls"]);
const SLOW_CALL: Fields = Fields::all(&["threshold", "rate"]);
const OPEN: Fields = Fields::all(&["base", "cap"]);
const FLEET: Fields = Fields::all(&["adopt"]);
const HALF_OPEN: Fields = Fields::all(&["probes"]);

const SHORTEST_DEFAULT_WINDOW: Duration = Duration::from_secs(30);
const MINIMUM_CALLS: u32 = 20;
const OPEN_BASE: Duration = Duration::from_secs(5);
const OPEN_CAP: Duration = Duration::from_secs(60);
const MODES: &[(&str, BreakerMode)] =
    &[("auto", BreakerMode::Auto), ("metrics_only", BreakerMode::MetricsOnly)];

/// Reads the block of calls with these timeouts.
pub(super) fn read(block: &Object, timeouts: &Timeouts, retry: &Retry) -> Breaker {
    let known = block.is_sound_beside("timeout").then_some(timeouts);
    let window = block.read("window", |place| window(place, known));
    let window = window.unwrap_or(Window::Duration(default_window(timeouts, retry)));
    let most = if let Window::Calls(calls) = window { calls } else { u32::MAX };
    let minimum_calls = block.read("minimumCalls", |place| place.count(1..=100_000));
    block.contradiction("minimumCalls", &["window"], minimum_calls.is_some_and(|calls| calls > most), || {
        format!("must not exceed window.calls ({most}), or the circuit never opens")
    });
    let (open_base, open_cap) = open(&block.block("open", OPEN));
    let half_open = block.block("halfOpen", HALF_OPEN);
    let fleet = block.block("fleet", FLEET);
    Breaker {
        window,
        minimum_calls: minimum_calls.unwrap_or(MINIMUM_CALLS.min(most)),
        failure_rate: block.read("failureRate", Place::ratio).unwrap_or(0.5),
        fail_on: settings::causes(block, "failOn", ATTEMPT_CAUSES),
        fail_statuses: settings::failure_statuses(block, "failStatuses"),
        consecutive_failures: block.read("consecutiveFailures", |place| place.count(0..=10_000)).unwrap_or(5),
        slow_call: block.read("slowCall", slow_call),
        open_base,
        open_cap,
        probes: half_open.read("probes", |place| place.count(1..=1000)).unwrap_or(3),
        mode: block.read("mode", |place| place.choice(MODES)).unwrap_or(BreakerMode::Auto),
        adopt: fleet.read("adopt", Place::boolean).unwrap_or(false),
    }
}

/// The window where none is given: it must see at least two attempts end.
pub(super) fn default_window(timeouts: &Timeouts, retry: &Retry) -> Duration {
    SHORTEST_DEFAULT_WINDOW.max(longest_attempt(timeouts, retry) * 2).min(*settings::WINDOW.end())
}

/// Why a window that is given does not suit calls with these timeouts.
pub(super) fn too_short(window: Duration, timeouts: &Timeouts) -> Option<String> {
    let least = retried_attempt(timeouts) * 2;
    (window < least).then(|| {
        format!(
            "the breaker's window ({}) must be at least twice the attempt timeout ({}); lengthen it, or count `calls`",
            show_duration(window),
            show_duration(retried_attempt(timeouts)),
        )
    })
}

fn window(place: &Place, timeouts: Option<&Timeouts>) -> Option<Window> {
    let block = place.object(WINDOW)?;
    if !block.exactly_one(WINDOW.known) {
        return None;
    }
    let duration = block.read("duration", |place| place.duration(settings::WINDOW));
    if let Some(reason) =
        duration.zip(timeouts).and_then(|(duration, timeouts)| too_short(duration, timeouts))
    {
        block.contradiction("duration", &[], true, || reason);
    }
    let calls = block.read("calls", |place| place.count(10..=10_000));
    duration.map(Window::Duration).or(calls.map(Window::Calls))
}

fn slow_call(place: &Place) -> Option<SlowCall> {
    let block = place.object(SLOW_CALL)?;
    let threshold = block.required("threshold", |place| place.duration(MILLISECOND..=HOUR));
    let rate = block.required("rate", Place::ratio);
    Some(SlowCall { threshold: threshold?, rate: rate? })
}

fn open(block: &Object) -> (Duration, Duration) {
    let base = block.read("base", |place| place.duration(MILLISECOND..=HOUR));
    let cap = block.read("cap", |place| place.duration(MILLISECOND..=HOUR));
    block.contradiction("cap", &["base"], cap < base, || {
        format!("must not be below base ({})", show_duration(base.unwrap_or(OPEN_BASE)))
    });
    let longest = cap.unwrap_or(OPEN_CAP.max(base.unwrap_or(OPEN_BASE)));
    (base.unwrap_or(OPEN_BASE.min(longest)), longest)
}
