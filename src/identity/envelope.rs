//! Sealing secrets: each under a key of its own (AES-256-GCM), and that key wrapped by the ring.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret as _, SecretString};

use super::ring::{KeyRing, random};

/// The form of [`Sealed::bytes`]: this byte, wrapping nonce, wrapped key, nonce, ciphertext with its tag.
const FORMAT: u8 = 1;
const KEY: usize = 32;
const TAG: usize = 16;
/// Nonce, key and tag.
const WRAPPED: usize = NONCE_LEN + KEY + TAG;
/// What the key that wraps is derived for.
const PURPOSE: &str = "envelope";

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

impl Context<'_> {
    /// Every part after its length, so that no two contexts are written alike.
    fn authenticated(&self) -> Vec<u8> {
        let version = self.version.to_be_bytes();
        framed(&[b"secret", self.owner.as_bytes(), self.binding.as_bytes(), self.field.as_bytes(), &version])
    }
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
    seal_under_current(ring, &context.authenticated(), secret.expose_secret().as_bytes())
}

/// Opens what [`seal`] made with the same context.
pub fn open(ring: &KeyRing, context: Context<'_>, sealed: &Sealed) -> Result<SecretString, OpenError> {
    let opened = open_under(ring, &context.authenticated(), sealed)?;
    String::from_utf8(opened).map(SecretString::from).map_err(|_| OpenError::Refused)
}

/// The same secret with its key wrapped by the ring's current key.
pub fn rewrap(ring: &KeyRing, context: Context<'_>, sealed: &Sealed) -> Result<Sealed, OpenError> {
    let authenticated = context.authenticated();
    let (key, ciphertext) = unwrap(ring, &authenticated, sealed)?;
    Ok(wrap(ring, &authenticated, key, ciphertext))
}

/// Seals any bytes (a snapshot on disk) under the ring's current key.
pub fn seal_bytes(ring: &KeyRing, field: &str, bytes: &[u8]) -> Sealed {
    seal_under_current(ring, &framed(&[b"bytes", field.as_bytes()]), bytes)
}

/// Opens what [`seal_bytes`] made.
pub fn open_bytes(ring: &KeyRing, field: &str, sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
    open_under(ring, &framed(&[b"bytes", field.as_bytes()]), sealed)
}

fn seal_under_current(ring: &KeyRing, authenticated: &[u8], secret: &[u8]) -> Sealed {
    let key: [u8; KEY] = random();
    let ciphertext = encrypt(&key, authenticated, secret);
    wrap(ring, authenticated, key, &ciphertext)
}

fn open_under(ring: &KeyRing, authenticated: &[u8], sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
    let (key, ciphertext) = unwrap(ring, authenticated, sealed)?;
    decrypt(&key, authenticated, ciphertext).ok_or(OpenError::Refused)
}

fn wrap(ring: &KeyRing, authenticated: &[u8], key: [u8; KEY], ciphertext: &[u8]) -> Sealed {
    let wrapped = encrypt(&ring.derive_current(PURPOSE), authenticated, &key);
    Sealed { kid: ring.current().to_owned(), bytes: [&[FORMAT], &*wrapped, ciphertext].concat() }
}

/// The secret's own key, and the rest of the envelope.
fn unwrap<'a>(
    ring: &KeyRing,
    authenticated: &[u8],
    sealed: &'a Sealed,
) -> Result<([u8; KEY], &'a [u8]), OpenError> {
    let wrapping = ring.derive(&sealed.kid, PURPOSE).ok_or(OpenError::UnknownKey)?;
    let Some((&FORMAT, rest)) = sealed.bytes.split_first() else { return Err(OpenError::Refused) };
    let (wrapped, ciphertext) = rest.split_at_checked(WRAPPED).ok_or(OpenError::Refused)?;
    let key = decrypt(&wrapping, authenticated, wrapped).ok_or(OpenError::Refused)?;
    Ok((key.try_into().map_err(|_| OpenError::Refused)?, ciphertext))
}

/// Nonce, ciphertext and tag.
fn encrypt(key: &[u8; KEY], authenticated: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_LEN] = random();
    let mut text = plain.to_vec();
    cipher(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(authenticated), &mut text)
        .expect("what we seal is far below AES-GCM's limit of 64 GiB");
    [&nonce[..], &text].concat()
}

