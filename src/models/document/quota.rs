//! `quota`: how many attempts in a while.

use std::time::Duration;

use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::{OnExhausted, OnStoreLoss, Quota, Scope};

/// The fields of the block.
pub(super) const FIELDS: Fields = Fields::all(&["rate", "burst", "scope", "onExhausted", "onStoreLoss"]);

const NO_DELIVERIES: &str = "calls cannot be stored and sent later";

/// What a default burst is worth: attempts that happen to come together pass, and what the upstream sees stays even.
const BURST: Duration = Duration::from_millis(100);
const SCOPES: &[(&str, Scope)] = &[("fleet", Scope::Fleet), ("replica", Scope::Replica)];
const STORE_LOSSES: &[(&str, OnStoreLoss)] =
    &[("local_share", OnStoreLoss::LocalShare), ("open", OnStoreLoss::Open), ("closed", OnStoreLoss::Closed)];
const MOST_BURST: u32 = 100_000;

/// Reads the block; `None` when its rate is missing or bad, which has been reported.
pub(super) fn read(block: &Object) -> Option<Quota> {
    let rate = block.required("rate", Place::rate);
    let burst = block.read("burst", |place| place.count(1..=MOST_BURST));
    let scope = block.read("scope", |place| place.choice(SCOPES)).unwrap_or(Scope::Fleet);
    let on_exhausted = block.read("onExhausted", |place| {
        let choices = [("wait", OnExhausted::Wait), ("reject", OnExhausted::Reject)];
        place.choice_of(&choices, &[("defer", NO_DELIVERIES)])
    });
    let on_store_loss = block.read("onStoreLoss", |place| place.choice(STORE_LOSSES));
    block.contradiction("onStoreLoss", &["scope"], scope == Scope::Replica, || {
        "has no effect with `scope: replica`, which shares nothing".to_owned()
    });
    let rate = rate?;
    Some(Quota {
        rate,
        burst: burst.unwrap_or_else(|| rate.earned_in(BURST).clamp(1, MOST_BURST)),
        scope,
        on_exhausted: on_exhausted.unwrap_or(OnExhausted::Wait),
        on_store_loss: on_store_loss.unwrap_or(OnStoreLoss::LocalShare),
    })
}
