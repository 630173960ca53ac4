//! Service accounts and their keys.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Changed, Store, StoreError};
use crate::models::page::{Page, PageRequest};
use crate::models::principal::Actor;
use crate::models::service_account::{
    ApiKeyRecord, NewApiKey, NewServiceAccount, ServiceAccount, ServiceAccountChange, ServiceAccountFilter,
};

impl Store {
    /// Creates a service account: `service_account.created`. `Conflict::ServiceAccountName` when another has the name.
    pub async fn create_service_account(
        &self,
        new: NewServiceAccount,
        actor: Actor,
    ) -> Result<Changed<ServiceAccount>, StoreError> {
        todo!()
    }

    /// One service account.
    pub async fn service_account(&self, id: Uuid) -> Result<ServiceAccount, StoreError> {
        todo!()
    }

    /// Service accounts by id, that is by age.
    pub async fn service_accounts(
        &self,
        filter: ServiceAccountFilter,
        page: PageRequest<Uuid>,
    ) -> Result<Page<ServiceAccount, Uuid>, StoreError> {
        todo!()
    }

    /// Changes one: `service_account.updated`. `expected` as with users.
    pub async fn update_service_account(
        &self,
        id: Uuid,
        change: ServiceAccountChange,
        expected: Option<i64>,
        actor: Actor,
    ) -> Result<Changed<ServiceAccount>, StoreError> {
        todo!()
    }

    /// Deletes one with its keys: `service_account.deleted`.
    pub async fn delete_service_account(
        &self,
        id: Uuid,
        expected: Option<i64>,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        todo!()
    }

    /// Keeps a key: `key.created`. `NotFound` when there is no such service account.
    pub async fn create_key(
        &self,
        new: NewApiKey,
        actor: Actor,
    ) -> Result<Changed<ApiKeyRecord>, StoreError> {
        todo!()
    }

    /// The keys of a service account by id, the revoked included. `NotFound` when there is no such account.
    pub async fn keys(
        &self,
        service_account: Uuid,
        page: PageRequest<Uuid>,
    ) -> Result<Page<ApiKeyRecord, Uuid>, StoreError> {
        todo!()
    }

    /// One key of a service account.
    pub async fn key(&self, service_account: Uuid, key: Uuid) -> Result<ApiKeyRecord, StoreError> {
        todo!()
    }

    /// Revokes a key: `key.revoked`. Revoking again changes nothing.
    pub async fn revoke_key(
        &self,
        service_account: Uuid,
        key: Uuid,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        todo!()
    }

    /// Notes when keys were last used; a later moment is never replaced by an earlier one. Raises no revision.
    pub async fn touch_keys(&self, used: Vec<(Uuid, OffsetDateTime)>) -> Result<(), StoreError> {
        todo!()
    }
}
