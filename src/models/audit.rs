//! Who changed what, when.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// One entry; never a secret in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Sorts by time.
    pub id: Uuid,
    /// When.
    #[serde(with = "super::moment")]
    pub at: OffsetDateTime,
    /// `user:…`, `sa:…` or `system:…`.
    pub actor: String,
    /// The principal's id, where it has one.
    pub actor_id: Option<Uuid>,
    /// What was done: `user.created`, `upstream.replaced`, `session.reused`.
    pub action: String,
    /// To what: `user:ada@example.com`, `upstream:rates`.
    pub target: String,
    /// What is worth knowing beside it.
    pub details: Value,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The request's `X-Request-Id`.
    pub request: Option<String>,
}

/// Which entries a list holds; the newest come first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only of this actor.
    pub actor: Option<String>,
    /// Only this action, or with a dot at the end every action that begins so: `user.`.
    pub action: Option<String>,
    /// Only of this target.
    pub target: Option<String>,
    /// Only at or after this moment.
    pub since: Option<OffsetDateTime>,
    /// Only before this moment.
    pub until: Option<OffsetDateTime>,
}
