//! Hashing passwords: Argon2id, a few at a time beside the runtime, so that logins cannot starve calls.

use secrecy::SecretString;

use crate::error::Failure;

/// Least and most characters of a password.
pub const LENGTH: std::ops::RangeInclusive<usize> = 15..=256;

/// Why a password is not good enough, for a person; `None`: it is. `about` are words that must not be all there is to
/// it: the user's name and address.
pub fn refuse(password: &str, about: &[&str]) -> Option<&'static str> {
    todo!()
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password.
    Right {
        /// A hash under today's parameters, where the kept one is weaker.
        rehash: Option<String>,
    },
    /// It is not, or there is no such user.
    Wrong,
}

/// Hashes and checks, at most half as many at once as there are cores, with a short queue.
#[derive(Clone)]
pub struct Passwords {}

impl Passwords {
    /// A pool for this machine.
    pub fn new() -> Self {
        todo!()
    }

    /// The PHC string to keep. Unavailable when the queue is full or the wait too long.
    pub async fn hash(&self, password: SecretString) -> Result<String, Failure> {
        todo!()
    }

    /// Compares with a kept PHC string. `None` hashes a dummy and says wrong, in the same time.
    pub async fn verify(&self, password: SecretString, kept: Option<String>) -> Result<Verdict, Failure> {
        todo!()
    }
}
