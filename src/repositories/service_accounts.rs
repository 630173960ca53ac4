//! Service accounts and their keys.

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::macros::{change, read, read_together, record, statements};
use super::rows::{containing, micros, moment, moment_if, now, plain, word};
use super::{Changed, Done, Note, Store, StoreError, revision};
use crate::models::page::{Page, PageRequest};
use crate::models::principal::{Actor, Class, Role};
use crate::models::service_account::{
    ApiKeyRecord, NewApiKey, NewServiceAccount, ServiceAccount, ServiceAccountChange, ServiceAccountFilter,
};

macro_rules! columns {
    () => {
        "id, name, role, class, disabled, created, updated, version"
    };
}

macro_rules! key_columns {
    () => {
        "id, service_account_id, name, hash, created, expires, last_used, revoked"
    };
}

statements! {
    INSERT = "INSERT INTO service_accounts (", columns!(), ") VALUES ($1, $2, $3, $4, FALSE, $5, $5, 1) RETURNING ",
        columns!();
    BY_ID = "SELECT ", columns!(), " FROM service_accounts WHERE id = $1";
    LIST = "SELECT ", columns!(), " FROM service_accounts WHERE (name LIKE $1 ESCAPE '!' OR $1 IS NULL) \
        AND (id > $2 OR $2 IS NULL) ORDER BY id LIMIT $3";
    ALL = "SELECT ", columns!(), " FROM service_accounts ORDER BY id";
    UPDATE = "UPDATE service_accounts SET role = $2, class = $3, disabled = $4, updated = $5, version = version + 1 \
        WHERE id = $1 RETURNING ", columns!();
    DELETE_KEYS = "DELETE FROM api_keys WHERE service_account_id = $1";
    DELETE = "DELETE FROM service_accounts WHERE id = $1";
    INSERT_KEY = "INSERT INTO api_keys (id, service_account_id, name, hash, created, expires) \
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING ", key_columns!();
    KEYS = "SELECT ", key_columns!(), " FROM api_keys WHERE service_account_id = $1 AND (id > $2 OR $2 IS NULL) \
        ORDER BY id LIMIT $3";
    KEY = "SELECT ", key_columns!(), " FROM api_keys WHERE service_account_id = $1 AND id = $2";
    KEYS_IN_FORCE = "SELECT ", key_columns!(), " FROM api_keys WHERE revoked IS NULL \
        AND (expires IS NULL OR expires > $1) ORDER BY id";
    REVOKE_KEY = "UPDATE api_keys SET revoked = $2 WHERE id = $1";
    TOUCH_KEY = "UPDATE api_keys SET last_used = $2 WHERE id = $1 AND (last_used IS NULL OR last_used < $2)";
}

/// A service account as a row.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: Uuid,
    name: String,
    role: Option<String>,
    class: String,
    disabled: bool,
    created: i64,
    updated: i64,
    version: i64,
}

impl TryFrom<Row> for ServiceAccount {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            name: row.name,
            role: row.role.map(|role| word(&role, Role::parse)).transpose()?,
            class: word(&row.class, Class::parse)?,
            disabled: row.disabled,
            created: moment(row.created)?,
            updated: moment(row.updated)?,
            version: row.version,
        })
    }
}

/// A key as a row.
#[derive(sqlx::FromRow)]
pub(super) struct KeyRow {
    id: Uuid,
    service_account_id: Uuid,
    name: String,
    hash: Vec<u8>,
    created: i64,
    expires: Option<i64>,
    last_used: Option<i64>,
    revoked: Option<i64>,
}

impl TryFrom<KeyRow> for ApiKeyRecord {
    type Error = sqlx::Error;

    fn try_from(row: KeyRow) -> Result<Self, sqlx::Error> {
        let hash =
            row.hash.try_into().map_err(|_| sqlx::Error::Decode("a key's hash has 32 bytes".into()))?;
        Ok(Self {
            id: row.id,
            service_account: row.service_account_id,
            name: row.name,
            hash,
            created: moment(row.created)?,
            expires: moment_if(row.expires)?,
            last_used: moment_if(row.last_used)?,
            revoked: moment_if(row.revoked)?,
        })
    }
}

