//! The key ring: named keys of 32 bytes. The first encrypts and signs, all of them decrypt and verify.

use std::sync::Arc;

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
    secret: secrecy::SecretSlice<u8>,
}

impl KeyRing {
    /// Reads `kid:base64 of 32 bytes[,…]`; every fault in words that show nothing of a key.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        todo!()
    }

    /// A ring of one fresh random key, as text for [`KeyRing::parse`].
    pub fn generate(kid: &str) -> String {
        todo!()
    }

    /// The id of the key that encrypts and signs.
    pub fn current(&self) -> &str {
        todo!()
    }

    /// Every id, the current one first.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.kid.as_str())
    }

    /// 32 bytes derived from one key by HKDF-SHA256 (RFC 5869) for one purpose; `None` for an unknown id.
    pub(super) fn derive(&self, kid: &str, purpose: &str) -> Option<[u8; 32]> {
        todo!()
    }
}
