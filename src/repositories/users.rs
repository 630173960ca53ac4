//! Users.

use uuid::Uuid;

use super::{Changed, Store, StoreError};
use crate::models::page::{Page, PageRequest};
use crate::models::principal::Actor;
use crate::models::user::{Email, NewUser, User, UserChange, UserFilter};

impl Store {
    /// Creates a user: `user.created`. [`Conflict::Email`](super::Conflict) when another has the address.
    pub async fn create_user(&self, new: NewUser, actor: Actor) -> Result<Changed<User>, StoreError> {
        todo!()
    }

    /// Creates the first admin, if there is no user at all.
    pub async fn create_first_admin(&self, new: NewUser, actor: Actor) -> Result<Option<User>, StoreError> {
        todo!()
    }

    /// One user.
    pub async fn user(&self, id: Uuid) -> Result<User, StoreError> {
        todo!()
    }

    /// A user and the password's hash (PHC), by address.
    pub async fn user_for_login(&self, email: Email) -> Result<Option<(User, Option<String>)>, StoreError> {
        todo!()
    }

    /// The password's hash (PHC) of one user.
    pub async fn password_hash(&self, id: Uuid) -> Result<Option<String>, StoreError> {
        todo!()
    }

    /// Users by id, that is by age.
    pub async fn users(
        &self,
        filter: UserFilter,
        page: PageRequest<Uuid>,
    ) -> Result<Page<User, Uuid>, StoreError> {
        todo!()
    }

    /// Changes a user: `user.updated`. `expected` is the version the writer read: another one is `Stale`. Disabling
    /// raises the epoch and revokes the sessions. [`Conflict::LastAdmin`](super::Conflict) when no enabled admin would be left.
    pub async fn update_user(
        &self,
        id: Uuid,
        change: UserChange,
        expected: Option<i64>,
        actor: Actor,
    ) -> Result<Changed<User>, StoreError> {
        todo!()
    }

    /// Deletes a user with all sessions: `user.deleted`.
    pub async fn delete_user(
        &self,
        id: Uuid,
        expected: Option<i64>,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        todo!()
    }

    /// Sets a password's hash, raises the epoch and revokes every session: `user.password_changed`.
    pub async fn set_password(
        &self,
        id: Uuid,
        hash: String,
        actor: Actor,
    ) -> Result<Changed<User>, StoreError> {
        todo!()
    }

    /// Puts a stronger hash of the same password in the place of `old`, if that is still there.
    pub async fn rehash_password(&self, id: Uuid, old: String, new: String) -> Result<(), StoreError> {
        todo!()
    }
}
