//! People who sign in: what admins may do with them.

use std::sync::Arc;

use secrecy::SecretString;
use uuid::Uuid;

use super::authority::demand;
use super::publication::Publisher;
use super::reads::{Reads, USERS};
use crate::error::Failure;
use crate::models::page::{Page, PageRequest};
use crate::models::principal::{Actor, Principal, Role};
use crate::models::user::{User, UserChange, UserFilter};
use crate::repositories::{Changed, Store, StoreError};

/// The same without asking who asks: for the command line and the start.
mod accounts;

pub use accounts::{Accounts, Person};

/// A user after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedUser {
    /// As they are now.
    pub user: User,
    /// The revision the change made.
    pub revision: u64,
}

/// Manages users.
#[derive(Clone)]
pub struct UsersService {
    store: Store,
    accounts: Accounts,
    publisher: Arc<Publisher>,
    reads: Reads,
}

impl UsersService {
    /// Over the database and what is in force.
    pub fn new(store: Store, accounts: Accounts, publisher: Arc<Publisher>, reads: Reads) -> Self {
        Self { store, accounts, publisher, reads }
    }

    /// Users, the oldest first.
    pub async fn list(
        &self,
        principal: &Principal,
        filter: UserFilter,
        page: PageRequest<Uuid>,
    ) -> Result<Page<User, Uuid>, Failure> {
        demand(principal, Role::Admin)?;
        let question = (filter.clone(), page.clone());
        Ok(self.reads.get(&USERS, question, || self.store.users(filter, page)).await?)
    }

    /// Creates a user; without a password they need a reset before they can sign in.
    pub async fn create(
        &self,
        principal: &Principal,
        person: Person,
        password: Option<SecretString>,
        actor: Actor,
    ) -> Result<ChangedUser, Failure> {
        demand(principal, Role::Admin)?;
        let created = self.accounts.create(person, password, actor).await?;
        Ok(self.in_force(created).await)
    }

    /// One user.
    pub async fn get(&self, principal: &Principal, id: Uuid) -> Result<User, Failure> {
        demand(principal, Role::Admin)?;
        self.reads.get(&USERS, id, || self.store.user(id)).await.map_err(explained)
    }

    /// Changes a user. `expected` is the version the caller read.
    pub async fn update(
        &self,
        principal: &Principal,
        id: Uuid,
        change: UserChange,
        expected: Option<i64>,
        actor: Actor,
    ) -> Result<ChangedUser, Failure> {
        demand(principal, Role::Admin)?;
        if let Some(why) = change.name.as_deref().and_then(accounts::refuse_name) {
            return Err(Failure::invalid("/name", why));
        }
        let changed = self.store.update_user(id, change, expected, actor).await.map_err(explained)?;
        Ok(self.in_force(changed).await)
    }

    /// Deletes a user with all sessions. `expected` is the version the caller read.
    pub async fn delete(
        &self,
        principal: &Principal,
        id: Uuid,
        expected: Option<i64>,
        actor: Actor,
    ) -> Result<(), Failure> {
        demand(principal, Role::Admin)?;
        let deleted = self.store.delete_user(id, expected, actor).await.map_err(explained)?;
        self.publisher.reached(deleted.revision).await;
        Ok(())
    }

    async fn in_force(&self, changed: Changed<User>) -> ChangedUser {
        self.publisher.reached(changed.revision).await;
        ChangedUser { user: changed.value, revision: changed.revision }
    }
}

/// Says what was not found.
pub(super) fn explained(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound => Failure::not_found("No user has this id."),
        other => other.into(),
    }
}
