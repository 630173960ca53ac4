//! The audit list.

use serde_json::Value;
use uuid::Uuid;

use super::macros::{read, record, statements};
use super::rows::{Document, micros, moment, plain, word};
use super::{Done, Note, Store, StoreError};
use crate::models::audit::{AuditEntry, AuditFilter};
use crate::models::page::{Page, PageRequest};
use crate::models::principal::Actor;

statements! {
    NOTE = "INSERT INTO audit (id, at, actor, actor_id, action, target, details, address, request) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    FORGET_REFUSED_LOGINS = "DELETE FROM audit WHERE action = 'login.refused' AND at < $1";
    LIST = "SELECT id, at, actor, actor_id, action, target, details, address, request FROM audit \
        WHERE (actor = $1 OR $1 IS NULL) AND (action = $2 OR $2 IS NULL) \
        AND ($3 = substr(action, 1, length($3)) OR $3 IS NULL) AND (target = $4 OR $4 IS NULL) \
        AND (at >= $5 OR $5 IS NULL) AND (at < $6 OR $6 IS NULL) AND (id < $7 OR $7 IS NULL) \
        ORDER BY id DESC LIMIT $8";
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    at: i64,
    actor: String,
    actor_id: Option<Uuid>,
    action: String,
    target: String,
    details: Document,
    address: Option<String>,
    request: Option<String>,
}

impl TryFrom<Row> for AuditEntry {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let address = row.address.map(|address| word(&address, |text| text.parse().ok())).transpose()?;
        Ok(Self {
            id: row.id,
            at: moment(row.at)?,
            actor: row.actor,
            actor_id: row.actor_id,
            action: row.action,
            target: row.target,
            details: row.details.0,
            address,
            request: row.request,
        })
    }
}

impl Store {
    /// Entries by id, the newest first.
    pub async fn audit(
        &self,
        filter: AuditFilter,
        page: PageRequest<Uuid>,
    ) -> Result<Page<AuditEntry, Uuid>, StoreError> {
        let (begins, is): (Option<String>, Option<String>) = match filter.action {
            Some(action) if action.ends_with('.') => (Some(plain(&action)), None),
            action => (None, action.as_deref().map(plain)),
        };
        read!(self, |tx| {
            let rows: Vec<Row> = sqlx::query_as(LIST)
                .bind(filter.actor.as_deref().map(plain))
                .bind(is)
                .bind(begins)
                .bind(filter.target.as_deref().map(plain))
                .bind(filter.since.map(micros))
                .bind(filter.until.map(micros))
                .bind(page.after)
                .bind(i64::from(page.limit) + 1)
                .fetch_all(&mut *tx)
                .await?;
            let entries: Result<Vec<AuditEntry>, _> = rows.into_iter().map(AuditEntry::try_from).collect();
            Ok(Page::of(entries?, page.limit, |entry| entry.id))
        })
    }

    /// Notes what is no write of anything else: a refused login, an address locked out.
    pub async fn note(
        &self,
        action: &'static str,
        target: String,
        details: Value,
        actor: Actor,
    ) -> Result<(), StoreError> {
        record!(self, |_tx| Ok(Done::Noted((), Note { action, target, details, actor })))
    }
}
