//! Who there is, and what proves it, as one immutable value that calls read without a lock or a database.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use uuid::Uuid;

use super::token::Tokens;
use crate::models::principal::Principal;
use crate::models::registration::Stored;

/// Users, service accounts and keys at one revision.
#[derive(Default)]
pub struct Directory {}

impl Directory {
    /// Builds it from what is stored.
    pub fn of(stored: &Stored) -> Self {
        todo!()
    }
}

/// Why a credential is refused; the label of the metric that counts refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Its form or checksum is wrong, or it is badly signed.
    Malformed,
    /// No such key, or it was revoked.
    Unknown,
    /// Its time is over.
    Expired,
    /// Its owner is disabled, deleted, or changed the password since.
    Disabled,
}

/// A caller, and the key it used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Who.
    pub principal: Arc<Principal>,
    /// The API key's id, for its last-used time.
    pub key: Option<Uuid>,
}

/// Verifies credentials against the directory in force; shared by both planes.
pub struct Authenticator {
    tokens: Tokens,
    directory: ArcSwap<Directory>,
}

impl Authenticator {
    /// Nobody is known yet.
    pub fn new(tokens: Tokens) -> Self {
        Self { tokens, directory: ArcSwap::default() }
    }

    /// Lets new requests see `next`.
    pub fn publish(&self, next: Directory) {
        self.directory.store(Arc::new(next));
    }

    /// Who presents this credential.
    pub fn authenticate(&self, credential: &str, now: SystemTime) -> Result<Known, Refusal> {
        todo!()
    }

    /// The tokens it verifies.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}
