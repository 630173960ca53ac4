//! Users.

use serde_json::{Value, json};
use uuid::Uuid;

use super::macros::{change, read, record, statements};
use super::rows::{containing, moment, now, plain, word};
use super::{Changed, Conflict, Done, Note, Store, StoreError};
use crate::models::page::{Page, PageRequest};
use crate::models::principal::{Actor, Role};
use crate::models::user::{Email, NewUser, User, UserChange, UserFilter, folded};

macro_rules! columns {
    () => {
        "id, email, name, role, disabled, epoch, created, updated, version"
    };
}

statements! {
    INSERT = "INSERT INTO users (id, email, email_key, name, name_key, password_hash, role, disabled, epoch, created, \
        updated, version) VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE, 0, $8, $8, 1) RETURNING ", columns!();
    COUNT = "SELECT count(*) FROM users";
    BY_ID = "SELECT ", columns!(), " FROM users WHERE id = $1";
    IN_EPOCH = "SELECT ", columns!(), " FROM users WHERE id = $1 AND epoch = $2 AND NOT disabled";
    FOR_LOGIN = "SELECT ", columns!(), ", password_hash FROM users WHERE email_key = $1";
    PASSWORD_HASH = "SELECT password_hash FROM users WHERE id = $1";
    LIST = "SELECT ", columns!(), " FROM users WHERE (role = $1 OR $1 IS NULL) AND (disabled = $2 OR $2 IS NULL) \
        AND (email_key LIKE $3 ESCAPE '!' OR name_key LIKE $3 ESCAPE '!' OR $3 IS NULL) \
        AND (id > $4 OR $4 IS NULL) ORDER BY id LIMIT $5";
    ALL = "SELECT ", columns!(), " FROM users ORDER BY id";
    UPDATE = "UPDATE users SET name = $2, name_key = $3, role = $4, disabled = $5, epoch = $6, updated = $7, \
        version = version + 1 WHERE id = $1 RETURNING ", columns!();
    OTHER_ADMINS = "SELECT count(*) FROM users WHERE role = 'admin' AND NOT disabled AND id <> $1";
    FORGET_RESETS = "DELETE FROM password_resets WHERE user_id = $1";
    // Tokens before their owner: the order in which a refresh takes its locks.
    DELETE_SESSIONS = "DELETE FROM sessions WHERE user_id = $1";
    DELETE = "DELETE FROM users WHERE id = $1";
    SET_PASSWORD = "UPDATE users SET password_hash = $2, epoch = epoch + 1 WHERE id = $1 RETURNING ", columns!();
    REHASH = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
}

/// Inserts a user.
macro_rules! insert {
    ($tx:ident, $new:expr) => {{
        let new: NewUser = $new;
        let row: Row = sqlx::query_as(INSERT)
            .bind(new.id)
            .bind(new.email.as_str().to_owned())
            .bind(new.email.key().to_owned())
            .bind(plain(&new.name))
            .bind(plain(&folded(&new.name)))
            .bind(new.password_hash)
            .bind(new.role.as_str())
            .bind(now())
            .fetch_one(&mut *$tx)
            .await?;
        User::try_from(row)?
    }};
}

/// The user to be changed, in the version the writer read.
macro_rules! found {
    ($tx:ident, $id:expr, $expected:expr) => {{
        let row: Option<Row> = sqlx::query_as(BY_ID).bind($id).fetch_optional(&mut *$tx).await?;
        let user = User::try_from(row.ok_or(StoreError::NotFound)?)?;
        if $expected.is_some_and(|expected| expected != user.version) {
            return Err(StoreError::Stale);
        }
        user
    }};
}

/// Refuses to take away the last enabled admin.
macro_rules! spare_last_admin {
    ($tx:ident, $user:expr) => {
        if $user.role == Role::Admin && !$user.disabled {
            let others: i64 = sqlx::query_scalar(OTHER_ADMINS).bind($user.id).fetch_one(&mut *$tx).await?;
            if others == 0 {
                return Err(StoreError::Conflict(Conflict::LastAdmin));
            }
        }
    };
}

