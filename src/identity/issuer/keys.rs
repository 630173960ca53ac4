//! The keys of an issuer: of a JSON Web Key Set (RFC 7517) those that verify signatures, each with the one algorithm it is for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, OctetKeyPairParameters,
    PublicKeyUse, RSAKeyParameters,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::identity::token::ISSUER;

/// `aud` that a token must have to be meant for Levee.
const AUDIENCE: &str = ISSUER;

/// How far an issuer's clock may be from ours, seconds.
const LEEWAY: u64 = 5;

/// Most keys that are looked at.
const MOST_KEYS: usize = 64;
/// Longest id of a key, bytes.
const LONGEST_KID: usize = 256;
/// Bytes of an RSA modulus: 2048 to 8192 bits. Shorter ones can be broken, longer ones keep a core busy.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// Why a key set is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is no JSON Web Key Set.
    #[error("it is no JSON Web Key Set: it has no list `keys`")]
    NoSet,
    /// None of its keys verifies signatures.
    #[error("none of its keys is one that verifies signatures (RSA, P-256, P-384 or Ed25519) and has an id")]
    NoKeys,
    /// Its issuer says nothing of who it is.
    #[error("the issuer has no name")]
    NoIssuer,
}

/// What an issuer is called in its tokens, and its keys.
pub struct KeySet {
    issuer: String,
    keys: HashMap<String, Arc<Key>>,
    fetched: SystemTime,
}

/// One key, and how a token that names it is judged.
pub(super) struct Key {
    pub(super) verifying: DecodingKey,
    pub(super) rules: Validation,
    /// As it was published.
    written: Value,
}

impl KeySet {
    /// Reads what an issuer published. Keys of other kinds and for other uses are left out, secret ones (`oct`) among them.
    pub fn read(issuer: &str, set: &Value, fetched: SystemTime) -> Result<Self, KeySetError> {
        if issuer.is_empty() || issuer == ISSUER {
            return Err(KeySetError::NoIssuer);
        }
        let published = set["keys"].as_array().ok_or(KeySetError::NoSet)?;
        let mut keys = HashMap::new();
        for (kid, key) in published.iter().take(MOST_KEYS).filter_map(|written| Key::read(issuer, written)) {
            keys.entry(kid).or_insert_with(|| Arc::new(key));
        }
        if keys.is_empty() {
            Err(KeySetError::NoKeys)
        } else {
            Ok(Self { issuer: issuer.to_owned(), keys, fetched })
        }
    }

    /// What the issuer is called in its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// How many keys count.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// When it was fetched.
    pub fn fetched(&self) -> SystemTime {
        self.fetched
    }

    /// The keys that count as a JSON Web Key Set, for [`KeySet::read`].
    pub fn written(&self) -> Value {
        json!({ "keys": self.keys.values().map(|key| &key.written).collect::<Vec<_>>() })
    }

    /// Whether the same keys of the same issuer count, whenever they were fetched.
    pub fn same(&self, other: &Self) -> bool {
        let has = |(kid, key): (&String, &Arc<Key>)| {
            other.keys.get(kid).is_some_and(|known| known.written == key.written)
        };
        self.issuer == other.issuer && self.keys.len() == other.keys.len() && self.keys.iter().all(has)
    }

    pub(super) fn key(&self, kid: &str) -> Option<&Arc<Key>> {
        self.keys.get(kid)
    }

    pub(super) fn has(&self, key: &Arc<Key>) -> bool {
        self.keys.values().any(|known| Arc::ptr_eq(known, key))
    }

    /// The same, with the keys of `before` that are in both: what they verified is remembered by them.
    pub(super) fn keeping(mut self, before: &Self) -> Self {
        if self.issuer != before.issuer {
            return self;
        }
        for (kid, key) in &mut self.keys {
            if let Some(known) = before.keys.get(kid).filter(|known| known.written == key.written) {
                *key = Arc::clone(known);
            }
        }
        self
    }
}

impl Key {
    fn read(issuer: &str, written: &Value) -> Option<(String, Self)> {
        let jwk = serde_json::from_value::<Jwk>(written.clone()).ok()?;
        let kid = jwk.common.key_id.clone().filter(|kid| kid.len() <= LONGEST_KID)?;
        let algorithm = algorithm(&jwk).filter(|_| verifies(&jwk))?;
        let verifying = DecodingKey::from_jwk(&jwk).ok()?;
        Some((kid, Self { verifying, rules: rules(issuer, algorithm), written: written.clone() }))
    }
}

fn rules(issuer: &str, algorithm: Algorithm) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.leeway = LEEWAY;
    rules.validate_nbf = true;
    rules.set_issuer(&[issuer]);
    rules.set_audience(&[AUDIENCE]);
    rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    rules
}

fn verifies(jwk: &Jwk) -> bool {
    let used = jwk.common.public_key_use.as_ref();
    let operations = jwk.common.key_operations.as_ref();
    used.is_none_or(|used| *used == PublicKeyUse::Signature)
        && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

/// The one algorithm a key is for: what it says, if that suits its kind. Never one that takes a secret, never none.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    let said = jwk.common.key_algorithm;
    let only = |suits: KeyAlgorithm, algorithm| said.is_none_or(|said| said == suits).then_some(algorithm);
    match &jwk.algorithm {
        AlgorithmParameters::RSA(key) if MODULUS.contains(&modulus(key)) => match said {
            None | Some(KeyAlgorithm::RS256) => Some(Algorithm::RS256),
            Some(KeyAlgorithm::RS384) => Some(Algorithm::RS384),
            Some(KeyAlgorithm::RS512) => Some(Algorithm::RS512),
            Some(KeyAlgorithm::PS256) => Some(Algorithm::PS256),
            Some(KeyAlgorithm::PS384) => Some(Algorithm::PS384),
            Some(KeyAlgorithm::PS512) => Some(Algorithm::PS512),
            Some(_) => None,
        },
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => only(KeyAlgorithm::ES256, Algorithm::ES256),
            EllipticCurve::P384 => only(KeyAlgorithm::ES384, Algorithm::ES384),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
            curve: EllipticCurve::Ed25519, ..
        }) => only(KeyAlgorithm::EdDSA, Algorithm::EdDSA),
        _ => None,
    }
}

/// Bytes of the modulus, without zeros in front.
fn modulus(key: &RSAKeyParameters) -> usize {
    let bytes = URL_SAFE_NO_PAD.decode(&key.n).unwrap_or_default();
    bytes.iter().skip_while(|byte| **byte == 0).count()
}
