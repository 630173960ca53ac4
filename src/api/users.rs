//! `/users`: people who sign in, for admins.

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Group;
use super::answers::{Created, NoContent, Tagged};
use super::error::ApiError;
use super::pagination::{default_limit, next, page_request};
use super::payload::JsonBody;
use super::precondition::IfMatch;
use super::roles::Role;
use super::security::Admin;
use crate::models::page::Page;
use crate::models::user::{self, UserChange, UserFilter};
use crate::services::auth::{AuthService, Reset};
use crate::services::users::{ChangedUser, Person, UsersService};

/// The operations.
pub(super) struct UsersApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Users")]
impl UsersApi {
    /// List users
    ///
    /// The oldest first.
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the request")]
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    async fn list(
        &self,
        admin: Admin,
        service: Data<&UsersService>,
        /// Only users of this role.
        #[oai(name = "role")]
        role: Query<Option<Role>>,
        /// Only the disabled (`true`), or only the others (`false`).
        #[oai(name = "disabled")]
        disabled: Query<Option<bool>>,
        /// Only users whose address or name contains this; case does not matter.
        #[oai(name = "search", validator(max_length = 200))]
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
    ) -> Result<JsonBody<UserPage>, ApiError> {
        let filter = UserFilter { role: role.0.map(Into::into), disabled: disabled.0, search: search.0 };
        let page = page_request(limit.0, cursor.0.as_deref())?;
        Ok(JsonBody(service.list(&admin.0.principal, filter, page).await?.into()))
    }

    /// Create a user
    ///
    /// Without a password the user cannot sign in before a password reset. An address that another user has is a 409,
    /// whatever its case.
    #[oai(path = "/users", method = "post", operation_id = "create_user")]
    async fn create(
        &self,
        admin: Admin,
        service: Data<&UsersService>,
        body: JsonBody<UserCreation>,
    ) -> Result<Created<User>, ApiError> {
        let UserCreation { email, name, password, role } = body.0;
        let (person, password) =
            (Person { email, name, role: role.into() }, password.map(SecretString::from));
        let created = service.create(&admin.0.principal, person, password, admin.0.actor).await?;
        let location = format!("/api/v1/users/{}", created.user.id);
        Ok(Created::tagged(location, created.user.version, created.into()))
    }

    /// Read a user
    ///
    /// The `ETag` of the answer is what a change sends as `If-Match`. Passwords are never shown.
    #[oai(path = "/users/:id", method = "get", operation_id = "get_user")]
    async fn get(
        &self,
        admin: Admin,
        service: Data<&UsersService>,
        /// The user's identifier.
        #[oai(name = "id")]
        id: Path<Uuid>,
    ) -> Result<Tagged<User>, ApiError> {
        let user = service.get(&admin.0.principal, id.0).await?;
        Ok(Tagged::new(user.version, user.into()))
    }

    /// Change a user
    ///
    /// What is absent stays. Disabling ends every session of the user; a lower role counts at once. The last enabled
    /// admin stays one: 409.
    #[oai(path = "/users/:id", method = "patch", operation_id = "update_user")]
    async fn update(
        &self,
        admin: Admin,
        service: Data<&UsersService>,
        /// The user's identifier.
        #[oai(name = "id")]
        id: Path<Uuid>,
        /// The `ETag` of the state you read, or `*`.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: JsonBody<UserUpdate>,
    ) -> Result<Tagged<User>, ApiError> {
        let (id, expected, change) = (id.0, if_match.version(), body.0.into());
        let changed = service.update(&admin.0.principal, id, change, expected, admin.0.actor).await?;
        Ok(Tagged::new(changed.user.version, changed.into()))
    }

