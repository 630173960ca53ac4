//! The audit list.

use serde_json::Value;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::models::audit::{AuditEntry, AuditFilter};
use crate::models::page::{Page, PageRequest};
use crate::models::principal::Actor;

impl Store {
    /// Entries by id, the newest first.
    pub async fn audit(
        &self,
        filter: AuditFilter,
        page: PageRequest<Uuid>,
    ) -> Result<Page<AuditEntry, Uuid>, StoreError> {
        todo!()
    }

    /// Notes what is no write of anything else: a refused login, an address locked out.
    pub async fn note(
        &self,
        action: &'static str,
        target: String,
        details: Value,
        actor: Actor,
    ) -> Result<(), StoreError> {
        todo!()
    }
}
