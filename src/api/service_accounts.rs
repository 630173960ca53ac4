//! `/service-accounts`: programs that call.

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, Object, OpenApi};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Group;
use super::answers::{Created, NoContent, Tagged};
use super::error::ApiError;
use super::pagination::{default_limit, next, page_request};
use super::payload::JsonBody;
use super::precondition::IfMatch;
use super::roles::Class;
use super::security::{Admin, Viewer};
use crate::models::principal::Role;
use crate::models::service_account::{
    ServiceAccount as Account, ServiceAccountChange as Change, ServiceAccountFilter,
};
use crate::services::service_accounts::{ChangedAccount, ServiceAccountsService};

/// The operations.
pub(super) struct ServiceAccountsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::ServiceAccounts")]
impl ServiceAccountsApi {
    /// List service accounts
    ///
    /// The oldest first. Needs the role viewer.
    #[oai(path = "/service-accounts", method = "get", operation_id = "list_service_accounts")]
    async fn list(
        &self,
        viewer: Viewer,
        service: Data<&ServiceAccountsService>,
        /// Only names that contain this.
        #[oai(name = "search", validator(max_length = 100))]
        search: Query<Option<String>>,
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
    ) -> Result<JsonBody<ServiceAccountPage>, ApiError> {
        let page = page_request(limit.0, cursor.0.as_deref())?;
        let filter = ServiceAccountFilter { search: search.0 };
        let page = service.list(&viewer.0.principal, filter, page).await?;
        let items = page.items.into_iter().map(ServiceAccount::from).collect();
        Ok(JsonBody(ServiceAccountPage { items, next: page.next.map(next) }))
    }

    /// Create a service account
    ///
    /// A program that calls. It proves who it is with a key of its own, and may call the upstreams whose `access.allow`
    /// names it as `sa:{name}`. With a role it may use this API, too. Needs the role admin.
    #[oai(path = "/service-accounts", method = "post", operation_id = "create_service_account")]
    async fn create(
        &self,
        admin: Admin,
        service: Data<&ServiceAccountsService>,
        body: JsonBody<ServiceAccountCreation>,
    ) -> Result<Created<ServiceAccount>, ApiError> {
        let ServiceAccountCreation { name, role, class } = body.0;
        let role = role.and_then(Option::<Role>::from);
        let created = service.create(&admin.0.principal, admin.0.actor, name, role, class.into()).await?;
        let location = format!("/api/v1/service-accounts/{}", created.account.id);
        Ok(Created::tagged(location, created.account.version, created.into()))
    }

    /// Read one service account
    ///
    /// Needs the role viewer.
    #[oai(path = "/service-accounts/:id", method = "get", operation_id = "get_service_account")]
    async fn get(
        &self,
        viewer: Viewer,
        service: Data<&ServiceAccountsService>,
        /// The service account's id.
        #[oai(name = "id")]
        id: Path<Uuid>,
    ) -> Result<Tagged<ServiceAccount>, ApiError> {
        let account = service.get(&viewer.0.principal, id.0).await?;
        Ok(Tagged::new(account.version, account.into()))
    }

    /// Change a service account
    ///
    /// What is left out stays as it is. It takes effect on every replica within a second. Needs the role admin.
    #[oai(path = "/service-accounts/:id", method = "patch", operation_id = "update_service_account")]
    async fn update(
        &self,
        admin: Admin,
        service: Data<&ServiceAccountsService>,
        /// The service account's id.
        #[oai(name = "id")]
        id: Path<Uuid>,
        /// The `ETag` of the state to change, or `*` for whatever is there.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: JsonBody<ServiceAccountChange>,
    ) -> Result<Tagged<ServiceAccount>, ApiError> {
        let (id, expected) = (id.0, if_match.version());
        let changed = service.update(&admin.0.principal, admin.0.actor, id, body.0.into(), expected).await?;
        Ok(Tagged::new(changed.account.version, changed.into()))
    }