/// The service account, in the version the writer read.
macro_rules! found {
    ($tx:ident, $id:expr, $expected:expr) => {{
        let expected: Option<i64> = $expected;
        let row: Option<Row> = sqlx::query_as(BY_ID).bind($id).fetch_optional(&mut *$tx).await?;
        let account = ServiceAccount::try_from(row.ok_or(StoreError::NotFound)?)?;
        if expected.is_some_and(|expected| expected != account.version) {
            return Err(StoreError::Stale);
        }
        account
    }};
}

impl Store {
    /// Creates a service account: `service_account.created`. `Conflict::ServiceAccountName` when another has the name.
    pub async fn create_service_account(
        &self,
        new: NewServiceAccount,
        actor: Actor,
    ) -> Result<Changed<ServiceAccount>, StoreError> {
        change!(self, |tx, _revision| {
            let row: Row = sqlx::query_as(INSERT)
                .bind(new.id)
                .bind(plain(&new.name))
                .bind(new.role.map(Role::as_str))
                .bind(new.class.as_str())
                .bind(now())
                .fetch_one(&mut *tx)
                .await?;
            let account = ServiceAccount::try_from(row)?;
            let details = json!({ "role": account.role.map(Role::as_str), "class": account.class.as_str() });
            let note = Note { action: "service_account.created", target: target(&account), details, actor };
            Ok(Done::Noted(account, note))
        })
    }

    /// One service account.
    pub async fn service_account(&self, id: Uuid) -> Result<ServiceAccount, StoreError> {
        read!(self, |tx| Ok(found!(tx, id, None)))
    }

    /// Service accounts by id, that is by age.
    pub async fn service_accounts(
        &self,
        filter: ServiceAccountFilter,
        page: PageRequest<Uuid>,
    ) -> Result<Page<ServiceAccount, Uuid>, StoreError> {
        read!(self, |tx| {
            let rows: Vec<Row> = sqlx::query_as(LIST)
                .bind(filter.search.as_deref().map(containing))
                .bind(page.after)
                .bind(i64::from(page.limit) + 1)
                .fetch_all(&mut *tx)
                .await?;
            let accounts: Result<Vec<ServiceAccount>, _> =
                rows.into_iter().map(ServiceAccount::try_from).collect();
            Ok(Page::of(accounts?, page.limit, |account| account.id))
        })
    }

    /// Changes one: `service_account.updated`. `expected` as with users.
    pub async fn update_service_account(
        &self,
        id: Uuid,
        change: ServiceAccountChange,
        expected: Option<i64>,
        actor: Actor,
    ) -> Result<Changed<ServiceAccount>, StoreError> {
        change!(self, |tx, _revision| {
            let old = found!(tx, id, expected);
            let mut next = old.clone();
            change.role.into_iter().for_each(|role| next.role = role);
            change.class.into_iter().for_each(|class| next.class = class);
            change.disabled.into_iter().for_each(|disabled| next.disabled = disabled);
            if next == old {
                return Ok(Done::Nothing(old));
            }
            let row: Row = sqlx::query_as(UPDATE)
                .bind(id)
                .bind(next.role.map(Role::as_str))
                .bind(next.class.as_str())
                .bind(next.disabled)
                .bind(now())
                .fetch_one(&mut *tx)
                .await?;
            let account = ServiceAccount::try_from(row)?;
            let details = difference(&old, &account);
            let note = Note { action: "service_account.updated", target: target(&account), details, actor };
            Ok(Done::Noted(account, note))
        })
    }

    /// Deletes one with its keys: `service_account.deleted`.
    pub async fn delete_service_account(
        &self,
        id: Uuid,
        expected: Option<i64>,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        change!(self, |tx, _revision| {
            let account = found!(tx, id, expected);
            sqlx::query(DELETE_KEYS).bind(id).execute(&mut *tx).await?;
            sqlx::query(DELETE).bind(id).execute(&mut *tx).await?;
            let (target, details) = (target(&account), json!({}));
            Ok(Done::Noted((), Note { action: "service_account.deleted", target, details, actor }))
        })
    }

