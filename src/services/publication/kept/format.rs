//! The kept state as JSON. Its own shape, so that a change of the models is a decision here: times in microseconds since
//! 1970, bytes in base64. An unknown field is skipped, a missing one makes the whole unreadable.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Kept, KeptResource};
use crate::models::custom_resource::ResourceId;
use crate::models::principal::{Class, Role};
use crate::models::registration::{BreakerOverride, ForcedMode, Registration, SealedCredential, Stored};
use crate::models::service_account::{ApiKeyRecord, ServiceAccount};
use crate::models::user::{Email, User};

pub(super) fn write(kept: &Kept) -> Vec<u8> {
    let stored = &kept.stored;
    let resources = kept.resources.as_ref();
    let state = State {
        revision: stored.revision,
        upstreams: stored.upstreams.iter().map(KeptUpstream::of).collect(),
        credentials: stored.credentials.iter().map(KeptCredential::of).collect(),
        overrides: stored.overrides.iter().map(KeptOverride::of).collect(),
        users: stored.users.iter().map(KeptUser::of).collect(),
        service_accounts: stored.service_accounts.iter().map(KeptAccount::of).collect(),
        keys: stored.keys.iter().map(KeptKey::of).collect(),
        resources: resources.map(|resources| resources.iter().map(KeptObject::of).collect()),
    };
    serde_json::to_vec(&state).expect("structs of texts and numbers always serialise")
}

/// `None` when it is not what [`write()`] makes.
pub(super) fn read(text: &[u8]) -> Option<Kept> {
    let state: State = serde_json::from_slice(text).ok()?;
    let resources = match state.resources {
        Some(resources) => Some(Arc::new(all(resources, KeptObject::read)?)),
        None => None,
    };
    let stored = Stored {
        revision: state.revision,
        upstreams: all(state.upstreams, KeptUpstream::read)?,
        credentials: all(state.credentials, KeptCredential::read)?,
        overrides: all(state.overrides, KeptOverride::read)?,
        users: all(state.users, KeptUser::read)?,
        service_accounts: all(state.service_accounts, KeptAccount::read)?,
        keys: all(state.keys, KeptKey::read)?,
    };
    Some(Kept { stored: Arc::new(stored), resources })
}

fn all<K, T>(kept: Vec<K>, read: impl Fn(K) -> Option<T>) -> Option<Vec<T>> {
    kept.into_iter().map(read).collect()
}

fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

fn moment(micros: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()
}

/// A moment that may be missing; `None` outside is one that cannot be read.
#[expect(clippy::option_option, reason = "one is whether it is there, the other whether it can be read")]
fn perhaps(micros: Option<i64>) -> Option<Option<OffsetDateTime>> {
    micros.map_or(Some(None), |micros| moment(micros).map(Some))
}

#[derive(Serialize, Deserialize)]
struct State {
    revision: u64,
    upstreams: Vec<KeptUpstream>,
    credentials: Vec<KeptCredential>,
    overrides: Vec<KeptOverride>,
    users: Vec<KeptUser>,
    service_accounts: Vec<KeptAccount>,
    keys: Vec<KeptKey>,
    /// Missing in what earlier versions kept, and where no cluster is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<KeptObject>>,
}

#[derive(Serialize, Deserialize)]
struct KeptUpstream {
    name: String,
    spec: Value,
    revision: u64,
    created: i64,
    updated: i64,
    updated_by: String,
}

impl KeptUpstream {
    fn of(it: &Registration) -> Self {
        Self {
            name: it.name.clone(),
            spec: it.spec.clone(),
            revision: it.revision,
            created: micros(it.created),
            updated: micros(it.updated),
            updated_by: it.updated_by.clone(),
        }
    }

    fn read(self) -> Option<Registration> {
        let Self { name, spec, revision, updated_by, .. } = self;
        let (created, updated) = (moment(self.created)?, moment(self.updated)?);
        Some(Registration { name, spec, revision, created, updated, updated_by })
    }
}

#[derive(Serialize, Deserialize)]
struct KeptCredential {
    upstream: String,
    binding: String,
    version: i64,
    kid: String,
    sealed: String,
    updated: i64,
    updated_by: String,
}

impl KeptCredential {
    fn of(it: &SealedCredential) -> Self {
        Self {
            upstream: it.upstream.clone(),
            binding: it.binding.clone(),
            version: it.version,
            kid: it.kid.clone(),
            sealed: STANDARD.encode(&it.sealed),
            updated: micros(it.updated),
            updated_by: it.updated_by.clone(),
        }
    }

    fn read(self) -> Option<SealedCredential> {
        let (sealed, updated) = (STANDARD.decode(&self.sealed).ok()?, moment(self.updated)?);
        let Self { upstream, binding, version, kid, updated_by, .. } = self;
        Some(SealedCredential { upstream, binding, version, kid, sealed, updated, updated_by })
    }
}

#[derive(Serialize, Deserialize)]
struct KeptObject {
    namespace: String,
    object: String,
    name: String,
    uid: String,
    generation: i64,
    spec: Value,
    secret_version: Option<String>,
    credential: Option<KeptCredential>,
}