fn decrypt(key: &[u8; KEY], authenticated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let plain = cipher(key).open_in_place(nonce, Aad::from(authenticated), &mut text).ok()?.len();
    text.truncate(plain);
    Some(text)
}

fn cipher(key: &[u8; KEY]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes"))
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut written = Vec::new();
    for part in parts {
        written.extend((part.len() as u64).to_be_bytes());
        written.extend(*part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Context<'_> =
        Context { owner: "rates", binding: "https://api.example.com:443", field: "secret", version: 3 };

    fn ring(kids: &[(&str, char)]) -> KeyRing {
        let keys = kids.iter().map(|(kid, letter)| format!("{kid}:{}A=", letter.to_string().repeat(42)));
        KeyRing::parse(&keys.collect::<Vec<_>>().join(",")).unwrap()
    }

    fn sealed(ring: &KeyRing) -> Sealed {
        seal(ring, HERE, &SecretString::from("hunter2"))
    }

    fn opened(ring: &KeyRing, context: Context<'_>, sealed: &Sealed) -> Result<String, OpenError> {
        open(ring, context, sealed).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn what_was_sealed_opens_in_its_context_only() {
        let ring = ring(&[("a", 'B')]);
        let sealed = sealed(&ring);
        assert_eq!(opened(&ring, HERE, &sealed).as_deref(), Ok("hunter2"));
        for elsewhere in [
            Context { owner: "other", ..HERE },
            Context { binding: "https://evil.example:443", ..HERE },
            Context { field: "token", ..HERE },
            Context { version: 4, ..HERE },
            // The same bytes, parted elsewhere.
            Context { owner: "rateshttps://", binding: "api.example.com:443", ..HERE },
        ] {
            assert_eq!(opened(&ring, elsewhere, &sealed), Err(OpenError::Refused), "{elsewhere:?}");
            assert!(rewrap(&ring, elsewhere, &sealed).is_err(), "{elsewhere:?}");
        }
    }

    #[test]
    fn the_envelope_shows_nothing_and_is_another_each_time() {
        let ring = ring(&[("a", 'B')]);
        let (one, two) = (sealed(&ring), sealed(&ring));
        assert_ne!(one.bytes, two.bytes);
        assert!(!one.bytes.windows(7).any(|window| window == b"hunter2"));
    }

    #[test]
    fn no_byte_of_it_can_be_changed_or_left_out() {
        let ring = ring(&[("a", 'B')]);
        let sealed = sealed(&ring);
        for at in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[at] ^= 1;
            assert_eq!(opened(&ring, HERE, &changed), Err(OpenError::Refused), "byte {at}");
            let cut = Sealed { bytes: sealed.bytes[..at].to_vec(), ..sealed.clone() };
            assert_eq!(opened(&ring, HERE, &cut), Err(OpenError::Refused), "cut at {at}");
        }
    }

    #[test]
    fn an_old_key_still_opens_and_rewrapping_frees_from_it() {
        let old = ring(&[("a", 'B')]);
        let both = ring(&[("b", 'C'), ("a", 'B')]);
        let new = ring(&[("b", 'C')]);
        let sealed = sealed(&old);
        assert_eq!(opened(&both, HERE, &sealed).as_deref(), Ok("hunter2"));
        assert_eq!(opened(&new, HERE, &sealed), Err(OpenError::UnknownKey));
        let rewrapped = rewrap(&both, HERE, &sealed).unwrap();
        assert_eq!(rewrapped.kid, "b");
        assert_eq!(opened(&new, HERE, &rewrapped).as_deref(), Ok("hunter2"));
    }

    #[test]
    fn a_key_of_the_same_name_but_other_bytes_opens_nothing() {
        let sealed = sealed(&ring(&[("a", 'B')]));
        assert_eq!(opened(&ring(&[("a", 'C')]), HERE, &sealed), Err(OpenError::Refused));
    }

    #[test]
    fn bytes_are_bound_to_what_they_are() {
        let ring = ring(&[("a", 'B')]);
        let sealed = seal_bytes(&ring, "snapshot", &[0, 255, 7]);
        assert_eq!(open_bytes(&ring, "snapshot", &sealed), Ok(vec![0, 255, 7]));
        assert_eq!(open_bytes(&ring, "other", &sealed), Err(OpenError::Refused));
        assert_eq!(opened(&ring, HERE, &sealed), Err(OpenError::Refused));
    }
}
