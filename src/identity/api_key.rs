//! API keys: `lvk_<id>_<base62 of 32 random bytes><crc32>`. The checksum refuses a mistyped key before anything is hashed.

use secrecy::SecretString;
use uuid::Uuid;

use crate::models::session::SecretHash;

/// What every key begins with.
pub const PREFIX: &str = "lvk_";

/// A fresh key: the text to show once, and the hash to keep.
pub fn mint(id: Uuid) -> (SecretString, SecretHash) {
    todo!()
}

/// The hash of a key as presented; `None` when its form or checksum is wrong.
pub fn hash(presented: &str) -> Option<SecretHash> {
    todo!()
}
