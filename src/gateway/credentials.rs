//! The credential that goes into an upstream's requests: opened once for each snapshot, put in last.
//!
//! A stored secret is sealed with the origins it may go to, and its place in a request. One that does not open leaves its upstream *detached*: its
//! calls are refused, never sent without it.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::failure::{Failure, FailureKind};
use super::transport::{Network, SetupFailure};
use crate::cache::HttpCache;
use crate::identity::envelope::{self, Context, OpenError, Sealed};
use crate::identity::ring::KeyRing;
use crate::models::policy::{Credentials, Upstream};
use crate::models::registration::SealedCredential;
use sharing::Sharing;
use token::TokenSource;

/// What a token server says.
mod grant;
/// What replicas have of it together.
mod sharing;
/// Tokens that a secret is exchanged for.
mod token;

/// Which field of its upstream a stored secret is: part of what it is sealed with.
pub const FIELD: &str = "secret";

/// Stored secrets as they are kept, and what opens them.
pub struct Vault<'a> {
    ring: &'a KeyRing,
    sealed: HashMap<&'a str, &'a SealedCredential>,
}

impl<'a> Vault<'a> {
    /// Secrets sealed under keys of this ring.
    pub fn new(ring: &'a KeyRing, sealed: impl IntoIterator<Item = &'a SealedCredential>) -> Self {
        let sealed = sealed.into_iter().map(|sealed| (sealed.upstream.as_str(), sealed)).collect();
        Self { ring, sealed }
    }

    /// What is kept for an upstream.
    pub(super) fn sealed(&self, upstream: &str) -> Option<&'a SealedCredential> {
        self.sealed.get(upstream).copied()
    }

    fn open(&self, upstream: &Upstream, credentials: &Credentials) -> Result<Opened, Detached> {
        let kept = self.sealed(&upstream.name).ok_or(Detached::Unset)?;
        let binding = credentials.binding(&upstream.url);
        if kept.binding != binding {
            return Err(Detached::Elsewhere);
        }
        let context =
            Context { owner: &upstream.name, binding: &binding, field: FIELD, version: kept.version };
        let sealed = Sealed { kid: kept.kid.clone(), bytes: kept.sealed.clone() };
        let secret = envelope::open(self.ring, context, &sealed).map_err(|error| match error {
            OpenError::UnknownKey => Detached::UnknownKey,
            OpenError::Refused => Detached::Unreadable,
        })?;
        Ok(Opened { secret, binding, version: kept.version })
    }
}

/// A stored secret in clear, and what it was sealed with.
struct Opened {
    secret: SecretString,
    binding: String,
    version: i64,
}

/// Why an upstream that needs a credential has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detached {
    /// Nobody set it.
    Unset,
    /// Where it may go is not where the document sends it any more: another origin, token server or header.
    Elsewhere,
    /// The ring lacks the key it was sealed with.
    UnknownKey,
    /// It is damaged, or was sealed for something else.
    Unreadable,
    /// It has characters that cannot be sent.
    Unsendable,
}

impl Detached {
    /// Why, for a person.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "no secret has been set",
            Self::Elsewhere => {
                "the secret was set for another origin or header; set it again, or take the change back"
            }
            Self::UnknownKey => "the key ring lacks the key that the secret was sealed with",
            Self::Unreadable => "the stored secret is damaged or belongs elsewhere; set it again",
            Self::Unsendable => "the secret has characters that a header cannot hold; set it again",
        }
    }
}

/// What an upstream's requests get.
#[derive(Clone)]
pub enum Attached {
    /// Nothing: its document names no credentials.
    Nothing,
    /// The same header each time.
    Fixed(Credential),
    /// A token, got when it is needed.
    Token(Arc<TokenSource>),
    /// Nothing may be sent.
    Detached(Detached),
}

/// A header that proves to an upstream who calls. Prints as sensitive.
#[derive(Clone)]
pub struct Credential {
    name: HeaderName,
    value: HeaderValue,
}