    /// Keeps a key: `key.created`. `NotFound` when there is no such service account.
    pub async fn create_key(
        &self,
        new: NewApiKey,
        actor: Actor,
    ) -> Result<Changed<ApiKeyRecord>, StoreError> {
        change!(self, |tx, _revision| {
            let account = found!(tx, new.service_account, None);
            let row: KeyRow = sqlx::query_as(INSERT_KEY)
                .bind(new.id)
                .bind(new.service_account)
                .bind(plain(&new.name))
                .bind(new.hash.to_vec())
                .bind(now())
                .bind(new.expires.map(micros))
                .fetch_one(&mut *tx)
                .await?;
            let key = ApiKeyRecord::try_from(row)?;
            let note = Note { action: "key.created", target: target(&account), details: named(&key), actor };
            Ok(Done::Noted(key, note))
        })
    }

    /// The keys of a service account by id, the revoked included. `NotFound` when there is no such account.
    pub async fn keys(
        &self,
        service_account: Uuid,
        page: PageRequest<Uuid>,
    ) -> Result<Page<ApiKeyRecord, Uuid>, StoreError> {
        read_together!(self, |tx| {
            found!(tx, service_account, None);
            let rows: Vec<KeyRow> = sqlx::query_as(KEYS)
                .bind(service_account)
                .bind(page.after)
                .bind(i64::from(page.limit) + 1)
                .fetch_all(&mut *tx)
                .await?;
            let keys: Result<Vec<ApiKeyRecord>, _> = rows.into_iter().map(ApiKeyRecord::try_from).collect();
            Ok(Page::of(keys?, page.limit, |key| key.id))
        })
    }

    /// One key of a service account.
    pub async fn key(&self, service_account: Uuid, key: Uuid) -> Result<ApiKeyRecord, StoreError> {
        read!(self, |tx| {
            let found = sqlx::query_as(KEY).bind(service_account).bind(key);
            let row: Option<KeyRow> = found.fetch_optional(&mut *tx).await?;
            Ok(row.ok_or(StoreError::NotFound)?.try_into()?)
        })
    }

    /// Revokes a key: `key.revoked`. Revoking again changes nothing.
    pub async fn revoke_key(
        &self,
        service_account: Uuid,
        key: Uuid,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        change!(self, |tx, _revision| {
            let account = found!(tx, service_account, None);
            let found = sqlx::query_as(KEY).bind(service_account).bind(key);
            let row: Option<KeyRow> = found.fetch_optional(&mut *tx).await?;
            let record = ApiKeyRecord::try_from(row.ok_or(StoreError::NotFound)?)?;
            if record.revoked.is_some() {
                return Ok(Done::Nothing(()));
            }
            sqlx::query(REVOKE_KEY).bind(key).bind(now()).execute(&mut *tx).await?;
            let note =
                Note { action: "key.revoked", target: target(&account), details: named(&record), actor };
            Ok(Done::Noted((), note))
        })
    }

    /// Notes when keys were last used; a later moment is never replaced by an earlier one. Raises no revision.
    pub async fn touch_keys(&self, used: Vec<(Uuid, OffsetDateTime)>) -> Result<(), StoreError> {
        record!(self, |tx| {
            // In turn with those who delete keys: each locks several rows.
            sqlx::query(revision::QUEUE).execute(&mut *tx).await?;
            for (key, at) in used {
                sqlx::query(TOUCH_KEY).bind(key).bind(micros(at)).execute(&mut *tx).await?;
            }
            Ok(Done::Silent(()))
        })
    }
}

fn target(account: &ServiceAccount) -> String {
    format!("sa:{}", account.name)
}

fn named(key: &ApiKeyRecord) -> Value {
    json!({ "key": key.id.to_string(), "name": key.name })
}

/// What an update changed.
fn difference(old: &ServiceAccount, new: &ServiceAccount) -> Value {
    let mut details = serde_json::Map::new();
    let mut put = |field: &str, differs: bool, value: Value| {
        if differs {
            details.insert(field.to_owned(), value);
        }
    };
    let role = |account: &ServiceAccount| account.role.map(Role::as_str);
    put("role", old.role != new.role, json!({ "from": role(old), "to": role(new) }));
    put("class", old.class != new.class, json!({ "from": old.class.as_str(), "to": new.class.as_str() }));
    put("disabled", old.disabled != new.disabled, json!(new.disabled));
    Value::Object(details)
}
