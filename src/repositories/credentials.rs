//! Sealed credentials. What is inside never comes here.

use serde_json::json;

use super::macros::{change, read, statements};
use super::rows::{moment, now, plain};
use super::{Changed, Done, Note, Store, StoreError};
use crate::models::principal::Actor;
use crate::models::registration::SealedCredential;

macro_rules! columns {
    () => {
        "upstream, binding, version, kid, sealed, updated, updated_by"
    };
}

statements! {
    // The revision rises with each credential that is set or deleted, so no version ever comes again.
    NEXT_VERSION = "SELECT value + 1 FROM revision WHERE id = 1";
    PUT = "INSERT INTO credentials (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (upstream) DO UPDATE SET binding = excluded.binding, version = excluded.version, \
        kid = excluded.kid, sealed = excluded.sealed, updated = excluded.updated, updated_by = excluded.updated_by \
        WHERE credentials.version < excluded.version";
    DELETE = "DELETE FROM credentials WHERE upstream = $1";
    ALL = "SELECT ", columns!(), " FROM credentials ORDER BY upstream";
    NOT_UNDER = "SELECT ", columns!(), " FROM credentials WHERE kid <> $1 ORDER BY upstream LIMIT $2";
    REWRAP = "UPDATE credentials SET kid = $3, sealed = $4 WHERE upstream = $1 AND version = $2 AND kid <> $3";
}

/// A sealed credential as a row.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    upstream: String,
    binding: String,
    version: i64,
    kid: String,
    sealed: Vec<u8>,
    updated: i64,
    updated_by: String,
}

impl TryFrom<Row> for SealedCredential {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            upstream: row.upstream,
            binding: row.binding,
            version: row.version,
            kid: row.kid,
            sealed: row.sealed,
            updated: moment(row.updated)?,
            updated_by: row.updated_by,
        })
    }
}

impl Store {
    /// The version the next credential of an upstream must be sealed with: above every one it ever had.
    pub async fn next_credential_version(&self, _upstream: String) -> Result<i64, StoreError> {
        read!(self, |tx| Ok(sqlx::query_scalar(NEXT_VERSION).fetch_one(&mut *tx).await?))
    }

    /// Keeps a credential in the place of any other of that upstream: `credential.set`. `Stale` when its version is
    /// not above the one that is there.
    pub async fn put_credential(
        &self,
        credential: SealedCredential,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        change!(self, |tx, _revision| {
            let details = json!({ "binding": credential.binding, "version": credential.version });
            let target = format!("upstream:{}", credential.upstream);
            let put = sqlx::query(PUT)
                .bind(plain(&credential.upstream))
                .bind(plain(&credential.binding))
                .bind(credential.version)
                .bind(credential.kid)
                .bind(credential.sealed)
                .bind(now())
                .bind(plain(&actor.subject))
                .execute(&mut *tx)
                .await?;
            if put.rows_affected() == 0 {
                return Err(StoreError::Stale);
            }
            Ok(Done::Noted((), Note { action: "credential.set", target, details, actor }))
        })
    }

    /// Forgets one: `credential.deleted`.
    pub async fn delete_credential(&self, upstream: String, actor: Actor) -> Result<Changed<()>, StoreError> {
        change!(self, |tx, _revision| {
            let deleted = sqlx::query(DELETE).bind(plain(&upstream)).execute(&mut *tx).await?;
            if deleted.rows_affected() == 0 {
                return Err(StoreError::NotFound);
            }
            let target = format!("upstream:{upstream}");
            Ok(Done::Noted((), Note { action: "credential.deleted", target, details: json!({}), actor }))
        })
    }

    /// Up to `limit` credentials whose key is wrapped by another key of the ring than `kid`.
    pub async fn credentials_not_under(
        &self,
        kid: String,
        limit: u32,
    ) -> Result<Vec<SealedCredential>, StoreError> {
        read!(self, |tx| {
            let found = sqlx::query_as(NOT_UNDER).bind(kid).bind(i64::from(limit));
            let rows: Vec<Row> = found.fetch_all(&mut *tx).await?;
            let credentials: Result<Vec<SealedCredential>, _> =
                rows.into_iter().map(SealedCredential::try_from).collect();
            Ok(credentials?)
        })
    }

    /// Puts the same secrets, wrapped anew, in the place of those of their upstreams and versions that are still there
    /// and under another key: `credentials.rewrapped`, with how many. It raises the revision, so that no replica goes on
    /// with, and none keeps on disk, what the retired key opens.
    pub async fn rewrap_credentials(
        &self,
        credentials: Vec<SealedCredential>,
        actor: Actor,
    ) -> Result<Changed<u64>, StoreError> {
        change!(self, |tx, _revision| {
            let (mut count, mut kid) = (0, String::new());
            for credential in credentials {
                let rewrapped = sqlx::query(REWRAP)
                    .bind(plain(&credential.upstream))
                    .bind(credential.version)
                    .bind(credential.kid.clone())
                    .bind(credential.sealed)
                    .execute(&mut *tx)
                    .await?;
                count += rewrapped.rows_affected();
                kid = credential.kid;
            }
            if count == 0 {
                return Ok(Done::Nothing(0));
            }
            let details = json!({ "key": kid, "credentials": count });
            let (action, target) = ("credentials.rewrapped", "system:credentials".to_owned());
            Ok(Done::Noted(count, Note { action, target, details, actor }))
        })
    }
}