impl KeptObject {
    fn of(it: &KeptResource) -> Self {
        Self {
            namespace: it.id.namespace.clone(),
            object: it.id.object.clone(),
            name: it.name.clone(),
            uid: it.uid.clone(),
            generation: it.generation,
            spec: Value::clone(&it.spec),
            secret_version: it.sealed.as_ref().map(|(version, _)| version.clone()),
            credential: it.sealed.as_ref().map(|(_, credential)| KeptCredential::of(credential)),
        }
    }

    fn read(self) -> Option<KeptResource> {
        let Self { namespace, object, name, uid, generation, .. } = self;
        let sealed = match self.credential {
            Some(credential) => Some((self.secret_version?, credential.read()?)),
            None => None,
        };
        let (id, spec) = (ResourceId { namespace, object }, Arc::new(self.spec));
        Some(KeptResource { id, name, uid, generation, spec, sealed })
    }
}

#[derive(Serialize, Deserialize)]
struct KeptOverride {
    upstream: String,
    operation: Option<String>,
    mode: String,
    reason: String,
    expires: Option<i64>,
    set: i64,
    set_by: String,
}

impl KeptOverride {
    fn of(it: &BreakerOverride) -> Self {
        Self {
            upstream: it.upstream.clone(),
            operation: it.operation.clone(),
            mode: it.mode.as_str().to_owned(),
            reason: it.reason.clone(),
            expires: it.expires.map(micros),
            set: micros(it.set),
            set_by: it.set_by.clone(),
        }
    }

    fn read(self) -> Option<BreakerOverride> {
        let (mode, expires) = (ForcedMode::parse(&self.mode)?, perhaps(self.expires)?);
        let set = moment(self.set)?;
        let Self { upstream, operation, reason, set_by, .. } = self;
        Some(BreakerOverride { upstream, operation, mode, reason, expires, set, set_by })
    }
}

#[derive(Serialize, Deserialize)]
struct KeptUser {
    id: String,
    email: String,
    name: String,
    role: String,
    disabled: bool,
    epoch: i64,
    created: i64,
    updated: i64,
    version: i64,
}

impl KeptUser {
    fn of(it: &User) -> Self {
        Self {
            id: it.id.to_string(),
            email: it.email.as_str().to_owned(),
            name: it.name.clone(),
            role: it.role.as_str().to_owned(),
            disabled: it.disabled,
            epoch: it.epoch,
            created: micros(it.created),
            updated: micros(it.updated),
            version: it.version,
        }
    }

    fn read(self) -> Option<User> {
        let (id, email) = (Uuid::parse_str(&self.id).ok()?, Email::parse(&self.email)?);
        let (created, updated) = (moment(self.created)?, moment(self.updated)?);
        let role = Role::parse(&self.role)?;
        let Self { name, disabled, epoch, version, .. } = self;
        Some(User { id, email, name, role, disabled, epoch, created, updated, version })
    }
}

#[derive(Serialize, Deserialize)]
struct KeptAccount {
    id: String,
    name: String,
    role: Option<String>,
    class: String,
    disabled: bool,
    created: i64,
    updated: i64,
    version: i64,
}

impl KeptAccount {
    fn of(it: &ServiceAccount) -> Self {
        Self {
            id: it.id.to_string(),
            name: it.name.clone(),
            role: it.role.map(|role| role.as_str().to_owned()),
            class: it.class.as_str().to_owned(),
            disabled: it.disabled,
            created: micros(it.created),
            updated: micros(it.updated),
            version: it.version,
        }
    }

    fn read(self) -> Option<ServiceAccount> {
        let role = match self.role {
            Some(role) => Some(Role::parse(&role)?),
            None => None,
        };
        let (id, class) = (Uuid::parse_str(&self.id).ok()?, Class::parse(&self.class)?);
        let (created, updated) = (moment(self.created)?, moment(self.updated)?);
        let Self { name, disabled, version, .. } = self;
        Some(ServiceAccount { id, name, role, class, disabled, created, updated, version })
    }
}

#[derive(Serialize, Deserialize)]
struct KeptKey {
    id: String,
    service_account: String,
    name: String,
    hash: String,
    created: i64,
    expires: Option<i64>,
    last_used: Option<i64>,
    revoked: Option<i64>,
}

impl KeptKey {
    fn of(it: &ApiKeyRecord) -> Self {
        Self {
            id: it.id.to_string(),
            service_account: it.service_account.to_string(),
            name: it.name.clone(),
            hash: STANDARD.encode(it.hash),
            created: micros(it.created),
            expires: it.expires.map(micros),
            last_used: it.last_used.map(micros),
            revoked: it.revoked.map(micros),
        }
    }

    fn read(self) -> Option<ApiKeyRecord> {
        Some(ApiKeyRecord {
            id: Uuid::parse_str(&self.id).ok()?,
            service_account: Uuid::parse_str(&self.service_account).ok()?,
            name: self.name,
            hash: STANDARD.decode(&self.hash).ok()?.try_into().ok()?,
            created: moment(self.created)?,
            expires: perhaps(self.expires)?,
            last_used: perhaps(self.last_used)?,
            revoked: perhaps(self.revoked)?,
        })
    }
}