    /// Delete a user
    ///
    /// With every session. The last enabled admin stays: 409.
    #[oai(path = "/users/:id", method = "delete", operation_id = "delete_user")]
    async fn delete(
        &self,
        admin: Admin,
        service: Data<&UsersService>,
        /// The user's identifier.
        #[oai(name = "id")]
        id: Path<Uuid>,
        /// The `ETag` of the state you read, or `*`.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
    ) -> Result<NoContent, ApiError> {
        let id = id.0;
        service.delete(&admin.0.principal, id, if_match.version(), admin.0.actor).await?;
        Ok(NoContent)
    }

    /// Issue a password reset
    ///
    /// Answers once with the token that lets the user set a password within thirty minutes; hand it over by a way you
    /// trust. A reset that was issued to the user before no longer counts.
    #[oai(path = "/users/:id/password-reset", method = "post", operation_id = "issue_password_reset")]
    async fn issue_reset(
        &self,
        admin: Admin,
        service: Data<&AuthService>,
        /// The user's identifier.
        #[oai(name = "id")]
        id: Path<Uuid>,
    ) -> Result<JsonBody<IssuedReset>, ApiError> {
        let id = id.0;
        let reset = service.issue_reset(&admin.0.principal, id, admin.0.actor).await?;
        Ok(JsonBody(reset.into()))
    }
}

/// A user to be created.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct UserCreation {
    /// The address to sign in with; unique whatever its case.
    #[oai(validator(max_length = 254))]
    email: String,
    /// For people to read.
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    /// 15 to 256 characters, none of the common ones, more than the user's name or address.
    #[oai(validator(min_length = 15, max_length = 256))]
    password: Option<String>,
    /// What the user may do.
    role: Role,
}

/// What to change of a user; what is absent stays.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct UserUpdate {
    /// For people to read.
    #[oai(validator(min_length = 1, max_length = 200))]
    name: Option<String>,
    /// What the user may do.
    role: Option<Role>,
    /// Whether the user is shut out.
    disabled: Option<bool>,
}

impl From<UserUpdate> for UserChange {
    fn from(update: UserUpdate) -> Self {
        Self { name: update.name, role: update.role.map(Into::into), disabled: update.disabled }
    }
}

/// A person who signs in.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct User {
    /// Identifier; sorts by age.
    id: Uuid,
    /// The address to sign in with.
    email: String,
    /// For people to read.
    name: String,
    /// What the user may do.
    role: Role,
    /// Whether the user is shut out.
    disabled: bool,
    /// When the user was created.
    created_at: OffsetDateTime,
    /// When anything but the password last changed.
    updated_at: OffsetDateTime,
    /// Which state this is; its `ETag` is the same in quotes.
    version: i64,
    /// The revision this change made, in the answer to one. A replica whose `/status` shows it knows of the change.
    revision: Option<u64>,
}

impl From<user::User> for User {
    fn from(user: user::User) -> Self {
        Self {
            id: user.id,
            email: user.email.to_string(),
            name: user.name,
            role: user.role.into(),
            disabled: user.disabled,
            created_at: user.created,
            updated_at: user.updated,
            version: user.version,
            revision: None,
        }
    }
}

impl From<ChangedUser> for User {
    fn from(changed: ChangedUser) -> Self {
        Self { revision: Some(changed.revision), ..changed.user.into() }
    }
}

/// A page of users.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct UserPage {
    /// The users of this page.
    items: Vec<User>,
    /// What to send as `cursor` for the next page; absent on the last one.
    next: Option<String>,
}

impl From<Page<user::User, Uuid>> for UserPage {
    fn from(page: Page<user::User, Uuid>) -> Self {
        Self { items: page.items.into_iter().map(User::from).collect(), next: page.next.map(next) }
    }
}

/// A password reset that was issued; its token is shown this once.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct IssuedReset {
    /// What `POST /api/v1/auth/password-reset` takes, once.
    token: String,
    /// Until when it counts.
    expires_at: OffsetDateTime,
}

impl From<Reset> for IssuedReset {
    fn from(reset: Reset) -> Self {
        Self { token: reset.token.expose_secret().to_owned(), expires_at: reset.expires }
    }
}
