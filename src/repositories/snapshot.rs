//! Everything the data plane needs, read as one state.

use super::macros::read_together;
use super::rows::now;
use super::{Store, StoreError, breakers, credentials, revision, service_accounts, upstreams, users};
use crate::models::registration::Stored;

/// Rows as what they mean.
fn all<R, T: TryFrom<R, Error = sqlx::Error>>(rows: Vec<R>) -> Result<Vec<T>, sqlx::Error> {
    rows.into_iter().map(T::try_from).collect()
}

impl Store {
    /// Reads all of it in one read-only transaction (repeatable read). Overrides and keys that have expired are left out.
    pub async fn stored(&self) -> Result<Stored, StoreError> {
        read_together!(self, |tx| {
            let at = now();
            let revision: i64 = sqlx::query_scalar(revision::CURRENT).fetch_one(&mut *tx).await?;
            let upstreams: Vec<upstreams::Row> = sqlx::query_as(upstreams::ALL).fetch_all(&mut *tx).await?;
            let credentials: Vec<credentials::Row> =
                sqlx::query_as(credentials::ALL).fetch_all(&mut *tx).await?;
            let overrides: Vec<breakers::Row> =
                sqlx::query_as(breakers::IN_FORCE).bind(at).fetch_all(&mut *tx).await?;
            let users: Vec<users::Row> = sqlx::query_as(users::ALL).fetch_all(&mut *tx).await?;
            let accounts: Vec<service_accounts::Row> =
                sqlx::query_as(service_accounts::ALL).fetch_all(&mut *tx).await?;
            let keys: Vec<service_accounts::KeyRow> =
                sqlx::query_as(service_accounts::KEYS_IN_FORCE).bind(at).fetch_all(&mut *tx).await?;
            Ok(Stored {
                revision: revision.cast_unsigned(),
                upstreams: all(upstreams)?,
                credentials: all(credentials)?,
                overrides: all(overrides)?,
                users: all(users)?,
                service_accounts: all(accounts)?,
                keys: all(keys)?,
            })
        })
    }
}
