//! Signing in and out: logins, refresh tokens, passwords and their resets.
//!
//! Whoever cannot sign in learns nothing of why, neither by the answer nor by the time it takes: an unknown address, a
//! wrong password, a disabled user and one without a password are told alike, each after one hash.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::authority::demand;
use super::publication::Publisher;
use super::rate_limits::RateLimits;
use super::users::explained;
use crate::error::Failure;
use crate::identity::opaque;
use crate::identity::password::{self, Passwords, Verdict};
use crate::identity::ring::KeyRing;
use crate::identity::token::{self, Tokens};
use crate::models::principal::{Actor, Principal, PrincipalKind, Role};
use crate::models::session::{NewRefreshToken, NewReset, Rotation};
use crate::models::user::{Email, User};
use crate::repositories::{Store, StoreError};
use crate::telemetry::metrics::{AuthFailure, Metrics};

mod noted;

use noted::Noted;

/// How long one login lasts, however often its refresh token is rotated.
const SESSION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a refresh token that was just used may come again, for a client that never got the answer.
const GRACE: Duration = Duration::from_secs(10);

/// How long a password reset counts.
const RESET: Duration = Duration::from_secs(30 * 60);

/// How often what expired is taken out of the database.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

/// What a login or a refresh gives.
pub struct Session {
    /// The access token.
    pub access: SecretString,
    /// How long it counts.
    pub expires_in: Duration,
    /// What the next access token is had for, once.
    pub refresh: SecretString,
}

/// A password reset, to be handed to its user.
pub struct Reset {
    /// What redeems it, once.
    pub token: SecretString,
    /// Until when.
    pub expires: OffsetDateTime,
}

/// What signing in stands on.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// What is in force.
    pub publisher: Arc<Publisher>,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Derives refresh tokens.
    pub ring: KeyRing,
    /// Issues access tokens.
    pub tokens: Tokens,
    /// Holds back who guesses.
    pub limits: RateLimits,
    /// Counts refusals.
    pub metrics: Arc<Metrics>,
}

/// Logins, refresh tokens, passwords.
#[derive(Clone)]
pub struct AuthService {
    parts: Arc<Parts>,
    noted: Arc<Noted>,
}

