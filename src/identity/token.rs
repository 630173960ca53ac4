//! Access tokens: JWTs (RFC 9068) signed with Ed25519 keys that are derived from the ring, and the JWKS that publishes them.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use serde_json::Value;
use uuid::Uuid;

use super::ring::KeyRing;
use crate::models::user::User;

/// `iss` and `aud` of every access token.
pub const ISSUER: &str = "levee";

/// How long an access token counts.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

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
    pub role: crate::models::principal::Role,
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
pub struct Tokens {}

impl Tokens {
    /// Over the keys of a ring.
    pub fn new(ring: &KeyRing) -> Self {
        todo!()
    }

    /// Issues a token that counts for [`LIFETIME`] from `now`.
    pub fn issue(&self, user: &User, revision: u64, now: SystemTime) -> SecretString {
        todo!()
    }

    /// Verifies everything but what only the directory knows (the user's epoch and role).
    pub fn verify(&self, token: &str) -> Result<Claims, Refused> {
        todo!()
    }

    /// The public keys as a JSON Web Key Set (RFC 7517).
    pub fn jwks(&self) -> Value {
        todo!()
    }
}
