//! Programs that call, and their API keys.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::principal::{Class, Role};
use super::session::SecretHash;

/// Longest name of a service account, characters.
const LONGEST_NAME: usize = 63;

/// Longest name of a key, characters.
const LONGEST_KEY_NAME: usize = 200;

/// Whether a service account may be called so: `[a-z0-9-]`, with a letter or digit at both ends.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=LONGEST_NAME).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a key may be called so: anything on one line.
pub fn is_key_name(text: &str) -> bool {
    (1..=LONGEST_KEY_NAME).contains(&text.chars().count())
        && !text.bytes().any(|byte| byte.is_ascii_control())
}

/// A program that calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// Identifier.
    pub id: Uuid,
    /// `[a-z0-9-]`, at most 63 characters; unique.
    pub name: String,
    /// What it may do on the control plane; `None`: nothing.
    pub role: Option<Role>,
    /// What it may ask for on the data plane.
    pub class: Class,
    /// Its keys do not count.
    pub disabled: bool,
    /// When it was created.
    #[serde(with = "super::moment")]
    pub created: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "super::moment")]
    pub updated: OffsetDateTime,
    /// Which state this is, for `If-Match`: rises by one with each change.
    pub version: i64,
}

/// A service account to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServiceAccount {
    /// Identifier.
    pub id: Uuid,
    /// Unique.
    pub name: String,
    /// What it may do on the control plane.
    pub role: Option<Role>,
    /// What it may ask for on the data plane.
    pub class: Class,
}

/// What to change of a service account; `None` leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAccountChange {
    /// `Some(None)` takes the role away.
    pub role: Option<Option<Role>>,
    /// What it may ask for.
    pub class: Option<Class>,
    /// Whether its keys count.
    pub disabled: Option<bool>,
}

/// Which service accounts a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAccountFilter {
    /// Only names that contain this.
    pub search: Option<String>,
}

/// An API key as it is kept: the secret part only as its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// Identifier; also the readable part of the key.
    pub id: Uuid,
    /// Whose it is.
    pub service_account: Uuid,
    /// For people to read.
    pub name: String,
    /// SHA-256 of the whole key.
    pub hash: SecretHash,
    /// When it was created.
    pub created: OffsetDateTime,
    /// Until when it counts; `None`: until it is revoked.
    pub expires: Option<OffsetDateTime>,
    /// When it was last used, to about a minute.
    pub last_used: Option<OffsetDateTime>,
    /// Since when it no longer counts.
    pub revoked: Option<OffsetDateTime>,
}

/// An API key to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// Identifier.
    pub id: Uuid,
    /// Whose it is.
    pub service_account: Uuid,
    /// For people to read.
    pub name: String,
    /// SHA-256 of the whole key.
    pub hash: SecretHash,
    /// Until when it counts.
    pub expires: Option<OffsetDateTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_where_names_of_hosts_fit() {
        assert!(["a", "0", "billing-2", &"a".repeat(63)].into_iter().all(is_name));
        let long = "a".repeat(64);
        for text in ["", "-", "-a", "a-", "A", "a_b", "a.b", "a b", "ä", "a\n", &long] {
            assert!(!is_name(text), "{text}");
        }
    }
}