impl Credential {
    fn new(name: HeaderName, value: &[u8]) -> Option<Self> {
        let mut value = HeaderValue::from_bytes(value).ok()?;
        value.set_sensitive(true);
        Some(Self { name, value })
    }

    fn bearer(token: &str) -> Option<Self> {
        let value = Zeroizing::new(format!("Bearer {token}"));
        Self::new(header::AUTHORIZATION, value.as_bytes())
    }

    fn basic(user: &str, password: &str) -> Option<Self> {
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let value = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
        Self::new(header::AUTHORIZATION, value.as_bytes())
    }

    /// Puts it in, whatever stood there.
    pub(super) fn inject(&self, headers: &mut HeaderMap) {
        headers.insert(self.name.clone(), self.value.clone());
    }
}

impl Attached {
    /// Opens what is kept for `upstream`.
    pub(super) fn open(
        upstream: &Upstream,
        vault: &Vault<'_>,
        network: &Arc<Network>,
        cache: &Arc<HttpCache>,
    ) -> Result<Self, SetupFailure> {
        let Some(credentials) = &upstream.credentials else { return Ok(Self::Nothing) };
        let opened = match vault.open(upstream, credentials) {
            Ok(opened) => opened,
            Err(detached) => return Ok(Self::Detached(detached)),
        };
        let secret = opened.secret.expose_secret();
        let fixed = match credentials {
            Credentials::Header { name, before, after } => {
                let value = Zeroizing::new([before.as_str(), secret, after.as_str()].concat());
                Credential::new(name.clone(), value.as_bytes())
            }
            Credentials::Basic { username } => Credential::basic(username, secret),
            Credentials::OAuth2(settings) => {
                let sealed_with = (opened.binding.as_str(), opened.version);
                let sharing = Sharing::new(cache, vault.ring, &upstream.name, settings, sealed_with);
                let source = TokenSource::new(upstream, settings, secret, network, sharing)?;
                return Ok(source.map_or(Self::Detached(Detached::Unsendable), Self::Token));
            }
        };
        Ok(fixed.map_or(Self::Detached(Detached::Unsendable), Self::Fixed))
    }

    /// The credential for one attempt. Waits for a token until `deadline` where there is none.
    pub(super) async fn obtain(&self, deadline: Instant) -> Result<Option<Credential>, Failure> {
        match self {
            Self::Nothing => Ok(None),
            Self::Fixed(credential) => Ok(Some(credential.clone())),
            Self::Token(source) => match source.at_hand() {
                Some(credential) => Ok(Some(credential)),
                None => Box::pin(source.fetched(deadline)).await.map(Some),
            },
            Self::Detached(why) => {
                let detail = format!("Levee has no credential for this upstream: {}.", why.as_str());
                Err(Failure::new(FailureKind::CredentialsMissing, "proxy_configuration_error", detail)
                    .with_nothing_sent())
            }
        }
    }

    /// The upstream refused this credential (401). Whether another one may do better: only a token is renewed, and
    /// not again and again.
    pub(super) fn refused(&self, used: Option<&Credential>) -> bool {
        match (self, used) {
            (Self::Token(source), Some(used)) => source.refused(used),
            _ => false,
        }
    }

    /// Why nothing can be sent, for people and metrics; `None` where nothing is needed.
    pub fn state(&self) -> Option<Result<(), &'static str>> {
        match self {
            Self::Nothing => None,
            Self::Fixed(_) => Some(Ok(())),
            Self::Token(source) => Some(source.state()),
            Self::Detached(why) => Some(Err(why.as_str())),
        }
    }

    /// Closes what the token server's connections have left behind.
    pub(super) fn sweep(&self, now: Instant) {
        if let Self::Token(source) = self {
            source.sweep(now);
        }
    }
}

#[cfg(test)]
mod tests;
