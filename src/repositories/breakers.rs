//! Forced breaker modes.

use super::{Changed, Store, StoreError};
use crate::models::principal::Actor;
use crate::models::registration::BreakerOverride;

impl Store {
    /// Forces a breaker: `breaker.forced`.
    pub async fn put_override(
        &self,
        forced: BreakerOverride,
        actor: Actor,
    ) -> Result<Changed<BreakerOverride>, StoreError> {
        todo!()
    }

    /// Gives a breaker back to itself: `breaker.released`. One that was not forced is no error.
    pub async fn clear_override(
        &self,
        upstream: String,
        operation: Option<String>,
        reason: String,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        todo!()
    }
}
