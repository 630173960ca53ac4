//! `/service-accounts/{id}/keys`: the API keys of programs that call.

use std::time::Duration;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Group;
use super::answers::{Created, NoContent};
use super::error::ApiError;
use super::lasting::expires_in;
use super::pagination::{default_limit, next, page_request};
use super::payload::JsonBody;
use super::security::Admin;
use crate::models::service_account::ApiKeyRecord;
use crate::services::service_accounts::{IssuedKey as Issued, LONGEST_LIFE, ServiceAccountsService};

/// The operations.
pub(super) struct KeysApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::ServiceAccounts")]
impl KeysApi {
    /// List the keys of a service account
    ///
    /// The oldest first, those that expired or were revoked included. Nothing here tells what a key is. Needs the role
    /// admin.
    #[oai(path = "/service-accounts/:id/keys", method = "get", operation_id = "list_api_keys")]
    async fn list(
        &self,
        admin: Admin,
        service: Data<&ServiceAccountsService>,
        /// The service account's id.
        #[oai(name = "id")]
        id: Path<Uuid>,
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
    ) -> Result<JsonBody<ApiKeyPage>, ApiError> {
        let page = page_request(limit.0, cursor.0.as_deref())?;
        let page = service.keys(&admin.0.principal, id.0, page).await?;
        let items = page.items.into_iter().map(ApiKey::from).collect();
        Ok(JsonBody(ApiKeyPage { items, next: page.next.map(next) }))
    }

    /// Issue a key
    ///
    /// The answer is the only place that shows `key`: only its hash is kept. Send it as `Levee-Key`, as
    /// `Authorization: Bearer`, as the user name of Basic, or in the header an upstream names as `access.keyHeader`. Needs
    /// the role admin.
    #[oai(path = "/service-accounts/:id/keys", method = "post", operation_id = "create_api_key")]
    async fn create(
        &self,
        admin: Admin,
        service: Data<&ServiceAccountsService>,
        /// The service account's id.
        #[oai(name = "id")]
        id: Path<Uuid>,
        body: JsonBody<ApiKeyCreation>,
    ) -> Result<Created<IssuedApiKey>, ApiError> {
        let ApiKeyCreation { name, expires_in: life } = body.0;
        let bounds = Duration::from_secs(1)..=LONGEST_LIFE;
        let life = life.map(|life| expires_in(&life, &bounds, "from `1s` to `3650d`, such as `90d`"));
        let (account, life) = (id.0, life.transpose()?);
        let issued = service.issue_key(&admin.0.principal, admin.0.actor, account, name, life).await?;
        let location = format!("/api/v1/service-accounts/{account}/keys/{}", issued.record.id);
        Ok(Created::new(location, issued.into()))
    }

    /// Read one key
    ///
    /// What is known of it, but not the key. One that was revoked is found only in the list. Needs the role admin.
    #[oai(path = "/service-accounts/:id/keys/:key", method = "get", operation_id = "get_api_key")]
    async fn get(
        &self,
        admin: Admin,
        service: Data<&ServiceAccountsService>,
        /// The service account's id.
        #[oai(name = "id")]
        id: Path<Uuid>,
        /// The key's id.
        #[oai(name = "key")]
        key: Path<Uuid>,
    ) -> Result<JsonBody<ApiKey>, ApiError> {
        let (account, key) = (id.0, key.0);
        Ok(JsonBody(service.key(&admin.0.principal, account, key).await?.into()))
    }

    /// Revoke a key
    ///
    /// It counts no more when this answers, and on every other replica within a second. Needs the role admin.
    #[oai(path = "/service-accounts/:id/keys/:key", method = "delete", operation_id = "revoke_api_key")]
    async fn revoke(
        &self,
        admin: Admin,
        service: Data<&ServiceAccountsService>,
        /// The service account's id.
        #[oai(name = "id")]
        id: Path<Uuid>,
        /// The key's id.
        #[oai(name = "key")]
        key: Path<Uuid>,
    ) -> Result<NoContent, ApiError> {
        let (account, key) = (id.0, key.0);
        service.revoke_key(&admin.0.principal, admin.0.actor, account, key).await?;
        Ok(NoContent)
    }
}

/// A key to be issued.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ApiKeyCreation {
    /// For people to read.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]+$"))]
    name: String,
    /// For how long it counts: a duration from `1s` to `3650d`; without it, until it is revoked.
    #[oai(validator(max_length = 32, pattern = "^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)$"))]
    expires_in: Option<String>,
}

/// An API key, without what makes it one.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct ApiKey {
    /// Identifier; its digits stand in the key behind `lvk_`.
    id: Uuid,
    /// For people to read.
    name: String,
    /// When it was issued.
    created_at: OffsetDateTime,
    /// Until when it counts; absent: until it is revoked.
    expires_at: Option<OffsetDateTime>,
    /// When it was last used, up to about a minute behind; absent: never.
    last_used_at: Option<OffsetDateTime>,
    /// Since when it counts no more.
    revoked_at: Option<OffsetDateTime>,
}

/// A key that was just issued.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct IssuedApiKey {
    /// Identifier; its digits stand in the key behind `lvk_`.
    id: Uuid,
    /// For people to read.
    name: String,
    /// The key itself. It cannot be read again.
    key: String,
    /// When it was issued.
    created_at: OffsetDateTime,
    /// Until when it counts; absent: until it is revoked.
    expires_at: Option<OffsetDateTime>,
    /// The revision this made. A replica whose `/status` shows it accepts the key.
    revision: u64,
}

/// A page of keys.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct ApiKeyPage {
    /// The keys of this page.
    items: Vec<ApiKey>,
    /// What to send as `cursor` for the next page; absent on the last one.
    next: Option<String>,
}

impl From<ApiKeyRecord> for ApiKey {
    fn from(record: ApiKeyRecord) -> Self {
        Self {
            id: record.id,
            name: record.name,
            created_at: record.created,
            expires_at: record.expires,
            last_used_at: record.last_used,
            revoked_at: record.revoked,
        }
    }
}

impl From<Issued> for IssuedApiKey {
    fn from(issued: Issued) -> Self {
        Self {
            id: issued.record.id,
            name: issued.record.name,
            key: issued.text.expose_secret().to_owned(),
            created_at: issued.record.created,
            expires_at: issued.record.expires,
            revision: issued.revision,
        }
    }
}
