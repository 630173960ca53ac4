//! Refresh tokens and password resets.
//!
//! A session counts while it is neither revoked nor over and its user still has the epoch it was opened under, so that
//! a login that crosses a change of the password cannot outlive it.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::macros::{change, read, record, statements};
use super::rows::{micros, moment, now};
use super::users::{self, set_password};
use super::{Changed, Done, Note, Store, StoreError, audit};
use crate::models::principal::Actor;
use crate::models::session::{NewRefreshToken, NewReset, Rotation, SecretHash};
use crate::models::user::User;

/// The one kind of audit entry that strangers cause is kept so long: all others as long as the database.
const REFUSED_LOGINS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

statements! {
    OPEN = "INSERT INTO sessions (id, user_id, epoch, created, expires) \
        SELECT $1, id, epoch, $4, $5 FROM users WHERE id = $2 AND epoch = $3 AND NOT disabled";
    KEEP_TOKEN = "INSERT INTO refresh_tokens (hash, session_id, created) VALUES ($1, $2, $3)";
    // The one statement that decides who rotates: the others wait for its row, and then find it used.
    USE_TOKEN = "UPDATE refresh_tokens SET used = $2, child = $3 WHERE hash = $1 AND used IS NULL AND EXISTS \
        (SELECT 1 FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.id = session_id \
        AND sessions.revoked IS NULL AND sessions.expires > $2 AND sessions.epoch = users.epoch)";
    FIND_TOKEN = "SELECT sessions.id AS family, sessions.user_id AS user_id, users.email AS email, \
        sessions.epoch AS epoch, sessions.expires AS expires, refresh_tokens.used AS used, refresh_tokens.child AS child, \
        (SELECT used FROM refresh_tokens AS children WHERE children.hash = refresh_tokens.child) AS child_used, \
        (sessions.revoked IS NULL AND sessions.expires > $2 AND sessions.epoch = users.epoch) AS counts \
        FROM refresh_tokens JOIN sessions ON sessions.id = refresh_tokens.session_id \
        JOIN users ON users.id = sessions.user_id WHERE refresh_tokens.hash = $1";
    REVOKE = "UPDATE sessions SET revoked = $2 WHERE id = $1 AND revoked IS NULL";
    EMAIL = "SELECT email FROM users WHERE id = $1";
    KEEP_RESET = "INSERT INTO password_resets (hash, user_id, expires) VALUES ($1, $2, $3)";
    RESET_USER = "SELECT user_id FROM password_resets WHERE hash = $1 AND expires > $2";
    FORGET_SESSIONS = "DELETE FROM sessions WHERE expires <= $1";
    FORGET_EXPIRED_RESETS = "DELETE FROM password_resets WHERE expires <= $1";
}

/// A refresh token with its session.
#[derive(sqlx::FromRow)]
struct TokenRow {
    family: Uuid,
    user_id: Uuid,
    email: String,
    epoch: i64,
    expires: i64,
    used: Option<i64>,
    child: Option<Vec<u8>>,
    child_used: Option<i64>,
    counts: bool,
}

impl TokenRow {
    fn rotated(&self, user: users::Row) -> Result<Rotation, sqlx::Error> {
        let user = Box::new(User::try_from(user)?);
        Ok(Rotation::Rotated { user, family: self.family, expires: moment(self.expires)? })
    }

    /// Whether it was used so shortly before that this is the same request again, and nobody has gone on from there.
    fn within_grace(&self, child: &SecretHash, now: i64, grace: Duration) -> bool {
        let grace = u64::try_from(grace.as_micros()).unwrap_or(u64::MAX);
        self.child.as_deref() == Some(child)
            && self.child_used.is_none()
            // Of another replica's clock it may lie ahead.
            && self.used.is_some_and(|used| now.abs_diff(used) <= grace)
    }

    fn note(&self, action: &'static str, actor: Actor) -> Note {
        let details = json!({ "session": self.family.to_string() });
        Note { action, target: format!("user:{}", self.email), details, actor }
    }
}

/// The user of a session that counts. One whose epoch was raised since the token was found has no session any more.
macro_rules! user_of {
    ($tx:ident, $token:expr) => {{
        let row: Option<users::Row> = sqlx::query_as(users::IN_EPOCH)
            .bind($token.user_id)
            .bind($token.epoch)
            .fetch_optional(&mut *$tx)
            .await?;
        row
    }};
}

/// A refresh token with its session, if it is known.
macro_rules! find_token {
    ($tx:ident, $hash:expr, $now:expr) => {{
        let row: Option<TokenRow> =
            sqlx::query_as(FIND_TOKEN).bind(&$hash[..]).bind($now).fetch_optional(&mut *$tx).await?;
        row
    }};
}

impl Store {
    /// Keeps the first refresh token of a family: `session.opened`. `Stale` when the user no longer has the epoch under
    /// which the password was checked, is disabled or gone.
    pub async fn open_session(&self, token: NewRefreshToken, actor: Actor) -> Result<(), StoreError> {
        record!(self, |tx| {
            let (at, hash) = (now(), token.hash.to_vec());
            let opened = sqlx::query(OPEN)
                .bind(token.family)
                .bind(token.user)
                .bind(token.epoch)
                .bind(at)
                .bind(micros(token.expires))
                .execute(&mut *tx)
                .await?;
            if opened.rows_affected() == 0 {
                return Err(StoreError::Stale);
            }
            sqlx::query(KEEP_TOKEN).bind(hash).bind(token.family).bind(at).execute(&mut *tx).await?;
            let email: String = sqlx::query_scalar(EMAIL).bind(token.user).fetch_one(&mut *tx).await?;
            let details = json!({ "session": token.family.to_string() });
            Ok(Done::Noted(
                (),
                Note { action: "session.opened", target: format!("user:{email}"), details, actor },
            ))
        })
    }

