//! Programs that call, and their API keys.

use time::OffsetDateTime;
use uuid::Uuid;

use super::principal::{Class, Role};
use super::session::SecretHash;

/// A program that calls.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub created: OffsetDateTime,
    /// When it last changed.
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
