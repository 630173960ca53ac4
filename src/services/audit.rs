//! Who changed what, when. Entries are written by the store with what they tell of; here they are only read.

use uuid::Uuid;

use super::authority::demand;
use super::reads::{AUDIT, Reads};
use crate::error::Failure;
use crate::models::audit::{AuditEntry, AuditFilter};
use crate::models::page::{Page, PageRequest};
use crate::models::principal::{Principal, Role};
use crate::repositories::Store;

/// Reads the audit list.
#[derive(Clone)]
pub struct AuditService {
    store: Store,
    reads: Reads,
}

impl AuditService {
    /// Over the database.
    pub fn new(store: Store, reads: Reads) -> Self {
        Self { store, reads }
    }

    /// Entries, the newest first. They name people and addresses, so only an admin reads them.
    pub async fn list(
        &self,
        principal: &Principal,
        filter: AuditFilter,
        page: PageRequest<Uuid>,
    ) -> Result<Page<AuditEntry, Uuid>, Failure> {
        demand(principal, Role::Admin)?;
        let question = (filter.clone(), page.clone());
        Ok(self.reads.get(&AUDIT, question, || self.store.audit(filter, page)).await?)
    }
}
