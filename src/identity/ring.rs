//! The key ring: named keys of 32 bytes. The first encrypts and signs, all of them decrypt and verify.

use std::sync::Arc;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretSlice};

/// Bytes of a key.
const LENGTH: usize = 32;

/// Most characters of an id: below what a key itself has, so that a key in the wrong place is never taken for an id.
const LONGEST_KID: usize = 32;

/// Standard base64, with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The keys everything else is derived from, never used themselves.
#[derive(Clone)]
pub struct KeyRing {
    keys: Arc<[RingKey]>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.kids()).finish()
    }
}

struct RingKey {
    kid: String,
    secret: SecretSlice<u8>,
}

impl KeyRing {
    /// Reads `kid:base64 of 32 bytes[,…]`; every fault in words that show nothing of a key.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let (mut keys, mut faults) = (Vec::<RingKey>::new(), Vec::new());
        for (at, entry) in text.trim().split(',').enumerate() {
            match RingKey::parse(entry.trim()) {
                Ok(key) if keys.iter().any(|other| other.kid == key.kid) => {
                    faults.push(format!("key {}: the id `{}` is given twice", at + 1, key.kid));
                }
                Ok(key) => keys.push(key),
                Err(fault) => faults.push(format!("key {}: {fault}", at + 1)),
            }
        }
        if faults.is_empty() { Ok(Self { keys: keys.into() }) } else { Err(faults) }
    }

    /// A ring of one fresh random key, as text for [`KeyRing::parse`].
    pub fn generate(kid: &str) -> String {
        format!("{kid}:{}", BASE64.encode(random::<LENGTH>()))
    }

    /// The id of the key that encrypts and signs.
    pub fn current(&self) -> &str {
        &self.keys[0].kid
    }

    /// Every id, the current one first.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.kid.as_str())
    }

    /// What the cache hashes its keys with: the same on every replica that has this ring.
    pub fn cache_secret(&self) -> [u8; LENGTH] {
        self.derive_current("cache")
    }

    /// 32 bytes derived from one key by HKDF-SHA256 (RFC 5869) for one purpose; `None` for an unknown id.
    pub(super) fn derive(&self, kid: &str, purpose: &str) -> Option<[u8; LENGTH]> {
        self.keys.iter().find(|key| key.kid == kid).map(|key| key.derive(purpose))
    }

    /// A number that stands for `text` wherever the same key is current, and tells nobody without it what it stands for.
    pub fn pseudonym(&self, purpose: &str, text: &str) -> u128 {
        let tag =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.derive_current(purpose)), text.as_bytes());
        let (first, _) = tag.as_ref().split_first_chunk().expect("SHA-256 has 32 bytes");
        u128::from_be_bytes(*first)
    }

    /// The same of the current key.
    pub(super) fn derive_current(&self, purpose: &str) -> [u8; LENGTH] {
        self.keys[0].derive(purpose)
    }
}

impl RingKey {
    fn parse(entry: &str) -> Result<Self, &'static str> {
        if entry.is_empty() {
            return Err("is empty");
        }
        let (kid, secret) = entry.split_once(':').ok_or("is not `kid:base64`: there is no colon")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if kid.is_empty() || kid.len() > LONGEST_KID || !kid.chars().all(plain) {
            return Err("its id is not 1 to 32 letters, digits, `-` or `_`");
        }
        let bytes = BASE64.decode(secret).map_err(|_| "what follows the colon is not base64")?;
        if bytes.len() != LENGTH {
            return Err("it does not have 32 bytes; `openssl rand -base64 32` makes such a key");
        }
        Ok(Self { kid: kid.to_owned(), secret: bytes.into() })
    }

    fn derive(&self, purpose: &str) -> [u8; LENGTH] {
        let mut derived = [0; LENGTH];
        Salt::new(HKDF_SHA256, b"levee")
            .extract(self.secret.expose_secret())
            .expand(&[purpose.as_bytes()], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut derived))
            .expect("one block of SHA-256 is within HKDF's limit");
        derived
    }
}