impl AuthService {
    /// Over its parts.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), noted: Arc::default() }
    }

    /// Signs in with address and password.
    pub async fn login(&self, email: &str, password: SecretString, actor: Actor) -> Result<Session, Failure> {
        checkable("/password", &password)?;
        self.parts.limits.check(email, actor.address).await?;
        let address = Email::parse(email);
        let found = match address.clone() {
            Some(address) => self.parts.store.user_for_login(address).await?,
            None => None,
        };
        let (user, kept) = found.map_or((None, None), |(user, kept)| (Some(user), kept));
        let verdict = self.parts.passwords.verify(password, kept.clone()).await?;
        let opened = match (user.filter(|user| !user.disabled), verdict) {
            (Some(user), Verdict::Right { rehash }) => {
                self.strengthen(&user, kept, rehash).await;
                self.open(user, &actor).await?
            }
            _ => None,
        };
        let Some(session) = opened else {
            self.refused(email, address.as_ref(), &actor).await;
            return Err(Failure::unauthorized("The address or the password is wrong."));
        };
        Ok(session)
    }

    /// The next access token and the next refresh token, for one that was not used yet.
    pub async fn refresh(&self, presented: &str, actor: Actor) -> Result<Session, Failure> {
        let refused = |reason| {
            self.parts.metrics.auth_failure(reason);
            Failure::unauthorized("The refresh token does not count, or does so no longer. Sign in again.")
        };
        let child = opaque::child(&self.parts.ring, presented).zip(opaque::hash(presented));
        let ((refresh, child), hash) = child.ok_or_else(|| refused(AuthFailure::Refresh))?;
        match self.parts.store.rotate_session(hash, child, GRACE, actor).await? {
            Rotation::Rotated { user, .. } => self.session(&user, refresh).await,
            Rotation::Reused { user, family } => {
                tracing::warn!(%user, %family, "a refresh token was used twice; its session is revoked");
                Err(refused(AuthFailure::Reuse))
            }
            Rotation::Refused => Err(refused(AuthFailure::Refresh)),
        }
    }

    /// Ends the session of a refresh token. One that does not count is no error: it is over already.
    pub async fn logout(&self, presented: &str, actor: Actor) -> Result<(), Failure> {
        if let Some(hash) = opaque::hash(presented) {
            self.parts.store.close_session(hash, actor).await?;
        }
        Ok(())
    }

    /// Sets the caller's own password and ends every session of theirs, this one included.
    pub async fn change_password(
        &self,
        principal: &Principal,
        current: SecretString,
        new: SecretString,
        actor: Actor,
    ) -> Result<(), Failure> {
        if principal.kind != PrincipalKind::User {
            return Err(Failure::forbidden("Only users have a password."));
        }
        checkable("/currentPassword", &current)?;
        self.parts.limits.check(&principal.name, actor.address).await?;
        let user = self.parts.store.user(principal.id).await?;
        acceptable("/newPassword", &new, &user)?;
        if current.expose_secret() == new.expose_secret() {
            return Err(Failure::invalid("/newPassword", "is the password you have"));
        }
        let kept = self.parts.store.password_hash(user.id).await?;
        if self.parts.passwords.verify(current, kept).await? == Verdict::Wrong {
            self.refused(&principal.name, Some(&user.email), &actor).await;
            return Err(Failure::invalid("/currentPassword", "is not your password"));
        }
        let hash = self.parts.passwords.hash(new).await?;
        let changed = self.parts.store.set_password(user.id, hash, actor).await?;
        self.parts.publisher.reached(changed.revision).await;
        Ok(())
    }

    /// A one-time reset of a user's password, for an admin to hand over.
    pub async fn issue_reset(
        &self,
        principal: &Principal,
        user: Uuid,
        actor: Actor,
    ) -> Result<Reset, Failure> {
        demand(principal, Role::Admin)?;
        let (token, hash) = opaque::mint();
        let expires = OffsetDateTime::now_utc() + RESET;
        let issued = self.parts.store.create_reset(NewReset { hash, user, expires }, actor).await;
        issued.map_err(explained)?;
        Ok(Reset { token, expires })
    }

    /// Sets a password with a reset and ends every session of its user. The reset is used up only when that is done.
    pub async fn redeem_reset(
        &self,
        presented: &str,
        new: SecretString,
        actor: Actor,
    ) -> Result<(), Failure> {
        let refused = || {
            self.parts.metrics.auth_failure(AuthFailure::Reset);
            Failure::invalid("/token", "does not count, or does so no longer; ask an admin for another")
        };
        let hash = opaque::hash(presented).ok_or_else(refused)?;
        let user = self.parts.store.reset_user(hash).await?.ok_or_else(refused)?;
        let user = self.parts.store.user(user).await?;
        acceptable("/newPassword", &new, &user)?;
        let password = self.parts.passwords.hash(new).await?;
        let actor = acting(&user, &actor);
        let changed = self.parts.store.redeem_reset(hash, password, actor).await?.ok_or_else(refused)?;
        self.parts.publisher.reached(changed.revision).await;
        Ok(())
    }

    /// The public keys that verify access tokens (RFC 7517).
    pub fn jwks(&self) -> Value {
        self.parts.tokens.jwks()
    }

    /// Takes expired sessions and resets out of the database now and then, until stopped.
    pub async fn keep_forgetting(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(FORGET_EVERY);
        loop {
            tokio::select! { () = stop.cancelled() => return, _ = ticks.tick() => {} }
            if let Err(error) = self.parts.store.forget_expired_sessions().await {
                tracing::debug!(%error, "expired sessions stay for now");
            }
        }
    }

    /// A session, unless the user was disabled or given another password while this one was checked.
    async fn open(&self, user: User, actor: &Actor) -> Result<Option<Session>, Failure> {
        let (refresh, hash) = opaque::mint();
        let expires = OffsetDateTime::now_utc() + SESSION;
        let first =
            NewRefreshToken { hash, family: Uuid::now_v7(), user: user.id, epoch: user.epoch, expires };
        match self.parts.store.open_session(first, acting(&user, actor)).await {
            Ok(()) => self.session(&user, refresh).await.map(Some),
            Err(StoreError::Stale | StoreError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The revision is read after the user: a replica that has reached it knows the user.
    async fn session(&self, user: &User, refresh: SecretString) -> Result<Session, Failure> {
        let revision = self.parts.store.revision().await?;
        let access = self.parts.tokens.issue(user, revision, SystemTime::now());
        Ok(Session { access, expires_in: token::LIFETIME, refresh })
    }

    /// Keeps a stronger hash. That it fails now only means that it is done at the next login.
    async fn strengthen(&self, user: &User, old: Option<String>, stronger: Option<String>) {
        if let (Some(old), Some(new)) = (old, stronger)
            && let Err(error) = self.parts.store.rehash_password(user.id, old, new).await
        {
            tracing::warn!(user = %user.id, %error, "a password's stronger hash was not kept");
        }
    }

    /// Counts a wrong password, against the account from this address and in the metrics, and notes it. The answer is
    /// the same whether that could be noted or not.
    async fn refused(&self, account: &str, address: Option<&Email>, actor: &Actor) {
        self.parts.limits.failed(account, actor.address).await;
        self.parts.metrics.auth_failure(AuthFailure::Password);
        // What is no address is not kept: people type passwords there.
        let Some(address) = address.filter(|_| self.noted.one_more()) else { return };
        let (target, details) = (format!("user:{address}"), serde_json::json!({}));
        if let Err(error) = self.parts.store.note("login.refused", target, details, actor.clone()).await {
            tracing::warn!(%error, "a refused login could not be noted");
        }
    }
}

/// Refuses what is too long to be hashed.
fn checkable(pointer: &str, password: &SecretString) -> Result<(), Failure> {
    let most = *password::LENGTH.end();
    if password.expose_secret().chars().count() > most {
        return Err(Failure::invalid(pointer, format!("has more than {most} characters")));
    }
    Ok(())
}

/// Refuses what is no good password for this user.
fn acceptable(pointer: &str, password: &SecretString, user: &User) -> Result<(), Failure> {
    match password::refuse(password.expose_secret(), &[&user.name, user.email.as_str()]) {
        Some(why) => Err(Failure::invalid(pointer, why)),
        None => Ok(()),
    }
}

/// The user as the one who acts, from where the request came.
fn acting(user: &User, actor: &Actor) -> Actor {
    let subject = format!("{}:{}", PrincipalKind::User.prefix(), user.email);
    Actor { subject, id: Some(user.id), ..actor.clone() }
}