/// Sets a password: resets that are out no longer count, nor do sessions of the earlier epoch.
macro_rules! set_password {
    ($tx:ident, $id:expr, $hash:expr) => {{
        use $crate::repositories::users::{FORGET_RESETS, Row, SET_PASSWORD};
        sqlx::query(FORGET_RESETS).bind($id).execute(&mut *$tx).await?;
        let row: Option<Row> =
            sqlx::query_as(SET_PASSWORD).bind($id).bind($hash).fetch_optional(&mut *$tx).await?;
        User::try_from(row.ok_or(StoreError::NotFound)?)?
    }};
}
pub(super) use set_password;

/// A user as a row.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: Uuid,
    email: String,
    name: String,
    role: String,
    disabled: bool,
    epoch: i64,
    created: i64,
    updated: i64,
    version: i64,
}

impl TryFrom<Row> for User {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            email: word(&row.email, Email::parse)?,
            name: row.name,
            role: word(&row.role, Role::parse)?,
            disabled: row.disabled,
            epoch: row.epoch,
            created: moment(row.created)?,
            updated: moment(row.updated)?,
            version: row.version,
        })
    }
}

#[derive(sqlx::FromRow)]
struct LoginRow {
    #[sqlx(flatten)]
    user: Row,
    password_hash: Option<String>,
}

/// As the audit list names a user.
pub(super) fn target(user: &User) -> String {
    format!("user:{}", user.email)
}

impl Store {
    /// Creates a user: `user.created`. [`Conflict::Email`](super::Conflict) when another has the address.
    pub async fn create_user(&self, new: NewUser, actor: Actor) -> Result<Changed<User>, StoreError> {
        change!(self, |tx, _revision| {
            let user = insert!(tx, new);
            let details = json!({ "role": user.role.as_str() });
            let note = Note { action: "user.created", target: target(&user), details, actor };
            Ok(Done::Noted(user, note))
        })
    }

