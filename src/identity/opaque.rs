//! Opaque secrets of 32 random bytes, kept as SHA-256: refresh tokens and password resets.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use super::ring::{KeyRing, random};
use crate::models::session::SecretHash;

/// A fresh secret as base64url, and its hash.
pub fn mint() -> (SecretString, SecretHash) {
    written(random())
}

/// The hash of a secret as presented; `None` when it cannot be one of ours.
pub fn hash(presented: &str) -> Option<SecretHash> {
    read(presented).map(|secret| hash_of(&secret))
}

/// The one child of a refresh token: HMAC-SHA256 under a key of the ring, so that parallel retries get the same one.
/// `None` when `parent` cannot be one of ours.
pub fn child(ring: &KeyRing, parent: &str) -> Option<(SecretString, SecretHash)> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &ring.derive_current("refresh tokens"));
    let tag = hmac::sign(&key, &read(parent)?);
    Some(written(tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")))
}

fn written(secret: [u8; 32]) -> (SecretString, SecretHash) {
    (SecretString::from(URL_SAFE_NO_PAD.encode(secret)), hash_of(&secret))
}

fn read(presented: &str) -> Option<[u8; 32]> {
    // Reading past what a secret has would let anybody make us decode a body's worth of text.
    let plausible = presented.len() == 43;
    plausible.then(|| URL_SAFE_NO_PAD.decode(presented).ok()?.try_into().ok()).flatten()
}

fn hash_of(secret: &[u8; 32]) -> SecretHash {
    digest::digest(&digest::SHA256, secret).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn ring() -> KeyRing {
        KeyRing::parse(&KeyRing::generate("a")).unwrap()
    }

    #[test]
    fn a_secret_is_found_by_its_hash_and_never_comes_twice() {
        let ((one, its_hash), (two, _)) = (mint(), mint());
        assert_eq!(hash(one.expose_secret()), Some(its_hash));
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert_eq!(one.expose_secret().len(), 43);
    }

    #[test]
    fn what_cannot_be_one_of_ours_has_no_hash_and_no_child() {
        let (secret, _) = mint();
        let secret = secret.expose_secret();
        for odd in ["", "x", &secret[1..], &format!("{secret}="), &format!("{secret}A"), &"*".repeat(43)] {
            assert!(hash(odd).is_none() && child(&ring(), odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn a_parent_has_one_child_that_only_the_ring_can_tell() {
        let (ring, (parent, _)) = (ring(), mint());
        let one = child(&ring, parent.expose_secret()).unwrap();
        let same = child(&ring, parent.expose_secret()).unwrap();
        let elsewhere = child(&self::ring(), parent.expose_secret()).unwrap();
        assert_eq!((one.0.expose_secret(), one.1), (same.0.expose_secret(), same.1));
        assert_eq!(hash(one.0.expose_secret()), Some(one.1));
        assert_ne!(one.1, elsewhere.1);
    }
}
