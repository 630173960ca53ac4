//! Tokens that replicas share for a while: sealed, so that whoever reads Redis learns nothing, and bound to the upstream, what
//! the secret is bound to, its version and what the token is for, so that none is used where it does not belong.
//!
//! Replicas that begin together, or whose tokens end together, make one request.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::Credential;
use super::grant::{Grant, Granted, Refusal};
use crate::cache::{HttpCache, Level, ValueKey};
use crate::identity::envelope::{self, Context, Sealed};
use crate::identity::ring::KeyRing;
use crate::models::policy::OAuth2;

/// How long a token is there for others, however long it counts. Renewals of one token are no further apart.
const SHARED_FOR: Duration = Duration::from_secs(60);
/// What is sealed, beside the secret itself.
const FIELD: &str = "token";

/// Where one upstream's tokens are shared.
pub(super) struct Sharing {
    cache: Arc<HttpCache>,
    ring: KeyRing,
    upstream: String,
    /// Everything that tells one token from another.
    purpose: String,
    version: i64,
}

/// A token as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    kid: String,
    sealed: Vec<u8>,
}

/// What is in the envelope. Times are milliseconds.
#[derive(Serialize, Deserialize)]
struct Token {
    value: String,
    life: u64,
    /// Of Unix time.
    end: u64,
}

impl Sharing {
    /// Those for the secret of this version, as it is bound.
    pub(super) fn new(
        cache: &Arc<HttpCache>,
        ring: &KeyRing,
        upstream: &str,
        settings: &OAuth2,
        (binding, version): (&str, i64),
    ) -> Self {
        let purpose = format!("{:?}", (upstream, binding, version, settings));
        Self { cache: Arc::clone(cache), ring: ring.clone(), upstream: upstream.to_owned(), purpose, version }
    }

    /// A token that another replica got lately, or one of the server's: at most one request. One that is half over, or is the
    /// `unwanted`, is no use.
    pub(super) async fn obtain(
        &self,
        grant: &Grant,
        unwanted: Option<&Credential>,
    ) -> Result<Granted, Refusal> {
        let key = ValueKey { kind: "tokens", text: &self.purpose, level: Level::Fleet };
        let tag = format!("token {}", self.upstream);
        for _ in 0..2 {
            let mut fresh = None;
            let load = async || {
                let granted = grant.ask().await?;
                let kept = self.sealed(&granted);
                fresh = Some(granted);
                Ok::<_, Refusal>(kept)
            };
            let kept: Kept = self.cache.get_or_load(&key, SHARED_FOR, &[&tag], load).await?;
            if let Some(granted) = fresh {
                return Ok(granted);
            }
            let opened = self.opened(&kept);
            let another = |granted: &Granted| unwanted.is_none_or(|it| it.value != granted.credential.value);
            if let Some(granted) = opened.filter(another) {
                return Ok(granted);
            }
            self.cache.purge_values(&tag);
        }
        grant.ask().await
    }

    fn context(&self) -> Context<'_> {
        Context { owner: &self.upstream, binding: &self.purpose, field: FIELD, version: self.version }
    }

    fn sealed(&self, granted: &Granted) -> Kept {
        let value = String::from_utf8_lossy(granted.credential.value.as_bytes()).into_owned();
        let life = granted.life.as_millis() as u64;
        let token = Token { value, life, end: unix_now() + life };
        let text = serde_json::to_string(&token).expect("texts and numbers always serialise");
        let Sealed { kid, bytes } = envelope::seal(&self.ring, self.context(), &SecretString::from(text));
        Kept { kid, sealed: bytes }
    }

    /// What is left of it, where that is more than half.
    fn opened(&self, kept: &Kept) -> Option<Granted> {
        let sealed = Sealed { kid: kept.kid.clone(), bytes: kept.sealed.clone() };
        let text = envelope::open(&self.ring, self.context(), &sealed).ok()?;
        let token: Token = serde_json::from_str(text.expose_secret()).ok()?;
        let left = token.end.saturating_sub(unix_now()).min(token.life);
        let value = HeaderValue::from_str(&token.value).ok()?;
        let credential = Credential::new(http::header::AUTHORIZATION, value.as_bytes())?;
        (left > token.life / 2).then(|| Granted { credential, life: Duration::from_millis(left) })
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::policy::BaseUrl;

    fn ring(letter: &str) -> KeyRing {
        KeyRing::parse(&format!("a:{}A=", letter.repeat(42))).unwrap()
    }

    fn sharing(ring: &KeyRing, upstream: &str, binding: &str, version: i64, scopes: &[&str]) -> Sharing {
        let token_url =
            BaseUrl { https: true, host: "id.example".to_owned(), port: 443, path: "/token".to_owned() };
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let settings = OAuth2 { token_url, client_id: "levee".to_owned(), scopes };
        let cache = Arc::new(HttpCache::new(1024 * 1024));
        Sharing::new(&cache, ring, upstream, &settings, (binding, version))
    }

    fn granted(life: u64) -> Granted {
        Granted { credential: Credential::bearer("t0ken").unwrap(), life: Duration::from_secs(life) }
    }

    #[test]
    fn a_token_opens_where_it_belongs_and_nowhere_else() {
        let here = sharing(&ring("B"), "api", "https://api.example:443", 3, &["read"]);
        let kept = here.sealed(&granted(3600));
        let opened = here.opened(&kept).unwrap();
        assert_eq!(opened.credential.value, "Bearer t0ken");
        assert!(opened.credential.value.is_sensitive() && opened.life > Duration::from_secs(3590));
        assert!(!serde_json::to_string(&kept).unwrap().contains("t0ken"));
        assert!(!kept.sealed.windows(5).any(|window| window == b"t0ken"));
        for elsewhere in [
            sharing(&ring("C"), "api", "https://api.example:443", 3, &["read"]),
            sharing(&ring("B"), "other", "https://api.example:443", 3, &["read"]),
            sharing(&ring("B"), "api", "https://evil.example:443", 3, &["read"]),
            sharing(&ring("B"), "api", "https://api.example:443", 4, &["read"]),
            sharing(&ring("B"), "api", "https://api.example:443", 3, &["write"]),
        ] {
            assert!(elsewhere.opened(&kept).is_none(), "{}", elsewhere.purpose);
        }
    }

    #[test]
    fn what_is_half_over_or_damaged_is_no_token() {
        let here = sharing(&ring("B"), "api", "https://api.example:443", 3, &[]);
        let mut kept = here.sealed(&granted(3600));
        kept.sealed[20] ^= 1;
        assert!(here.opened(&kept).is_none());
        assert!(here.opened(&here.sealed(&granted(0))).is_none());
    }
}