    /// Creates the first admin, if there is no user at all.
    pub async fn create_first_admin(&self, new: NewUser, actor: Actor) -> Result<Option<User>, StoreError> {
        let created = change!(self, |tx, _revision| {
            let users: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut *tx).await?;
            if users > 0 {
                return Ok(Done::Nothing(None));
            }
            let user = insert!(tx, NewUser { role: Role::Admin, ..new });
            let details = json!({ "role": user.role.as_str() });
            let note = Note { action: "user.created", target: target(&user), details, actor };
            Ok(Done::Noted(Some(user), note))
        });
        created.map(|created: Changed<_>| created.value)
    }

    /// One user.
    pub async fn user(&self, id: Uuid) -> Result<User, StoreError> {
        read!(self, |tx| {
            let row: Option<Row> = sqlx::query_as(BY_ID).bind(id).fetch_optional(&mut *tx).await?;
            Ok(row.ok_or(StoreError::NotFound)?.try_into()?)
        })
    }

    /// A user and the password's hash (PHC), by address.
    pub async fn user_for_login(&self, email: Email) -> Result<Option<(User, Option<String>)>, StoreError> {
        read!(self, |tx| {
            let row: Option<LoginRow> =
                sqlx::query_as(FOR_LOGIN).bind(email.key()).fetch_optional(&mut *tx).await?;
            let Some(row) = row else { return Ok(None) };
            Ok(Some((row.user.try_into()?, row.password_hash)))
        })
    }

    /// The password's hash (PHC) of one user.
    pub async fn password_hash(&self, id: Uuid) -> Result<Option<String>, StoreError> {
        read!(self, |tx| {
            let hash: Option<Option<String>> =
                sqlx::query_scalar(PASSWORD_HASH).bind(id).fetch_optional(&mut *tx).await?;
            hash.ok_or(StoreError::NotFound)
        })
    }

    /// Users by id, that is by age.
    pub async fn users(
        &self,
        filter: UserFilter,
        page: PageRequest<Uuid>,
    ) -> Result<Page<User, Uuid>, StoreError> {
        read!(self, |tx| {
            let rows: Vec<Row> = sqlx::query_as(LIST)
                .bind(filter.role.map(Role::as_str))
                .bind(filter.disabled)
                .bind(filter.search.as_deref().map(containing))
                .bind(page.after)
                .bind(i64::from(page.limit) + 1)
                .fetch_all(&mut *tx)
                .await?;
            let users: Result<Vec<User>, _> = rows.into_iter().map(User::try_from).collect();
            Ok(Page::of(users?, page.limit, |user| user.id))
        })
    }

    /// Changes a user: `user.updated`. `expected` is the version the writer read: another one is `Stale`. Disabling
    /// raises the epoch, which ends the sessions. [`Conflict::LastAdmin`](super::Conflict) when no enabled admin would
    /// be left. A change that changes nothing makes no version.
    pub async fn update_user(
        &self,
        id: Uuid,
        change: UserChange,
        expected: Option<i64>,
        actor: Actor,
    ) -> Result<Changed<User>, StoreError> {
        change!(self, |tx, _revision| {
            let old = found!(tx, id, expected);
            let mut next = old.clone();
            change.name.into_iter().for_each(|name| next.name = name);
            change.role.into_iter().for_each(|role| next.role = role);
            change.disabled.into_iter().for_each(|disabled| next.disabled = disabled);
            if next == old {
                return Ok(Done::Nothing(old));
            }
            if next.role != Role::Admin || next.disabled {
                spare_last_admin!(tx, old);
            }
            if next.disabled && !old.disabled {
                next.epoch += 1;
                sqlx::query(FORGET_RESETS).bind(id).execute(&mut *tx).await?;
            }
            let row: Row = sqlx::query_as(UPDATE)
                .bind(id)
                .bind(plain(&next.name))
                .bind(plain(&folded(&next.name)))
                .bind(next.role.as_str())
                .bind(next.disabled)
                .bind(next.epoch)
                .bind(now())
                .fetch_one(&mut *tx)
                .await?;
            let user = User::try_from(row)?;
            let details = difference(&old, &user);
            let note = Note { action: "user.updated", target: target(&user), details, actor };
            Ok(Done::Noted(user, note))
        })
    }

    /// Deletes a user with all sessions: `user.deleted`. The last enabled admin stays.
    pub async fn delete_user(
        &self,
        id: Uuid,
        expected: Option<i64>,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        change!(self, |tx, _revision| {
            let user = found!(tx, id, expected);
            spare_last_admin!(tx, user);
            sqlx::query(DELETE_SESSIONS).bind(id).execute(&mut *tx).await?;
            sqlx::query(DELETE).bind(id).execute(&mut *tx).await?;
            let note = Note { action: "user.deleted", target: target(&user), details: json!({}), actor };
            Ok(Done::Noted((), note))
        })
    }

    /// Sets a password's hash and raises the epoch, which ends every session: `user.password_changed`.
    pub async fn set_password(
        &self,
        id: Uuid,
        hash: String,
        actor: Actor,
    ) -> Result<Changed<User>, StoreError> {
        change!(self, |tx, _revision| {
            let user = set_password!(tx, id, hash);
            let note =
                Note { action: "user.password_changed", target: target(&user), details: json!({}), actor };
            Ok(Done::Noted(user, note))
        })
    }

    /// Puts a stronger hash of the same password in the place of `old`, if that is still there.
    pub async fn rehash_password(&self, id: Uuid, old: String, new: String) -> Result<(), StoreError> {
        record!(self, |tx| {
            sqlx::query(REHASH).bind(id).bind(old).bind(new).execute(&mut *tx).await?;
            Ok(Done::Silent(()))
        })
    }
}

/// What an update changed.
fn difference(old: &User, new: &User) -> Value {
    let mut details = serde_json::Map::new();
    let mut put = |field: &str, differs: bool, value: Value| {
        if differs {
            details.insert(field.to_owned(), value);
        }
    };
    put("name", old.name != new.name, json!(new.name));
    put("role", old.role != new.role, json!({ "from": old.role.as_str(), "to": new.role.as_str() }));
    put("disabled", old.disabled != new.disabled, json!(new.disabled));
    Value::Object(details)
}
