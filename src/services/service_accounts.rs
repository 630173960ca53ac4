//! Programs that call, and their keys. Whoever may read sees the programs; their keys are an admin's.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::authority::demand;
use super::publication::Publisher;
use super::reads::{Reads, SERVICE_ACCOUNTS};
use crate::error::{Failure, Fault};
use crate::identity::api_key;
use crate::models::page::{Page, PageRequest};
use crate::models::principal::{Actor, Class, Principal, Role};
use crate::models::service_account::{
    ApiKeyRecord, NewApiKey, NewServiceAccount, ServiceAccount, ServiceAccountChange, ServiceAccountFilter,
    is_key_name, is_name,
};
use crate::repositories::{Changed, Store, StoreError};

/// When keys were last used.
pub mod last_used;

/// Longest life of a key that ends by itself: ten years.
pub const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A service account after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedAccount {
    /// As it is now.
    pub account: ServiceAccount,
    /// The revision the change made.
    pub revision: u64,
}

/// A key and its text, which nobody can read again.
pub struct IssuedKey {
    /// What is kept.
    pub record: ApiKeyRecord,
    /// What to show once.
    pub text: SecretString,
    /// The revision it made.
    pub revision: u64,
}

/// Manages service accounts and API keys.
#[derive(Clone)]
pub struct ServiceAccountsService {
    store: Store,
    publisher: Arc<Publisher>,
    reads: Reads,
}

impl ServiceAccountsService {
    /// Over the database and what is in force.
    pub fn new(store: Store, publisher: Arc<Publisher>, reads: Reads) -> Self {
        Self { store, publisher, reads }
    }

    /// Service accounts by age.
    pub async fn list(
        &self,
        principal: &Principal,
        filter: ServiceAccountFilter,
        page: PageRequest<Uuid>,
    ) -> Result<Page<ServiceAccount, Uuid>, Failure> {
        demand(principal, Role::Viewer)?;
        let question = (filter.clone(), page.clone());
        let read = || self.store.service_accounts(filter, page);
        Ok(self.reads.get(&SERVICE_ACCOUNTS, question, read).await?)
    }

    /// One service account.
    pub async fn get(&self, principal: &Principal, id: Uuid) -> Result<ServiceAccount, Failure> {
        demand(principal, Role::Viewer)?;
        let read = || self.store.service_account(id);
        self.reads.get(&SERVICE_ACCOUNTS, id, read).await.map_err(no_account)
    }

    /// Creates a service account. It can do nothing before it has a key.
    pub async fn create(
        &self,
        principal: &Principal,
        actor: Actor,
        name: String,
        role: Option<Role>,
        class: Class,
    ) -> Result<ChangedAccount, Failure> {
        demand(principal, Role::Admin)?;
        if !is_name(&name) {
            let detail = "must be 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit";
            return Err(Failure::invalid("/name", detail));
        }
        let new = NewServiceAccount { id: Uuid::now_v7(), name, role, class };
        let changed = self.store.create_service_account(new, actor).await?;
        Ok(self.in_force(changed).await.into())
    }

    /// Changes a service account. `expected` is the version the writer read; `None` changes whatever is there.
    pub async fn update(
        &self,
        principal: &Principal,
        actor: Actor,
        id: Uuid,
        change: ServiceAccountChange,
        expected: Option<i64>,
    ) -> Result<ChangedAccount, Failure> {
        demand(principal, Role::Admin)?;
        let changed = self.store.update_service_account(id, change, expected, actor).await;
        Ok(self.in_force(changed.map_err(no_account)?).await.into())
    }

    /// Deletes a service account with its keys, which count no more when this ends.
    pub async fn delete(
        &self,
        principal: &Principal,
        actor: Actor,
        id: Uuid,
        expected: Option<i64>,
    ) -> Result<(), Failure> {
        demand(principal, Role::Admin)?;
        let changed = self.store.delete_service_account(id, expected, actor).await;
        self.in_force(changed.map_err(no_account)?).await;
        Ok(())
    }

