//! Upstreams as the API keeps them: documents with revisions, stored credentials, forced breaker modes.

use serde_json::Value;
use time::OffsetDateTime;

/// An upstream that was registered over the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// Its name.
    pub name: String,
    /// The document's `spec`, as given.
    pub spec: Value,
    /// The revision that made this state; also its entity tag.
    pub revision: u64,
    /// When it was registered.
    pub created: OffsetDateTime,
    /// When it last changed.
    pub updated: OffsetDateTime,
    /// Who changed it last, as the audit list names them.
    pub updated_by: String,
}

/// What one change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionAction {
    /// It was registered.
    Created,
    /// Its document was replaced.
    Replaced,
    /// An earlier document was put back.
    RolledBack,
    /// It was taken away.
    Deleted,
}

impl RevisionAction {
    /// As kept in the database and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Replaced => "replaced",
            Self::RolledBack => "rolled_back",
            Self::Deleted => "deleted",
        }
    }

    /// The action that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Created, Self::Replaced, Self::RolledBack, Self::Deleted];
        all.into_iter().find(|action| action.as_str() == text)
    }
}

/// One entry of an upstream's history.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamRevision {
    /// The upstream.
    pub name: String,
    /// The revision it made.
    pub revision: u64,
    /// What was done.
    pub action: RevisionAction,
    /// The `spec` after it; `None` after a deletion.
    pub spec: Option<Value>,
    /// When.
    pub at: OffsetDateTime,
    /// By whom.
    pub by: String,
}

/// A secret as it is kept: sealed, and bound to where it may go.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCredential {
    /// The upstream it is for.
    pub upstream: String,
    /// Where it may go, as `models::policy::Credentials::binding` writes them.
    pub binding: String,
    /// Rises with each change; part of what is authenticated.
    pub version: i64,
    /// Which key of the ring wraps the record's own key.
    pub kid: String,
    /// Wrapped key, nonces and ciphertext, as `identity::envelope` writes them.
    pub sealed: Vec<u8>,
    /// When it was set.
    pub updated: OffsetDateTime,
    /// By whom.
    pub updated_by: String,
}

impl std::fmt::Debug for SealedCredential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SealedCredential").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// What a breaker is forced to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForcedMode {
    /// Nothing is admitted.
    Open,
    /// Everything is admitted.
    Closed,
    /// Everything is admitted, and the breaker says what it would have done.
    MetricsOnly,
}

impl ForcedMode {
    /// As kept in the database and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "forced_open",
            Self::Closed => "forced_closed",
            Self::MetricsOnly => "metrics_only",
        }
    }

    /// The mode that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Closed, Self::MetricsOnly].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// A breaker that a person forced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerOverride {
    /// The upstream.
    pub upstream: String,
    /// The operation; `None` for the upstream's own breaker.
    pub operation: Option<String>,
    /// What it is forced to be.
    pub mode: ForcedMode,
    /// Why, in a person's words.
    pub reason: String,
    /// Until when; `None`: until it is taken back.
    pub expires: Option<OffsetDateTime>,
    /// When it was set.
    pub set: OffsetDateTime,
    /// By whom.
    pub set_by: String,
}

/// Everything the data plane needs of the database, read in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// The revision all of this belongs to.
    pub revision: u64,
    /// Registered upstreams.
    pub upstreams: Vec<Registration>,
    /// Their secrets, sealed; also those of upstreams from other sources.
    pub credentials: Vec<SealedCredential>,
    /// Forced breakers.
    pub overrides: Vec<BreakerOverride>,
    /// People, the disabled included.
    pub users: Vec<super::user::User>,
    /// Programs, the disabled included.
    pub service_accounts: Vec<super::service_account::ServiceAccount>,
    /// Keys that are neither revoked nor expired.
    pub keys: Vec<super::service_account::ApiKeyRecord>,
}
