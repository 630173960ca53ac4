//! Tokens that were verified, so that the next call of the same caller costs a hash and not a signature.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use crate::identity::issuer::Guest;
use crate::identity::token::{Claims, Refused};

/// Most tokens remembered; above it the least used go. About 3 MiB.
const MOST: usize = 10_000;

/// What a valid token says.
pub(super) enum Proven {
    /// One of ours, of a user.
    User(Claims),
    /// Another issuer's.
    Guest(Guest),
}

impl Proven {
    fn expires(&self) -> SystemTime {
        match self {
            Self::User(claims) => claims.expires,
            Self::Guest(guest) => guest.expires,
        }
    }
}

/// What valid tokens say, by the SHA-256 of the token. That never changes; whether its user still counts is the directory's
/// to say, and whether its key does the issuer's, each time.
pub(super) struct Remembered {
    proven: Cache<[u8; 32], Arc<Proven>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { proven: Cache::new(MOST) }
    }
}

impl Remembered {
    /// What a token says that counts at `now`; asks `verify` unless it is known to.
    pub(super) fn proven(
        &self,
        token: &str,
        now: SystemTime,
        verify: impl FnOnce() -> Result<Proven, Refused>,
    ) -> Result<Arc<Proven>, Refused> {
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        let key: [u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        if let Some(proven) = self.proven.get(&key) {
            if now < proven.expires() {
                return Ok(proven);
            }
            self.proven.remove(&key);
        }
        let proven = Arc::new(verify()?);
        self.proven.insert(key, Arc::clone(&proven));
        Ok(proven)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.proven.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use uuid::Uuid;

    use super::*;
    use crate::models::principal::Role;

    fn end() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1000)
    }

    fn claims() -> Claims {
        let (email, role) = ("ada@example.com".to_owned(), Role::Viewer);
        Claims { user: Uuid::nil(), epoch: 1, revision: 1, email, role, expires: end() }
    }

    fn said(proven: &Result<Arc<Proven>, Refused>) -> Result<&Claims, Refused> {
        match proven.as_deref() {
            Ok(Proven::User(claims)) => Ok(claims),
            Ok(Proven::Guest(_)) => panic!("nobody is a guest here"),
            Err(refused) => Err(*refused),
        }
    }

    #[test]
    fn a_token_is_verified_once_until_it_expires() {
        let remembered = Remembered::default();
        let before = end() - Duration::from_secs(1);
        let first = remembered.proven("a.b.c", before, || Ok(Proven::User(claims())));
        assert_eq!(said(&first), Ok(&claims()));
        let again = remembered.proven("a.b.c", before, || panic!("verified twice"));
        assert_eq!(said(&again), Ok(&claims()));
        let late = remembered.proven("a.b.c", end(), || Err(Refused::Expired));
        assert_eq!(said(&late), Err(Refused::Expired));
        assert_eq!(remembered.len(), 0);
    }

    #[test]
    fn only_the_very_token_is_remembered_and_only_a_valid_one() {
        let remembered = Remembered::default();
        let refused = remembered.proven("a.b.c", UNIX_EPOCH, || Err(Refused::Invalid));
        assert_eq!(said(&refused), Err(Refused::Invalid));
        assert!(remembered.proven("a.b.c", UNIX_EPOCH, || Ok(Proven::User(claims()))).is_ok());
        let tampered = remembered.proven("a.b.d", UNIX_EPOCH, || Err(Refused::Invalid));
        assert_eq!(said(&tampered), Err(Refused::Invalid));
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let remembered = Remembered::default();
        for number in 0..3 * MOST {
            let said = || Ok(Proven::User(claims()));
            assert!(remembered.proven(&number.to_string(), UNIX_EPOCH, said).is_ok());
        }
        assert!(remembered.len() <= MOST, "{}", remembered.len());
    }
}
