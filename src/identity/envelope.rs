//! Sealing secrets: each under a key of its own (AES-256-GCM), and that key wrapped by the ring.

use secrecy::SecretString;

use super::ring::KeyRing;

/// What is authenticated beside the ciphertext: moving it elsewhere makes it unreadable.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What the secret belongs to: an upstream's name.
    pub owner: &'a str,
    /// Where it may go: the binding of the upstream's credentials.
    pub binding: &'a str,
    /// Which field of its owner.
    pub field: &'a str,
    /// Which setting of it.
    pub version: i64,
}

/// A sealed secret and the id of the key that wraps its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Key of the ring.
    pub kid: String,
    /// Format byte, nonces, wrapped key, ciphertext.
    pub bytes: Vec<u8>,
}

/// Why a secret cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The ring lacks the key.
    #[error("the key ring lacks the key it was sealed with")]
    UnknownKey,
    /// It was changed, or belongs elsewhere.
    #[error("it is damaged or belongs elsewhere")]
    Refused,
}

/// Seals a secret under the ring's current key.
pub fn seal(ring: &KeyRing, context: Context<'_>, secret: &SecretString) -> Sealed {
    todo!()
}

/// Opens what [`seal`] made with the same context.
pub fn open(ring: &KeyRing, context: Context<'_>, sealed: &Sealed) -> Result<SecretString, OpenError> {
    todo!()
}

/// The same secret with its key wrapped by the ring's current key.
pub fn rewrap(ring: &KeyRing, context: Context<'_>, sealed: &Sealed) -> Result<Sealed, OpenError> {
    todo!()
}

/// Seals any bytes (a snapshot on disk) under the ring's current key.
pub fn seal_bytes(ring: &KeyRing, field: &str, bytes: &[u8]) -> Sealed {
    todo!()
}

/// Opens what [`seal_bytes`] made.
pub fn open_bytes(ring: &KeyRing, field: &str, sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
    todo!()
}
