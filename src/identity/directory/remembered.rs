//! Tokens that were verified, so that the next call of the same user costs a hash and not a signature.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use crate::identity::token::{Claims, Refused};

/// Most tokens remembered; above it the least used go. About 3 MiB.
const MOST: usize = 10_000;

/// Claims of valid tokens by the SHA-256 of the token. What a token says never changes; whether its user still counts is
/// the directory's to say, each time.
pub(super) struct Remembered {
    claims: Cache<[u8; 32], Arc<Claims>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { claims: Cache::new(MOST) }
    }
}

impl Remembered {
    /// The claims of a token that counts at `now`; asks `verify` unless it is known to.
    pub(super) fn claims(
        &self,
        token: &str,
        now: SystemTime,
        verify: impl FnOnce() -> Result<Claims, Refused>,
    ) -> Result<Arc<Claims>, Refused> {
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        let key: [u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        if let Some(claims) = self.claims.get(&key) {
            if now < claims.expires {
                return Ok(claims);
            }
            self.claims.remove(&key);
        }
        let claims = Arc::new(verify()?);
        self.claims.insert(key, Arc::clone(&claims));
        Ok(claims)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.claims.len()
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

    #[test]
    fn a_token_is_verified_once_until_it_expires() {
        let remembered = Remembered::default();
        let before = end() - Duration::from_secs(1);
        assert_eq!(*remembered.claims("a.b.c", before, || Ok(claims())).unwrap(), claims());
        let again = remembered.claims("a.b.c", before, || panic!("verified twice"));
        assert_eq!(*again.unwrap(), claims());
        let late = remembered.claims("a.b.c", end(), || Err(Refused::Expired));
        assert_eq!(late, Err(Refused::Expired));
        assert_eq!(remembered.len(), 0);
    }

    #[test]
    fn only_the_very_token_is_remembered_and_only_a_valid_one() {
        let remembered = Remembered::default();
        let refused = remembered.claims("a.b.c", UNIX_EPOCH, || Err(Refused::Invalid));
        assert_eq!(refused, Err(Refused::Invalid));
        remembered.claims("a.b.c", UNIX_EPOCH, || Ok(claims())).unwrap();
        let tampered = remembered.claims("a.b.d", UNIX_EPOCH, || Err(Refused::Invalid));
        assert_eq!(tampered, Err(Refused::Invalid));
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let remembered = Remembered::default();
        for number in 0..3 * MOST {
            remembered.claims(&number.to_string(), UNIX_EPOCH, || Ok(claims())).unwrap();
        }
        assert!(remembered.len() <= MOST, "{}", remembered.len());
    }
}