    /// Puts `child` in the place of `presented` by one conditional UPDATE. When that was used before: within `grace`
    /// of its use, and as long as its child is unused, it is answered as rotated once more (the child is derived, hence
    /// the same); else the family is revoked and that is audited as `session.reused`.
    pub async fn rotate_session(
        &self,
        presented: SecretHash,
        child: SecretHash,
        grace: Duration,
        actor: Actor,
    ) -> Result<Rotation, StoreError> {
        record!(self, |tx| {
            let at = now();
            let used = sqlx::query(USE_TOKEN).bind(presented.to_vec()).bind(at).bind(child.to_vec());
            let used = used.execute(&mut *tx).await?.rows_affected() > 0;
            let Some(token) = find_token!(tx, presented, at) else {
                return Ok(Done::Nothing(Rotation::Refused));
            };
            if used {
                let keep = sqlx::query(KEEP_TOKEN).bind(child.to_vec()).bind(token.family).bind(at);
                keep.execute(&mut *tx).await?;
                let Some(owner) = user_of!(tx, token) else { return Ok(Done::Nothing(Rotation::Refused)) };
                return Ok(Done::Silent(token.rotated(owner)?));
            }
            if !token.counts {
                return Ok(Done::Nothing(Rotation::Refused));
            }
            if token.within_grace(&child, at, grace) {
                let Some(owner) = user_of!(tx, token) else { return Ok(Done::Nothing(Rotation::Refused)) };
                return Ok(Done::Nothing(token.rotated(owner)?));
            }
            sqlx::query(REVOKE).bind(token.family).bind(at).execute(&mut *tx).await?;
            let reused = Rotation::Reused { user: token.user_id, family: token.family };
            Ok(Done::Noted(reused, token.note("session.reused", actor)))
        })
    }

    /// Revokes the family of a refresh token: `session.closed`. An unknown one is no error.
    pub async fn close_session(&self, presented: SecretHash, actor: Actor) -> Result<(), StoreError> {
        record!(self, |tx| {
            let at = now();
            let Some(token) = find_token!(tx, presented, at).filter(|token| token.counts) else {
                return Ok(Done::Nothing(()));
            };
            sqlx::query(REVOKE).bind(token.family).bind(at).execute(&mut *tx).await?;
            Ok(Done::Noted((), token.note("session.closed", actor)))
        })
    }

    /// Keeps a one-time reset: `user.reset_issued`. Earlier ones of the same user no longer count.
    pub async fn create_reset(&self, reset: NewReset, actor: Actor) -> Result<(), StoreError> {
        record!(self, |tx| {
            let email: Option<String> =
                sqlx::query_scalar(EMAIL).bind(reset.user).fetch_optional(&mut *tx).await?;
            let target = format!("user:{}", email.ok_or(StoreError::NotFound)?);
            sqlx::query(users::FORGET_RESETS).bind(reset.user).execute(&mut *tx).await?;
            let keep = sqlx::query(KEEP_RESET).bind(reset.hash.to_vec()).bind(reset.user);
            keep.bind(micros(reset.expires)).execute(&mut *tx).await?;
            Ok(Done::Noted((), Note { action: "user.reset_issued", target, details: json!({}), actor }))
        })
    }

    /// Uses up a reset that is neither used nor expired and sets the password, as [`Store::set_password`] does.
    pub async fn redeem_reset(
        &self,
        presented: SecretHash,
        password_hash: String,
        actor: Actor,
    ) -> Result<Option<Changed<User>>, StoreError> {
        let redeemed: Changed<Option<User>> = change!(self, |tx, _revision| {
            let user: Option<Uuid> = sqlx::query_scalar(RESET_USER)
                .bind(presented.to_vec())
                .bind(now())
                .fetch_optional(&mut *tx)
                .await?;
            let Some(user) = user else { return Ok(Done::Nothing(None)) };
            let user = set_password!(tx, user, password_hash);
            let (target, details) = (users::target(&user), json!({ "reset": true }));
            Ok(Done::Noted(Some(user), Note { action: "user.password_changed", target, details, actor }))
        })?;
        let revision = redeemed.revision;
        Ok(redeemed.value.map(|value| Changed { value, revision }))
    }

    /// Forgets what expired before now: refresh tokens, resets, and notes of refused logins that are older than
    /// 90 days. How many rows.
    pub async fn forget_expired_sessions(&self) -> Result<u64, StoreError> {
        record!(self, |tx| {
            let at = now();
            let noted = at - REFUSED_LOGINS_KEPT.as_micros() as i64;
            let noted = sqlx::query(audit::FORGET_REFUSED_LOGINS).bind(noted).execute(&mut *tx).await?;
            let sessions = sqlx::query(FORGET_SESSIONS).bind(at).execute(&mut *tx).await?.rows_affected();
            let resets = sqlx::query(FORGET_EXPIRED_RESETS).bind(at).execute(&mut *tx).await?.rows_affected();
            Ok(Done::Silent(sessions + resets + noted.rows_affected()))
        })
    }

    /// Whose reset this is, if it still counts.
    pub async fn reset_user(&self, presented: SecretHash) -> Result<Option<Uuid>, StoreError> {
        read!(self, |tx| {
            let user = sqlx::query_scalar(RESET_USER).bind(presented.to_vec()).bind(now());
            Ok(user.fetch_optional(&mut *tx).await?)
        })
    }
}
