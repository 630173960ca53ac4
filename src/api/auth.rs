//! `/auth`: signing in and out, and the own account.

use poem::web::Data;
use poem_openapi::{Enum, Object, OpenApi};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::Group;
use super::answers::NoContent;
use super::error::ApiError;
use super::payload::JsonBody;
use super::roles::{Class, Role};
use super::security::{Anyone, SignedIn};
use crate::models::principal::{self, Principal};
use crate::services::auth::{AuthService, Session};

/// The operations.
pub(super) struct AuthApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Auth")]
impl AuthApi {
    /// Sign in
    ///
    /// With a user's e-mail address and password. The access token goes into `Authorization: Bearer …`; before it runs
    /// out, have the next one with the refresh token. Whatever does not count is a 401 that does not say why.
    #[oai(path = "/auth/login", method = "post", operation_id = "login")]
    async fn login(
        &self,
        anyone: Anyone,
        service: Data<&AuthService>,
        body: JsonBody<Login>,
    ) -> Result<JsonBody<Tokens>, ApiError> {
        let Login { email, password } = body.0;
        let session = service.login(&email, SecretString::from(password), anyone.0).await?;
        Ok(JsonBody(session.into()))
    }

    /// Have the next access token
    ///
    /// A refresh token counts once: its answer brings the next one. Coming again within ten seconds, it brings the same
    /// one, for clients that lost the answer; later it ends the session. A session ends after seven days at the latest.
    #[oai(path = "/auth/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(
        &self,
        anyone: Anyone,
        service: Data<&AuthService>,
        body: JsonBody<Refresh>,
    ) -> Result<JsonBody<Tokens>, ApiError> {
        let session = service.refresh(&body.0.refresh_token, anyone.0).await?;
        Ok(JsonBody(session.into()))
    }

    /// Sign out
    ///
    /// Ends the session of a refresh token. Access tokens that were had in it count until they run out. A refresh token
    /// that does not count is no error.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout")]
    async fn logout(
        &self,
        anyone: Anyone,
        service: Data<&AuthService>,
        body: JsonBody<Refresh>,
    ) -> Result<NoContent, ApiError> {
        service.logout(&body.0.refresh_token, anyone.0).await?;
        Ok(NoContent)
    }

    /// Read who you are
    ///
    /// The user or service account that the request's credential belongs to.
    #[expect(clippy::unused_async, reason = "the macro awaits every handler")]
    #[oai(path = "/auth/me", method = "get", operation_id = "get_me")]
    async fn me(&self, signed: SignedIn) -> Result<JsonBody<Me>, ApiError> {
        Ok(JsonBody(signed.0.principal.into()))
    }

    /// Change your password
    ///
    /// Ends every session of yours, this one included: sign in again. Service accounts have no password.
    #[oai(path = "/auth/password", method = "put", operation_id = "change_password")]
    async fn change_password(
        &self,
        signed: SignedIn,
        service: Data<&AuthService>,
        body: JsonBody<PasswordChange>,
    ) -> Result<NoContent, ApiError> {
        let (current, new) = (body.0.current_password.into(), body.0.new_password.into());
        service.change_password(&signed.0.principal, current, new, signed.0.actor).await?;
        Ok(NoContent)
    }

    /// Set a password with a reset
    ///
    /// With the token that an admin handed out; it counts once and for thirty minutes. Ends every session of the user.
    #[oai(path = "/auth/password-reset", method = "post", operation_id = "redeem_password_reset")]
    async fn redeem_reset(
        &self,
        anyone: Anyone,
        service: Data<&AuthService>,
        body: JsonBody<PasswordReset>,
    ) -> Result<NoContent, ApiError> {
        service.redeem_reset(&body.0.token, body.0.new_password.into(), anyone.0).await?;
        Ok(NoContent)
    }
}

/// Address and password.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct Login {
    /// The user's e-mail address; case does not matter.
    #[oai(validator(max_length = 254))]
    email: String,
    /// The user's password.
    #[oai(validator(max_length = 256))]
    password: String,
}

/// A refresh token.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct Refresh {
    /// As the login or the last refresh gave it.
    #[oai(validator(max_length = 128))]
    refresh_token: String,
}

/// How an access token is sent.
#[derive(Enum)]
enum TokenType {
    /// As `Authorization: Bearer …` (RFC 6750).
    Bearer,
}

/// What a login or a refresh gives.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct Tokens {
    /// Proves who you are.
    access_token: String,
    /// How it is sent.
    token_type: TokenType,
    /// Seconds until it runs out.
    expires_in: u64,
    /// Brings the next access token, once.
    refresh_token: String,
}

impl From<Session> for Tokens {
    fn from(session: Session) -> Self {
        Self {
            access_token: session.access.expose_secret().to_owned(),
            token_type: TokenType::Bearer,
            expires_in: session.expires_in.as_secs(),
            refresh_token: session.refresh.expose_secret().to_owned(),
        }
    }
}

/// What kind of caller it is.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
enum PrincipalKind {
    User,
    ServiceAccount,
    KubernetesServiceAccount,
}

/// Who a credential belongs to.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct Me {
    /// A person or a program.
    kind: PrincipalKind,
    /// The identifier of the user or service account.
    id: Uuid,
    /// A user's e-mail address, a service account's name, or the namespace and name of one of Kubernetes: `payments/checkout`.
    name: String,
    /// What it may do on the control plane; absent: nothing.
    role: Option<Role>,
    /// What it may ask for.
    class: Class,
}

impl From<Principal> for Me {
    fn from(principal: Principal) -> Self {
        let kind = match principal.kind {
            principal::PrincipalKind::User => PrincipalKind::User,
            principal::PrincipalKind::ServiceAccount => PrincipalKind::ServiceAccount,
            principal::PrincipalKind::KubernetesServiceAccount => PrincipalKind::KubernetesServiceAccount,
        };
        let (role, class) = (principal.role.map(Role::from), principal.class.into());
        Self { kind, id: principal.id, name: principal.name, role, class }
    }
}

/// The password you have, and the one you want.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct PasswordChange {
    /// The one you have.
    #[oai(validator(max_length = 256))]
    current_password: String,
    /// The one you want: 15 to 256 characters, none of the common ones, more than your name or address.
    #[oai(validator(min_length = 15, max_length = 256))]
    new_password: String,
}

/// A reset and the password you want.
#[derive(Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct PasswordReset {
    /// The reset's token.
    #[oai(validator(max_length = 128))]
    token: String,
    /// The one you want: 15 to 256 characters, none of the common ones, more than your name or address.
    #[oai(validator(min_length = 15, max_length = 256))]
    new_password: String,
}
