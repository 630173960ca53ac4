//! Sealed credentials. What is inside never comes here.

use super::{Changed, Store, StoreError};
use crate::models::principal::Actor;
use crate::models::registration::SealedCredential;

impl Store {
    /// The version the next credential of an upstream must be sealed with.
    pub async fn next_credential_version(&self, upstream: String) -> Result<i64, StoreError> {
        todo!()
    }

    /// Keeps a credential in the place of any other of that upstream: `credential.set`. `Stale` when its version is
    /// not above the one that is there.
    pub async fn put_credential(
        &self,
        credential: SealedCredential,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        todo!()
    }

    /// Forgets one: `credential.deleted`.
    pub async fn delete_credential(&self, upstream: String, actor: Actor) -> Result<Changed<()>, StoreError> {
        todo!()
    }

    /// Up to `limit` credentials whose key is wrapped by another key of the ring than `kid`.
    pub async fn credentials_not_under(
        &self,
        kid: String,
        limit: u32,
    ) -> Result<Vec<SealedCredential>, StoreError> {
        todo!()
    }

    /// Puts the same secret, wrapped anew, in the place of the one of that upstream and version, if it is still there.
    pub async fn rewrap_credential(&self, credential: SealedCredential) -> Result<(), StoreError> {
        todo!()
    }
}