    /// Issues a key. Its text is in the answer and nowhere else: only its hash is kept.
    pub async fn issue_key(
        &self,
        principal: &Principal,
        actor: Actor,
        account: Uuid,
        name: String,
        life: Option<Duration>,
    ) -> Result<IssuedKey, Failure> {
        demand(principal, Role::Admin)?;
        refuse_key(&name, life)?;
        let expires = life.map(|life| OffsetDateTime::now_utc() + life);
        let id = Uuid::now_v7();
        let (text, hash) = api_key::mint(id);
        let new = NewApiKey { id, service_account: account, name, hash, expires };
        let changed = self.store.create_key(new, actor).await.map_err(no_account)?;
        let Changed { value: record, revision } = self.in_force(changed).await;
        Ok(IssuedKey { record, text, revision })
    }

    /// The keys of a service account by age, those that count no more included.
    pub async fn keys(
        &self,
        principal: &Principal,
        account: Uuid,
        page: PageRequest<Uuid>,
    ) -> Result<Page<ApiKeyRecord, Uuid>, Failure> {
        demand(principal, Role::Admin)?;
        self.store.keys(account, page).await.map_err(no_account)
    }

    /// One key. One that was revoked is only found in the list.
    pub async fn key(
        &self,
        principal: &Principal,
        account: Uuid,
        key: Uuid,
    ) -> Result<ApiKeyRecord, Failure> {
        demand(principal, Role::Admin)?;
        let record = self.store.key(account, key).await.map_err(no_key)?;
        if record.revoked.is_some() { Err(no_key(StoreError::NotFound)) } else { Ok(record) }
    }

    /// Revokes a key: it counts no more here when this ends, and nowhere a second later.
    pub async fn revoke_key(
        &self,
        principal: &Principal,
        actor: Actor,
        account: Uuid,
        key: Uuid,
    ) -> Result<(), Failure> {
        self.key(principal, account, key).await?;
        let changed = self.store.revoke_key(account, key, actor).await.map_err(no_key)?;
        self.in_force(changed).await;
        Ok(())
    }

    async fn in_force<T>(&self, changed: Changed<T>) -> Changed<T> {
        self.publisher.reached(changed.revision).await;
        changed
    }
}

impl From<Changed<ServiceAccount>> for ChangedAccount {
    fn from(changed: Changed<ServiceAccount>) -> Self {
        Self { account: changed.value, revision: changed.revision }
    }
}

fn refuse_key(name: &str, life: Option<Duration>) -> Result<(), Failure> {
    let mut faults = Vec::new();
    let mut refuse = |pointer: &str, detail: String| {
        faults.push(Fault { pointer: pointer.to_owned(), detail });
    };
    if !is_key_name(name) {
        refuse("/name", "must be 1 to 200 characters on one line".to_owned());
    }
    if life.is_some_and(|life| life.is_zero() || life > LONGEST_LIFE) {
        refuse("/expiresIn", format!("must be at most {} days", LONGEST_LIFE.as_secs() / 86_400));
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::invalid_at(faults)) }
}

fn no_account(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound => Failure::not_found("There is no service account of this id."),
        other => other.into(),
    }
}

fn no_key(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound => Failure::not_found("This service account has no key of this id."),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(refused: Result<(), Failure>) -> Vec<String> {
        let faults = refused.err().map(|failure| failure.faults().to_vec()).unwrap_or_default();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn every_wrong_field_of_a_key_is_named() {
        let long = Duration::from_secs(LONGEST_LIFE.as_secs() + 1);
        assert_eq!(pointers(refuse_key("", Some(Duration::ZERO))), ["/name", "/expiresIn"]);
        assert_eq!(pointers(refuse_key("two\nlines", Some(long))), ["/name", "/expiresIn"]);
        assert_eq!(pointers(refuse_key("Ci für alle", Some(LONGEST_LIFE))), [""; 0]);
        assert_eq!(pointers(refuse_key("ci", None)), [""; 0]);
    }
}
