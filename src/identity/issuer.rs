//! Issuers other than Levee whose tokens prove who calls: verified against keys that were fetched before, so that no call
//! waits for an issuer, and none is refused because one is away.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::sync::Notify;

use self::keys::Key;
pub use self::keys::{KeySet, KeySetError};
use super::token::Refused;
use crate::models::principal::Principal;

mod keys;
/// Service accounts of Kubernetes.
mod kubernetes;

/// Longest token that is looked at, bytes: several times what Kubernetes makes, and far below what a request's head may have.
const LONGEST: usize = 8 << 10;

/// One issuer, and the keys of it that count now. Until it has any, none of its tokens counts.
pub struct Issuer {
    name: &'static str,
    principal: fn(&str) -> Option<Principal>,
    trusted: ArcSwapOption<KeySet>,
    unknown_key: Notify,
}

/// Somebody whom a token of an issuer proved.
#[derive(Clone)]
pub(super) struct Guest {
    /// Who.
    pub(super) principal: Arc<Principal>,
    /// Until when the token counts (`exp`).
    pub(super) expires: SystemTime,
    key: Arc<Key>,
}

/// What is read of a token; the rest of what must be there is asked for by the key's rules.
#[derive(Deserialize)]
struct Written {
    sub: String,
    exp: u64,
}

/// What a token says before it is verified.
#[derive(Deserialize)]
struct Said {
    iss: String,
}

impl Issuer {
    /// Kubernetes, whose tokens prove service accounts: `k8s:namespace/account`.
    pub fn kubernetes() -> Self {
        Self::new("kubernetes", kubernetes::principal)
    }

    fn new(name: &'static str, principal: fn(&str) -> Option<Principal>) -> Self {
        Self { name, principal, trusted: ArcSwapOption::empty(), unknown_key: Notify::new() }
    }

    /// What logs and metrics call it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The keys that count now.
    pub fn trusted(&self) -> Option<Arc<KeySet>> {
        self.trusted.load_full()
    }

    /// Lets these keys count, and no others: at once, for tokens that were verified before as well.
    pub fn trust(&self, keys: KeySet) {
        let keys = match &*self.trusted.load() {
            Some(before) => keys.keeping(before),
            None => keys,
        };
        self.trusted.store(Some(Arc::new(keys)));
    }

    /// Ends when somebody has come with a token of this issuer whose key is not known.
    pub async fn unknown_key(&self) {
        self.unknown_key.notified().await;
    }

    /// Verifies everything. Keys and algorithms that the token's own header offers (`jwk`, `jku`, `x5u`, `alg`) are never taken
    /// up (RFC 8725 sections 3.1 and 3.10).
    pub(super) fn verify(&self, token: &str) -> Result<Guest, Refused> {
        let trusted = self.trusted.load();
        let trusted = trusted.as_ref().filter(|_| token.len() <= LONGEST).ok_or(Refused::Invalid)?;
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Invalid)?;
        // RFC 7515 section 4.1.11: what must be understood, and we understand none of it.
        let kid = header.kid.filter(|_| header.crit.is_none()).ok_or(Refused::Invalid)?;
        let Some(key) = trusted.key(&kid) else {
            if says_issuer(token).is_some_and(|issuer| issuer == trusted.issuer()) {
                self.unknown_key.notify_one();
            }
            return Err(Refused::Invalid);
        };
        let decoded = jsonwebtoken::decode::<Written>(token, &key.verifying, &key.rules);
        let written = decoded.map_err(|error| Refused::from(&error))?.claims;
        let expires = UNIX_EPOCH.checked_add(Duration::from_secs(written.exp)).ok_or(Refused::Invalid)?;
        let principal = (self.principal)(&written.sub).ok_or(Refused::Invalid)?;
        Ok(Guest { principal: Arc::new(principal), expires, key: Arc::clone(key) })
    }

    /// Whether the key that proved this guest, whoever's it was, is one of this issuer's that still count.
    pub(super) fn trusts(&self, guest: &Guest) -> bool {
        self.trusted.load().as_ref().is_some_and(|trusted| trusted.has(&guest.key))
    }
}

fn says_issuer(token: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Said>(&payload).ok().map(|said| said.iss)
}

#[cfg(test)]
pub(crate) mod tests;
