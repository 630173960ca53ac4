//! `fallback`, `fallbackOn`, `fallbackStatuses`: what answers when the upstream cannot.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::headers;
use super::settings::{self, CALL_CAUSES};
use crate::models::decode::quantity::{DAY, KIB};
use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::{CacheMode, Fallback, FallbackStep};

const STEP: Fields = Fields {
    known: &["stale", "upstream", "static"],
    unbuilt: &[("delivery", "calls cannot be stored and sent later")],
};
const STALE: Fields = Fields::all(&["maxAge"]);
const UPSTREAM: Fields = Fields::all(&["name"]);
const STATIC: Fields = Fields::all(&["status", "headers", "body"]);
const LARGEST_BODY: u64 = 64 * KIB;

/// Reads the three fields of an upstream, or of an operation that inherits what it does not give.
pub(super) fn read(spec: &Object, inherited: Option<&Fallback>, cache: CacheMode) -> Fallback {
    let steps = spec.read("fallback", |place| steps(place, cache));
    let steps = steps.or_else(|| inherited.map(|fallback| fallback.steps.clone())).unwrap_or_default();
    for name in ["fallbackOn", "fallbackStatuses"] {
        spec.contradiction(name, &["fallback"], steps.is_empty(), || {
            "has no effect without a `fallback`".to_owned()
        });
    }
    let own = Fallback {
        steps,
        on: settings::causes(spec, "fallbackOn", CALL_CAUSES),
        statuses: settings::failure_statuses(spec, "fallbackStatuses"),
    };
    let Some(inherited) = inherited else { return own };
    Fallback {
        on: if spec.has("fallbackOn") { own.on } else { inherited.on.clone() },
        statuses: if spec.has("fallbackStatuses") { own.statuses } else { inherited.statuses.clone() },
        ..own
    }
}

fn steps(place: &Place, cache: CacheMode) -> Option<Vec<FallbackStep>> {
    let items = place.list(8)?;
    let read: Vec<Option<FallbackStep>> = items.iter().map(|item| step(item, cache)).collect();
    for (read, next) in read.iter().zip(items.iter().skip(1)) {
        if matches!(read, Some(FallbackStep::Static { .. })) {
            next.refuse("is never reached: the static step before it always answers");
        }
    }
    read.into_iter().collect()
}

fn step(place: &Place, cache: CacheMode) -> Option<FallbackStep> {
    let block = place.object(STEP)?;
    if !block.exactly_one(STEP.known) {
        return None;
    }
    block.contradiction("stale", &[], cache == CacheMode::Off, || {
        "can never answer with `cache.mode: off`, which stores nothing".to_owned()
    });
    let stale = block.read("stale", stale);
    let upstream = block.read("upstream", upstream);
    stale.or(upstream).or_else(|| block.read("static", fixed))
}

fn stale(place: &Place) -> Option<FallbackStep> {
    let max_age =
        place.object(STALE)?.required("maxAge", |place| place.duration(Duration::from_secs(1)..=7 * DAY))?;
    Some(FallbackStep::Stale { max_age })
}

fn upstream(place: &Place) -> Option<FallbackStep> {
    let name = place.object(UPSTREAM)?.required("name", super::upstream_name)?;
    Some(FallbackStep::Upstream { name })
}

fn fixed(place: &Place) -> Option<FallbackStep> {
    let block = place.object(STATIC)?;
    let status = block.read("status", Place::answer_status).unwrap_or(StatusCode::OK);
    let headers = block.read("headers", headers::pairs).unwrap_or_default();
    let body = block.read("body", |place| place.text(usize::MAX)).unwrap_or_default();
    block.contradiction("body", &[], body.len() as u64 > LARGEST_BODY, || {
        format!("is {} bytes long; at most 64KiB are allowed", body.len())
    });
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    block.contradiction("body", &["status"], bodiless && !body.is_empty(), || {
        format!("status {} has no body (RFC 9110 section 15.3)", status.as_u16())
    });
    Some(FallbackStep::Static { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) })
}
