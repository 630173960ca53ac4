//! Who there is, and what proves it, as one immutable value that calls read without a lock or a database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use uuid::Uuid;

use self::remembered::{Proven, Remembered};
use self::usage::LastUsed;
use super::api_key::{self, Presented};
use super::issuer::{Guest, Issuer};
use super::token::{Claims, Refused, Tokens};
use crate::models::principal::{Class, Principal, PrincipalKind};
use crate::models::registration::Stored;
use crate::models::service_account::{ApiKeyRecord, ServiceAccount};
use crate::models::session::SecretHash;
use crate::models::user::User;
use crate::telemetry::metrics::AuthFailure;

mod remembered;
mod usage;

/// Users, service accounts and keys at one revision.
#[derive(Default)]
pub struct Directory {
    revision: u64,
    users: HashMap<Uuid, Person>,
    keys: HashMap<Uuid, Key>,
}

struct Person {
    principal: Arc<Principal>,
    disabled: bool,
    epoch: i64,
}

struct Key {
    hash: SecretHash,
    owner: Arc<Principal>,
    disabled: bool,
    expires: Option<SystemTime>,
    used: Arc<LastUsed>,
}

impl Directory {
    /// Builds it from what is stored.
    pub fn of(stored: &Stored) -> Self {
        let users = stored.users.iter().map(|user| (user.id, Person::of(user))).collect();
        let owners: HashMap<Uuid, (Arc<Principal>, bool)> = stored
            .service_accounts
            .iter()
            .map(|account| (account.id, (Arc::new(program(account)), account.disabled)))
            .collect();
        let keys = stored.keys.iter().filter(|key| key.revoked.is_none()).filter_map(|key| {
            let (owner, disabled) = owners.get(&key.service_account)?;
            Some((key.id, Key::of(key, Arc::clone(owner), *disabled)))
        });
        Self { revision: stored.revision, users, keys: keys.collect() }
    }

    fn key(&self, presented: &Presented, now: SystemTime) -> Result<Known, Refusal> {
        let key = self.keys.get(&presented.id).filter(|key| presented.is(&key.hash));
        let key = key.ok_or(Refusal::Unknown)?;
        if key.disabled {
            return Err(Refusal::Disabled);
        }
        if key.expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::Expired);
        }
        key.used.note(now);
        Ok(Known { principal: Arc::clone(&key.owner), key: Some(presented.id) })
    }

    /// The role and the state are the directory's. Only somebody it cannot know yet, because the token was issued by a
    /// replica that was ahead of it, counts by what the token says.
    fn user(&self, claims: &Claims) -> Result<Known, Refusal> {
        let principal = match self.users.get(&claims.user) {
            Some(person) if person.disabled || claims.epoch < person.epoch => return Err(Refusal::Disabled),
            Some(person) => Arc::clone(&person.principal),
            None if claims.revision > self.revision => Arc::new(newcomer(claims)),
            None => return Err(Refusal::Disabled),
        };
        Ok(Known { principal, key: None })
    }
}

impl Person {
    fn of(user: &User) -> Self {
        let principal = Principal {
            kind: PrincipalKind::User,
            id: user.id,
            name: user.email.to_string(),
            role: Some(user.role),
            class: Class::default(),
        };
        Self { principal: Arc::new(principal), disabled: user.disabled, epoch: user.epoch }
    }
}

impl Key {
    fn of(record: &ApiKeyRecord, owner: Arc<Principal>, disabled: bool) -> Self {
        let expires = record.expires.map(SystemTime::from);
        Self { hash: record.hash, owner, disabled, expires, used: Arc::default() }
    }
}

fn program(account: &ServiceAccount) -> Principal {
    Principal {
        kind: PrincipalKind::ServiceAccount,
        id: account.id,
        name: account.name.clone(),
        role: account.role,
        class: account.class,
    }
}

fn newcomer(claims: &Claims) -> Principal {
    Principal {
        kind: PrincipalKind::User,
        id: claims.user,
        name: claims.email.clone(),
        role: Some(claims.role),
        class: Class::default(),
    }
}

