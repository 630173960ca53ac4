//! Stored credentials: set, forgotten, never read back, and wrapped anew when the key ring gets another current key.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::authority::demand;
use super::publication::{Publisher, Source};
use crate::error::Failure;
use crate::gateway::credentials::FIELD;
use crate::identity::envelope::{self, Context, Sealed};
use crate::identity::ring::KeyRing;
use crate::models::principal::{Actor, Principal, Role};
use crate::models::registration::SealedCredential;
use crate::repositories::{Store, StoreError};

/// Two writers at once: the later one takes the next version.
const TRIES: usize = 5;

/// How often credentials under an older key are looked for.
const REWRAP_EVERY: Duration = Duration::from_secs(3600);

/// How many are wrapped anew at a time.
const REWRAP_AT_ONCE: u32 = 100;

/// Seals and keeps credentials.
#[derive(Clone)]
pub struct CredentialsService {
    store: Store,
    publisher: Arc<Publisher>,
    ring: KeyRing,
}

impl CredentialsService {
    /// Over the database, what is in force, and the keys to seal with.
    pub fn new(store: Store, publisher: Arc<Publisher>, ring: KeyRing) -> Self {
        Self { store, publisher, ring }
    }

    /// Keeps the secret of an upstream, bound to where its document says that it goes now. `expected` is the revision the
    /// writer read, so that nobody changes the document meanwhile and has the secret bound elsewhere; `None` binds it to
    /// whatever is there.
    pub async fn put(
        &self,
        principal: &Principal,
        actor: Actor,
        upstream: String,
        secret: SecretString,
        expected: Option<u64>,
    ) -> Result<(), Failure> {
        demand(principal, Role::Admin)?;
        // It ends up in a header, or in a form; in neither is one of these meant.
        if secret.expose_secret().chars().any(char::is_control) {
            return Err(Failure::invalid("/secret", "must be one line without control characters"));
        }
        let binding = self.binding(&upstream, expected)?;
        for _ in 0..TRIES {
            let version = self.store.next_credential_version(upstream.clone()).await?;
            let sealed = envelope::seal(&self.ring, context(&upstream, &binding, version), &secret);
            let credential = SealedCredential {
                upstream: upstream.clone(),
                binding: binding.clone(),
                version,
                kid: sealed.kid,
                sealed: sealed.bytes,
                updated: OffsetDateTime::now_utc(),
                updated_by: actor.subject.clone(),
            };
            match self.store.put_credential(credential, actor.clone()).await {
                Err(StoreError::Stale) => {}
                put => {
                    self.publisher.reached(put?.revision).await;
                    return Ok(());
                }
            }
        }
        Err(Failure::conflict("Others are setting this credential at the same time. Try again."))
    }

    /// Forgets the secret of an upstream.
    pub async fn delete(&self, principal: &Principal, actor: Actor, upstream: String) -> Result<(), Failure> {
        demand(principal, Role::Admin)?;
        let deleted = self.store.delete_credential(upstream.clone(), actor).await;
        let changed = deleted.map_err(|error| match error {
            StoreError::NotFound => {
                Failure::not_found(format!("No credential is stored for upstream \"{upstream}\"."))
            }
            error => error.into(),
        })?;
        self.publisher.reached(changed.revision).await;
        Ok(())
    }

    /// Wraps anew what is not under the ring's current key, now and every hour, so that older keys can be retired.
    pub async fn keep_rewrapping(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(REWRAP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { () = stop.cancelled() => return, _ = ticks.tick() => {} }
            match self.rewrap().await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, kid = self.ring.current(), "credentials wrapped anew"),
                Err(error) => {
                    tracing::warn!(%error, "credentials cannot be wrapped anew; an hour from now again");
                }
            }
        }
    }

    /// How many were wrapped anew. What cannot be opened is logged and left as it is.
    async fn rewrap(&self) -> Result<u64, StoreError> {
        let mut count = 0;
        loop {
            let kid = self.ring.current().to_owned();
            let found = self.store.credentials_not_under(kid, REWRAP_AT_ONCE).await?;
            let full = found.len() == REWRAP_AT_ONCE as usize;
            let wrapped: Vec<_> = found.into_iter().filter_map(|kept| self.wrapped(kept)).collect();
            if wrapped.is_empty() {
                return Ok(count);
            }
            let rewrapped = self.store.rewrap_credentials(wrapped, Actor::system("rotation")).await?;
            count += rewrapped.value;
            // A batch of what cannot be opened, or what another replica was faster with, would come back for ever.
            if !full || rewrapped.value == 0 {
                return Ok(count);
            }
        }
    }

    fn wrapped(&self, credential: SealedCredential) -> Option<SealedCredential> {
        let sealed = Sealed { kid: credential.kid.clone(), bytes: credential.sealed.clone() };
        let context = context(&credential.upstream, &credential.binding, credential.version);
        match envelope::rewrap(&self.ring, context, &sealed) {
            Ok(sealed) => Some(SealedCredential { kid: sealed.kid, sealed: sealed.bytes, ..credential }),
            Err(error) => {
                let upstream = credential.upstream;
                tracing::error!(upstream, %error, "a credential cannot be wrapped anew");
                None
            }
        }
    }

    fn binding(&self, name: &str, expected: Option<u64>) -> Result<String, Failure> {
        let published = self.publisher.published();
        let entry = published.merged.entries.get(name);
        let entry = entry.ok_or_else(|| Failure::not_found(format!("There is no upstream \"{name}\".")))?;
        if let Some(resource) = entry.resource.as_ref().filter(|resource| resource.names_secret) {
            return Err(Failure::conflict(format!(
                "The credential of upstream \"{name}\" comes from the Secret that {} names. Change it there.",
                resource.id
            )));
        }
        // One of a file has no revision: who may write the file may send the secret anywhere.
        let revision = entry.registration.as_ref().filter(|_| entry.source == Source::Api);
        let revision = revision.map(|registration| registration.revision);
        if expected.is_some() && revision.is_some() && expected != revision {
            return Err(StoreError::Stale.into());
        }
        let upstream = entry.upstream.as_ref();
        let binding =
            upstream.and_then(|upstream| Some(upstream.credentials.as_ref()?.binding(&upstream.url)));
        binding.ok_or_else(|| {
            Failure::conflict(format!(
                "The document of upstream \"{name}\" has no `credentials` block that says where a secret goes. Add it first."
            ))
        })
    }
}

fn context<'a>(upstream: &'a str, binding: &'a str, version: i64) -> Context<'a> {
    Context { owner: upstream, binding, field: FIELD, version }
}
