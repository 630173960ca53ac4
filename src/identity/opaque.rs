//! Opaque secrets of 32 random bytes, kept as SHA-256: refresh tokens and password resets.

use secrecy::SecretString;

use super::ring::KeyRing;
use crate::models::session::SecretHash;

/// A fresh secret as base64url, and its hash.
pub fn mint() -> (SecretString, SecretHash) {
    todo!()
}

/// The hash of a secret as presented; `None` when it cannot be one of ours.
pub fn hash(presented: &str) -> Option<SecretHash> {
    todo!()
}

/// The one child of a refresh token: HMAC-SHA256 under a key of the ring, so that parallel retries get the same one.
/// `None` when `parent` cannot be one of ours.
pub fn child(ring: &KeyRing, parent: &str) -> Option<(SecretString, SecretHash)> {
    todo!()
}