/// Why a credential is refused; the label of the metric that counts refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Its form or checksum is wrong, or it is badly signed.
    Malformed,
    /// No such key, or it was revoked.
    Unknown,
    /// Its time is over.
    Expired,
    /// Its owner is disabled, deleted, or changed the password since.
    Disabled,
}

impl From<Refusal> for AuthFailure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed => Self::Malformed,
            Refusal::Unknown => Self::Unknown,
            Refusal::Expired => Self::Expired,
            Refusal::Disabled => Self::Disabled,
        }
    }
}

/// A caller, and the key it used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Who.
    pub principal: Arc<Principal>,
    /// The API key's id.
    pub key: Option<Uuid>,
}

/// Verifies credentials against the directory in force; shared by both planes. It also remembers when each key was last
/// used, so that nobody who asks has to.
pub struct Authenticator {
    tokens: Tokens,
    issuers: Vec<Arc<Issuer>>,
    remembered: Remembered,
    directory: ArcSwap<Directory>,
}

impl Authenticator {
    /// Nobody is known yet.
    pub fn new(tokens: Tokens) -> Self {
        let (remembered, directory) = (Remembered::default(), ArcSwap::default());
        Self { tokens, issuers: Vec::new(), remembered, directory }
    }

    /// The same, for whom tokens of this issuer count as well.
    #[must_use]
    pub fn trusting(mut self, issuer: Arc<Issuer>) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Lets new requests see `next`. One publisher at a time.
    pub fn publish(&self, mut next: Directory) {
        let before = self.directory.load();
        for (id, key) in &mut next.keys {
            if let Some(known) = before.keys.get(id) {
                key.used = Arc::clone(&known.used);
            }
        }
        self.directory.store(Arc::new(next));
    }

    /// Who presents this credential.
    pub fn authenticate(&self, credential: &str, now: SystemTime) -> Result<Known, Refusal> {
        if credential.starts_with(api_key::PREFIX) {
            let presented = api_key::read(credential).ok_or(Refusal::Malformed)?;
            return self.directory.load().key(&presented, now);
        }
        let proven = self.remembered.proven(credential, now, || self.prove(credential));
        let proven = proven.map_err(|refused| match refused {
            Refused::Invalid => Refusal::Malformed,
            Refused::Expired => Refusal::Expired,
        })?;
        match &*proven {
            Proven::User(claims) => self.directory.load().user(claims),
            Proven::Guest(guest) => self.guest(guest),
        }
    }

    /// Ours, or else that of the first issuer that can say anything of it.
    fn prove(&self, token: &str) -> Result<Proven, Refused> {
        let ours = self.tokens.verify(token).map(Proven::User);
        let theirs = self.issuers.iter().map(|issuer| issuer.verify(token).map(Proven::Guest));
        let verdict =
            std::iter::once(ours).chain(theirs).find(|verdict| !matches!(verdict, Err(Refused::Invalid)));
        verdict.unwrap_or(Err(Refused::Invalid))
    }

    /// A token was verified before; its key may have been taken back since.
    fn guest(&self, guest: &Guest) -> Result<Known, Refusal> {
        let trusted = self.issuers.iter().any(|issuer| issuer.trusts(guest));
        let known = Known { principal: Arc::clone(&guest.principal), key: None };
        trusted.then_some(known).ok_or(Refusal::Unknown)
    }

    /// The tokens it verifies.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The keys that were used since the last time this was asked, each with the last moment, to the second.
    pub fn take_used(&self) -> Vec<(Uuid, OffsetDateTime)> {
        let directory = self.directory.load();
        directory.keys.iter().filter_map(|(id, key)| Some((*id, key.used.take()?))).collect()
    }

    /// Gives back what [`Authenticator::take_used`] took and could not be kept.
    pub fn put_back_used(&self, used: &[(Uuid, OffsetDateTime)]) {
        let directory = self.directory.load();
        for (id, at) in used {
            if let Some(key) = directory.keys.get(id) {
                key.used.note((*at).into());
            }
        }
    }
}

#[cfg(test)]
mod tests;
