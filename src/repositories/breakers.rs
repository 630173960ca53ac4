//! Forced breaker modes.

use serde_json::json;

use super::macros::{change, statements};
use super::rows::{micros, moment, moment_if, plain, word};
use super::{Changed, Done, Note, Store, StoreError};
use crate::models::principal::Actor;
use crate::models::registration::{BreakerOverride, ForcedMode};

statements! {
    PUT = "INSERT INTO breaker_overrides (upstream, operation, mode, reason, expires, set_at, set_by) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (upstream, operation) DO UPDATE SET mode = excluded.mode, \
        reason = excluded.reason, expires = excluded.expires, set_at = excluded.set_at, set_by = excluded.set_by";
    CLEAR = "DELETE FROM breaker_overrides WHERE upstream = $1 AND operation = $2";
    IN_FORCE = "SELECT upstream, operation, mode, reason, expires, set_at, set_by FROM breaker_overrides \
        WHERE expires IS NULL OR expires > $1 ORDER BY upstream, operation";
}

/// A forced breaker as a row; an empty operation is the upstream's own breaker.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    upstream: String,
    operation: String,
    mode: String,
    reason: String,
    expires: Option<i64>,
    set_at: i64,
    set_by: String,
}

impl TryFrom<Row> for BreakerOverride {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            upstream: row.upstream,
            operation: Some(row.operation).filter(|operation| !operation.is_empty()),
            mode: word(&row.mode, ForcedMode::parse)?,
            reason: row.reason,
            expires: moment_if(row.expires)?,
            set: moment(row.set_at)?,
            set_by: row.set_by,
        })
    }
}

impl Store {
    /// Forces a breaker: `breaker.forced`.
    pub async fn put_override(
        &self,
        forced: BreakerOverride,
        actor: Actor,
    ) -> Result<Changed<BreakerOverride>, StoreError> {
        change!(self, |tx, _revision| {
            sqlx::query(PUT)
                .bind(plain(&forced.upstream))
                .bind(forced.operation.as_deref().map(plain).unwrap_or_default())
                .bind(forced.mode.as_str())
                .bind(plain(&forced.reason))
                .bind(forced.expires.map(micros))
                .bind(micros(forced.set))
                .bind(plain(&forced.set_by))
                .execute(&mut *tx)
                .await?;
            let details = json!({
                "operation": forced.operation,
                "mode": forced.mode.as_str(),
                "reason": forced.reason,
            });
            let target = format!("upstream:{}", forced.upstream);
            Ok(Done::Noted(forced, Note { action: "breaker.forced", target, details, actor }))
        })
    }

    /// Gives a breaker back to itself: `breaker.released`. One that was not forced is no error.
    pub async fn clear_override(
        &self,
        upstream: String,
        operation: Option<String>,
        reason: String,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        change!(self, |tx, _revision| {
            let cleared = sqlx::query(CLEAR)
                .bind(plain(&upstream))
                .bind(operation.as_deref().map(plain).unwrap_or_default())
                .execute(&mut *tx)
                .await?;
            if cleared.rows_affected() == 0 {
                return Ok(Done::Nothing(()));
            }
            let details = json!({ "operation": operation, "reason": reason });
            let target = format!("upstream:{upstream}");
            Ok(Done::Noted((), Note { action: "breaker.released", target, details, actor }))
        })
    }
}