    /// Delete a service account
    ///
    /// Its keys go with it, and count no more when this answers. Needs the role admin.
    #[oai(path = "/service-accounts/:id", method = "delete", operation_id = "delete_service_account")]
    async fn delete(
        &self,
        admin: Admin,
        service: Data<&ServiceAccountsService>,
        /// The service account's id.
        #[oai(name = "id")]
        id: Path<Uuid>,
        /// The `ETag` of the state to delete, or `*` for whatever is there.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
    ) -> Result<NoContent, ApiError> {
        let (id, expected) = (id.0, if_match.version());
        service.delete(&admin.0.principal, admin.0.actor, id, expected).await?;
        Ok(NoContent)
    }
}

/// What a service account may do over this API: `none`, nothing, it only calls; `viewer` reads; `operator` also changes
/// upstreams and breakers; `admin` also manages users, service accounts, keys and credentials.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
enum ServiceAccountRole {
    None,
    Viewer,
    Operator,
    Admin,
}

/// A service account to be created.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceAccountCreation {
    /// Unique; callers are told apart by it.
    #[oai(validator(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    name: String,
    /// What it may do over this API; nothing, if left out.
    role: Option<ServiceAccountRole>,
    /// How much it may ask for.
    class: Class,
}

/// What to change of a service account.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceAccountChange {
    /// What it may do over this API.
    role: Option<ServiceAccountRole>,
    /// How much it may ask for.
    class: Option<Class>,
    /// Whether its keys are refused.
    disabled: Option<bool>,
}

/// A program that calls.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct ServiceAccount {
    /// Identifier.
    id: Uuid,
    /// Its name; `access.allow` of upstreams names it as `sa:` and this.
    name: String,
    /// What it may do over this API.
    role: ServiceAccountRole,
    /// How much it may ask for.
    class: Class,
    /// Whether its keys are refused.
    disabled: bool,
    /// When it was created.
    created_at: OffsetDateTime,
    /// When it last changed.
    updated_at: OffsetDateTime,
    /// Which state this is; its `ETag` is the same in quotes.
    version: i64,
    /// The revision this change made, in the answer to one. A replica whose `/status` shows it knows of the change.
    revision: Option<u64>,
}

/// A page of service accounts.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct ServiceAccountPage {
    /// The service accounts of this page.
    items: Vec<ServiceAccount>,
    /// What to send as `cursor` for the next page; absent on the last one.
    next: Option<String>,
}

impl From<Account> for ServiceAccount {
    fn from(account: Account) -> Self {
        Self {
            id: account.id,
            name: account.name,
            role: account.role.into(),
            class: account.class.into(),
            disabled: account.disabled,
            created_at: account.created,
            updated_at: account.updated,
            version: account.version,
            revision: None,
        }
    }
}

impl From<ChangedAccount> for ServiceAccount {
    fn from(changed: ChangedAccount) -> Self {
        Self { revision: Some(changed.revision), ..changed.account.into() }
    }
}

impl From<ServiceAccountChange> for Change {
    fn from(change: ServiceAccountChange) -> Self {
        Self {
            role: change.role.map(Option::from),
            class: change.class.map(Into::into),
            disabled: change.disabled,
        }
    }
}

impl From<ServiceAccountRole> for Option<Role> {
    fn from(role: ServiceAccountRole) -> Self {
        match role {
            ServiceAccountRole::None => None,
            ServiceAccountRole::Viewer => Some(Role::Viewer),
            ServiceAccountRole::Operator => Some(Role::Operator),
            ServiceAccountRole::Admin => Some(Role::Admin),
        }
    }
}

impl From<Option<Role>> for ServiceAccountRole {
    fn from(role: Option<Role>) -> Self {
        match role {
            None => Self::None,
            Some(Role::Viewer) => Self::Viewer,
            Some(Role::Operator) => Self::Operator,
            Some(Role::Admin) => Self::Admin,
        }
    }
}