/// Random bytes for keys, nonces and secrets.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's source of randomness works");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONES: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const TWOS: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    fn faults(text: &str) -> Vec<String> {
        KeyRing::parse(text).err().unwrap_or_default()
    }

    #[test]
    fn the_first_key_is_the_current_one() {
        let ring = KeyRing::parse(&format!("b:{ONES}, a:{}\n", TWOS.trim_end_matches('='))).unwrap();
        assert_eq!((ring.current(), ring.kids().collect::<Vec<_>>()), ("b", vec!["b", "a"]));
    }

    #[test]
    fn a_pseudonym_is_the_same_under_the_same_key_only() {
        let ring = |keys: &str| KeyRing::parse(keys).unwrap();
        let (one, two) = (format!("a:{ONES}"), format!("a:{TWOS}"));
        assert_eq!(ring(&one).pseudonym("p", "x"), ring(&format!("{one},b:{TWOS}")).pseudonym("p", "x"));
        assert_ne!(ring(&one).pseudonym("p", "x"), ring(&two).pseudonym("p", "x"));
        assert_ne!(ring(&one).pseudonym("p", "x"), ring(&one).pseudonym("q", "x"));
    }

    #[test]
    fn a_generated_ring_can_be_read_and_is_another_each_time() {
        let (one, two) = (KeyRing::generate("dev"), KeyRing::generate("dev"));
        assert_ne!(one, two);
        assert_eq!(KeyRing::parse(&one).unwrap().current(), "dev");
    }

    #[test]
    fn every_fault_is_named_by_its_place() {
        for (text, fault) in [
            ("", "key 1: is empty"),
            (&format!("a:{ONES},"), "key 2: is empty"),
            (ONES, "key 1: is not `kid:base64`: there is no colon"),
            (&format!(":{ONES}"), "key 1: its id is not 1 to 32 letters, digits, `-` or `_`"),
            (&format!("a b:{ONES}"), "key 1: its id is not 1 to 32 letters, digits, `-` or `_`"),
            (
                &format!("{}:{ONES}", "k".repeat(33)),
                "key 1: its id is not 1 to 32 letters, digits, `-` or `_`",
            ),
            ("a:not*base64", "key 1: what follows the colon is not base64"),
            ("a:AQEB", "key 1: it does not have 32 bytes; `openssl rand -base64 32` makes such a key"),
            (&format!("a:{ONES},a:{TWOS}"), "key 2: the id `a` is given twice"),
        ] {
            assert_eq!(faults(text), [fault], "{text}");
        }
        assert_eq!(faults("a:AQEB,b,:x").len(), 3);
    }

    #[test]
    fn neither_a_fault_nor_the_debug_form_shows_a_key() {
        let key = TWOS.trim_end_matches('=');
        let wrong = [
            format!("{key}:a"),
            format!("a:{key}AA"),
            key.to_owned(),
            format!("a:{key},{key}:a,{key}:{key}"),
        ];
        for text in wrong {
            let told = faults(&text).join("\n");
            assert!(!told.is_empty() && !told.contains(&key[..8]), "{told}");
        }
        let ring = KeyRing::parse(&format!("a:{TWOS}")).unwrap();
        assert_eq!(format!("{ring:?}"), r#"["a"]"#);
    }

    #[test]
    fn each_key_and_each_purpose_derives_something_else_and_always_the_same() {
        let text = format!("a:{ONES},b:{TWOS}");
        let (ring, again) = (KeyRing::parse(&text).unwrap(), KeyRing::parse(&text).unwrap());
        let derived = ring.derive("a", "tokens").unwrap();
        assert_eq!(Some(derived), again.derive("a", "tokens"));
        assert_eq!(derived, ring.derive_current("tokens"));
        assert_ne!(Some(derived), ring.derive("a", "envelope"));
        assert_ne!(Some(derived), ring.derive("b", "tokens"));
        assert_eq!(ring.derive("c", "tokens"), None);
        assert_ne!(derived, [1; 32], "the key itself is never used");
    }
}
