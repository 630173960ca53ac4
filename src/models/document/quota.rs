//! `quota`: how many attempts in a while.

use std::time::Duration;

use crate::models::decode::{Fields, Object};
use crate::models::policy::{OnExhausted, Quota};

/// The fields of the block.
pub(super) const FIELDS: Fields =
    Fields { known: &["rate", "burst", "scope", "onExhausted"], unbuilt: &[("onStoreLoss", ONE_REPLICA)] };

const ONE_REPLICA: &str = "every replica counts for itself";
const NO_DELIVERIES: &str = "calls cannot be stored and sent later";

/// What a default burst is worth: attempts that happen to come together pass, and what the upstream sees stays even.
const BURST: Duration = Duration::from_millis(100);
const MOST_BURST: u32 = 100_000;

/// Reads the block; `None` when its rate is missing or bad, which has been reported.
pub(super) fn read(block: &Object) -> Option<Quota> {
    let rate = block.required("rate", |place| place.rate());
    let burst = block.read("burst", |place| place.count(1..=MOST_BURST));
    block.read("scope", |place| place.choice_of(&[("replica", ())], &[("fleet", ONE_REPLICA)]));
    let on_exhausted = block.read("onExhausted", |place| {
        let choices = [("wait", OnExhausted::Wait), ("reject", OnExhausted::Reject)];
        place.choice_of(&choices, &[("defer", NO_DELIVERIES)])
    });
    let rate = rate?;
    Some(Quota {
        rate,
        burst: burst.unwrap_or_else(|| rate.earned_in(BURST).clamp(1, MOST_BURST)),
        on_exhausted: on_exhausted.unwrap_or(OnExhausted::Wait),
    })
}
