//! Refresh tokens and password resets, as they are kept: by hash only.

use time::OffsetDateTime;
use uuid::Uuid;

use super::user::User;

/// SHA-256 of a secret of at least 32 random bytes.
pub type SecretHash = [u8; 32];

/// A refresh token to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRefreshToken {
    /// What it is found by.
    pub hash: SecretHash,
    /// All that descend from one login.
    pub family: Uuid,
    /// Whose it is.
    pub user: Uuid,
    /// The epoch the user had when the password was checked: a session of an earlier one does not count.
    pub epoch: i64,
    /// When the family ends, whatever is rotated.
    pub expires: OffsetDateTime,
}

/// What became of a refresh token that was presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// It was the newest of its family, or the parent of an unused child within the grace: the child stands for it.
    Rotated {
        /// Whose it is, in the state under which the session counted: what is issued for it must not outlive a change
        /// of the password that comes a moment later.
        user: Box<User>,
        /// Its family.
        family: Uuid,
        /// When the family ends.
        expires: OffsetDateTime,
    },
    /// It had been used before: its family is revoked now.
    Reused {
        /// Whose it was.
        user: Uuid,
        /// The family that is revoked.
        family: Uuid,
    },
    /// Unknown, expired or revoked.
    Refused,
}

/// A one-time password reset to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReset {
    /// What it is found by.
    pub hash: SecretHash,
    /// Whose password it may set.
    pub user: Uuid,
    /// Until when.
    pub expires: OffsetDateTime,
}
