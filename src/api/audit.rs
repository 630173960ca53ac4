//! `/audit`: who changed what, when.

use std::collections::BTreeMap;

use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::{Object, OpenApi};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Group;
use super::error::ApiError;
use super::pagination::{default_limit, next, page_request};
use super::payload::JsonBody;
use super::security::Admin;
use crate::models::audit::{AuditEntry as Entry, AuditFilter};
use crate::services::audit::AuditService;

/// The operations.
pub(super) struct AuditApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Audit")]
impl AuditApi {
    /// List what was done
    ///
    /// The newest first. Every change is noted in the transaction that makes it, so what is not listed did not happen. Needs
    /// the role admin.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit_entries")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the query")]
    async fn list(
        &self,
        admin: Admin,
        service: Data<&AuditService>,
        /// Only what this one did: `user:ada@example.com`, `sa:billing`, `system:cli`.
        #[oai(name = "actor", validator(max_length = 400))]
        actor: Query<Option<String>>,
        /// Only this action, such as `key.created`; with a dot at the end, every action that begins so: `key.`.
        #[oai(name = "action", validator(max_length = 400))]
        action: Query<Option<String>>,
        /// Only what was done to this: `user:ada@example.com`, `sa:billing`, `upstream:rates`.
        #[oai(name = "target", validator(max_length = 400))]
        target: Query<Option<String>>,
        /// Only at this moment or after it.
        #[oai(name = "since")]
        since: Query<Option<OffsetDateTime>>,
        /// Only before this moment.
        #[oai(name = "until")]
        until: Query<Option<OffsetDateTime>>,
        /// How many items to answer with at most.
        #[oai(
            name = "limit",
            default = "default_limit",
            validator(minimum(value = "1"), maximum(value = "200"))
        )]
        limit: Query<u32>,
        /// Where to go on: the `next` of the page before.
        #[oai(name = "cursor")]
        cursor: Query<Option<String>>,
    ) -> Result<JsonBody<AuditPage>, ApiError> {
        let filter = AuditFilter {
            actor: actor.0,
            action: action.0,
            target: target.0,
            since: since.0,
            until: until.0,
        };
        let page = page_request(limit.0, cursor.0.as_deref())?;
        let page = service.list(&admin.0.principal, filter, page).await?;
        let items = page.items.into_iter().map(AuditEntry::from).collect();
        Ok(JsonBody(AuditPage { items, next: page.next.map(next) }))
    }
}

/// One thing that was done.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct AuditEntry {
    /// Identifier; sorts by time.
    id: Uuid,
    /// When.
    at: OffsetDateTime,
    /// Who: `user:` and an address, `sa:` and a service account, `system:` for Levee itself and its command line.
    actor: String,
    /// The identifier of that user or service account.
    actor_id: Option<Uuid>,
    /// What was done.
    action: String,
    /// To what.
    target: String,
    /// What is worth knowing beside it; never a secret.
    details: BTreeMap<String, Value>,
    /// The address the request came from.
    address: Option<String>,
    /// The `X-Request-Id` of the request.
    request_id: Option<String>,
}

/// A page of the audit list.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct AuditPage {
    /// The entries of this page.
    items: Vec<AuditEntry>,
    /// What to send as `cursor` for the next page; absent on the last one.
    next: Option<String>,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        let details = match entry.details {
            Value::Object(fields) => fields.into_iter().collect(),
            Value::Null => BTreeMap::new(),
            other => BTreeMap::from([("value".to_owned(), other)]),
        };
        Self {
            id: entry.id,
            at: entry.at,
            actor: entry.actor,
            actor_id: entry.actor_id,
            action: entry.action,
            target: entry.target,
            details,
            address: entry.address.map(|address| address.to_string()),
            request_id: entry.request,
        }
    }
}
