//! Refresh tokens and password resets.

use std::time::Duration;

use uuid::Uuid;

use super::{Changed, Store, StoreError};
use crate::models::principal::Actor;
use crate::models::session::{NewRefreshToken, NewReset, Rotation, SecretHash};
use crate::models::user::User;

impl Store {
    /// Keeps the first refresh token of a family: `session.opened`.
    pub async fn open_session(&self, token: NewRefreshToken, actor: Actor) -> Result<(), StoreError> {
        todo!()
    }

    /// Puts `child` in the place of `presented` by one conditional UPDATE. When that was used before: within `grace`
    /// of its use, and as long as its child is unused, it is answered as rotated once more (the child is derived, hence
    /// the same); else the family is revoked and that is audited as `session.reused`.
    pub async fn rotate_session(
        &self,
        presented: SecretHash,
        child: SecretHash,
        grace: Duration,
        actor: Actor,
    ) -> Result<Rotation, StoreError> {
        todo!()
    }

    /// Revokes the family of a refresh token: `session.closed`. An unknown one is no error.
    pub async fn close_session(&self, presented: SecretHash, actor: Actor) -> Result<(), StoreError> {
        todo!()
    }

    /// Keeps a one-time reset: `user.reset_issued`. Earlier ones of the same user no longer count.
    pub async fn create_reset(&self, reset: NewReset, actor: Actor) -> Result<(), StoreError> {
        todo!()
    }

    /// Uses up a reset that is neither used nor expired and sets the password, as [`Store::set_password`] does.
    pub async fn redeem_reset(
        &self,
        presented: SecretHash,
        password_hash: String,
        actor: Actor,
    ) -> Result<Option<Changed<User>>, StoreError> {
        todo!()
    }

    /// Forgets what expired before now: refresh tokens, resets. How many rows.
    pub async fn forget_expired_sessions(&self) -> Result<u64, StoreError> {
        todo!()
    }

    /// Whose reset this is, if it still counts.
    pub async fn reset_user(&self, presented: SecretHash) -> Result<Option<Uuid>, StoreError> {
        todo!()
    }
}
