//! Access tokens: JWTs (RFC 9068) signed with Ed25519 keys that are derived from the ring, and the JWKS that publishes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::ring::KeyRing;
use crate::models::principal::Role;
use crate::models::user::User;

/// `iss` and `aud` of every access token.
pub const ISSUER: &str = "levee";

/// How long an access token counts.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// `typ` of every access token (RFC 9068 section 2.1): nothing else that a key of ours may sign counts as one.
const TYPE: &str = "at+jwt";

/// How far the clocks of two replicas may be apart, seconds.
const LEEWAY: u64 = 5;

/// Longest token that is looked at, bytes: several times what one of ours has.
const LONGEST: usize = 4096;

/// What the keys that sign are derived for.
const PURPOSE: &str = "access tokens";

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The user.
    pub user: Uuid,
    /// The user's epoch when it was issued.
    pub epoch: i64,
    /// The revision the issuer's database had, at least: a replica behind it does not know all the issuer knew.
    pub revision: u64,
    /// The user's address then.
    pub email: String,
    /// The user's role then.
    pub role: Role,
    /// Until when it counts (`exp`): a verified token may be remembered so long.
    pub expires: SystemTime,
}

/// Why a token is refused; the label of the metric that counts refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// It is no token of the kind, or badly signed.
    Invalid,
    /// Its time is over, or has not begun.
    Expired,
}

/// Signs and verifies.
#[derive(Clone)]
pub struct Tokens {
    header: Header,
    signing: EncodingKey,
    verifying: Arc<HashMap<String, Verifying>>,
    jwks: Value,
}

/// A key, and how a token that names it is judged: the key says which algorithm counts, never the token.
struct Verifying {
    key: DecodingKey,
    rules: Validation,
}

/// What is written into a token. A token that lacks one of them is none.
#[derive(Serialize, Deserialize)]
struct Written {
    iss: String,
    aud: String,
    sub: Uuid,
    jti: Uuid,
    iat: u64,
    nbf: u64,
    exp: u64,
    epoch: i64,
    rev: u64,
    email: String,
    role: String,
}

impl Tokens {
    /// Over the keys of a ring.
    pub fn new(ring: &KeyRing) -> Self {
        let pairs: Vec<(&str, Ed25519KeyPair)> = ring.kids().map(|kid| (kid, pair(ring, kid))).collect();
        let document = pairs[0].1.to_pkcs8v1().expect("a key pair can be written");
        let header = Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(ring.current().to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        let published: Vec<Value> = pairs.iter().map(|(kid, pair)| published(kid, pair)).collect();
        let verifying = pairs.iter().map(|(kid, pair)| ((*kid).to_owned(), Verifying::ed25519(pair)));
        Self {
            header,
            signing: EncodingKey::from_ed_der(document.as_ref()),
            verifying: Arc::new(verifying.collect()),
            jwks: json!({ "keys": published }),
        }
    }

    /// Issues a token that counts for [`LIFETIME`] from `now`.
    pub fn issue(&self, user: &User, revision: u64, now: SystemTime) -> SecretString {
        let iat = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let written = Written {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: user.id,
            jti: Uuid::now_v7(),
            iat,
            nbf: iat,
            exp: iat + LIFETIME.as_secs(),
            epoch: user.epoch,
            rev: revision,
            email: user.email.to_string(),
            role: user.role.as_str().to_owned(),
        };
        let token = jsonwebtoken::encode(&self.header, &written, &self.signing);
        SecretString::from(token.expect("plain claims always serialise, and the key is of the algorithm"))
    }

    /// Verifies everything but what only the directory knows (the user's epoch and role). Keys and algorithms that
    /// the token's own header offers (`jwk`, `jku`, `x5u`, `alg`) are never taken up (RFC 8725 sections 3.1 and 3.10).
    pub fn verify(&self, token: &str) -> Result<Claims, Refused> {
        if token.len() > LONGEST {
            return Err(Refused::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Invalid)?;
        let typed = header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE));
        // RFC 7515 section 4.1.11: what must be understood, and we understand none of it.
        let strange = header.crit.is_some();
        let named = header.kid.as_deref().and_then(|kid| self.verifying.get(kid));
        let verifying = named.filter(|_| typed && !strange).ok_or(Refused::Invalid)?;
        let decoded = jsonwebtoken::decode::<Written>(token, &verifying.key, &verifying.rules);
        Claims::of(decoded.map_err(|error| Refused::from(&error))?.claims)
    }

    /// The public keys as a JSON Web Key Set (RFC 7517).
    pub fn jwks(&self) -> Value {
        self.jwks.clone()
    }
}

impl Verifying {
    fn ed25519(pair: &Ed25519KeyPair) -> Self {
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.leeway = LEEWAY;
        rules.validate_nbf = true;
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[ISSUER]);
        // The others are required by `Written`.
        rules.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        Self { key: DecodingKey::from_ed_der(pair.public_key().as_ref()), rules }
    }
}

impl Claims {
    fn of(written: Written) -> Result<Self, Refused> {
        let now = jsonwebtoken::get_current_timestamp();
        if written.iat > now + LEEWAY {
            return Err(Refused::Expired);
        }
        let role = Role::parse(&written.role).ok_or(Refused::Invalid)?;
        let expires = UNIX_EPOCH.checked_add(Duration::from_secs(written.exp)).ok_or(Refused::Invalid)?;
        Ok(Self {
            user: written.sub,
            epoch: written.epoch,
            revision: written.rev,
            email: written.email,
            role,
            expires,
        })
    }
}

impl From<&Error> for Refused {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => Self::Expired,
            _ => Self::Invalid,
        }
    }
}

fn pair(ring: &KeyRing, kid: &str) -> Ed25519KeyPair {
    let seed = ring.derive(kid, PURPOSE).expect("the ring names its own keys");
    Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed")
}

/// RFC 8037 section 2.
fn published(kid: &str, pair: &Ed25519KeyPair) -> Value {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA" })
}

#[cfg(test)]
mod tests;
