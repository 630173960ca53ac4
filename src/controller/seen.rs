//! What the API server said last: Upstreams, and the Secrets they name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::watch;

use super::cluster::{Cluster, Trouble};
use super::standing::Standing;
use super::watch::Follower;
use super::{Scope, secrets};
use crate::models::custom_resource::{
    ClusterSecret, CustomResource, Leave, ResourceId, SecretReference, name_of, secret_reference,
};

/// Which entry of which Secret.
pub(super) type SecretKey = (String, SecretReference);

/// Everything that was said.
#[derive(Default)]
pub(super) struct Seen {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Watches that have begun, by number: whether each has listed, or was in trouble before it could.
    begun: BTreeMap<usize, Progress>,
    objects: BTreeMap<ResourceId, Object>,
    secrets: BTreeMap<SecretKey, SecretSeen>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Begun,
    Troubled,
    Listed,
}

/// One Upstream.
pub(super) struct Object {
    watch: usize,
    pub(super) uid: String,
    generation: i64,
    spec: Value,
    /// As it was written last, by whichever leader.
    pub(super) status: Value,
}

/// One entry of a Secret.
pub(super) enum SecretSeen {
    /// Nobody has answered yet.
    Pending,
    /// It could not be looked at so far.
    Troubled(String),
    Absent,
    Present {
        /// What stands under the key, where that is a text.
        value: Option<Arc<SecretString>>,
        version: String,
        leave: Leave,
    },
}

impl Seen {
    /// Told of every change but those of a status.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Ends when `holds` does.
    pub(super) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let mut changes = self.subscribe();
        while !holds(self) {
            changes.changed().await.ok();
        }
    }

    /// Everything that is watched was listed once.
    pub(super) fn is_listed(&self) -> bool {
        let state = self.state.lock();
        !state.begun.is_empty() && state.begun.values().all(|progress| *progress == Progress::Listed)
    }

    /// Something that is watched could not be listed yet.
    pub(super) fn is_troubled(&self) -> bool {
        self.state.lock().begun.values().any(|progress| *progress == Progress::Troubled)
    }

    /// Every Secret that may be read was looked at, or cannot be.
    pub(super) fn has_looked_at_secrets(&self, scope: &Scope, cluster: &Cluster) -> bool {
        let wanted = self.wanted_secrets(scope, cluster);
        let state = self.state.lock();
        wanted.iter().all(|key| !matches!(state.secrets.get(key), None | Some(SecretSeen::Pending)))
    }

    /// Entries of Secrets that Upstreams name and that may be read.
    pub(super) fn wanted_secrets(&self, scope: &Scope, cluster: &Cluster) -> BTreeSet<SecretKey> {
        let state = self.state.lock();
        let readable =
            state.objects.iter().filter(|(id, _)| scope.reads_secrets_of(&id.namespace, cluster.namespace()));
        let named =
            readable.filter_map(|(id, object)| Some((id.namespace.clone(), secret_reference(&object.spec)?)));
        named.take(secrets::MOST).collect()
    }

    /// What is to be published.
    pub(super) fn resources(&self, scope: &Scope, cluster: &Cluster) -> Vec<CustomResource> {
        let state = self.state.lock();
        let one = |(id, object): (&ResourceId, &Object)| CustomResource {
            id: id.clone(),
            name: name_of(id, cluster.namespace()),
            uid: object.uid.clone(),
            generation: object.generation,
            spec: object.spec.clone(),
            secret: match secret_reference(&object.spec) {
                None => ClusterSecret::Unnamed,
                Some(_) if !scope.reads_secrets_of(&id.namespace, cluster.namespace()) => {
                    ClusterSecret::Closed
                }
                Some(reference) => state.secret(&(id.namespace.clone(), reference)),
            },
        };
        state.objects.iter().map(one).collect()
    }

    /// Reads one Upstream.
    pub(super) fn object<T>(&self, id: &ResourceId, read: impl FnOnce(&Object) -> T) -> Option<T> {
        self.state.lock().objects.get(id).map(read)
    }

    /// From now on an entry of a Secret is looked at, or no longer.
    pub(super) fn set_secret(&self, key: &SecretKey, seen: Option<SecretSeen>) {
        let mut state = self.state.lock();
        match seen {
            Some(seen) => state.secrets.insert(key.clone(), seen),
            None => state.secrets.remove(key),
        };
        drop(state);
        self.changed();
    }

    /// What is known stays: trouble is for what is not known.
    pub(super) fn secret_in_trouble(&self, key: &SecretKey, trouble: &Trouble) {
        let known = matches!(
            self.state.lock().secrets.get(key),
            Some(SecretSeen::Absent | SecretSeen::Present { .. })
        );
        if !known {
            self.set_secret(key, Some(SecretSeen::Troubled(trouble.to_string())));
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl State {
    fn secret(&self, key: &SecretKey) -> ClusterSecret {
        match self.secrets.get(key) {
            None | Some(SecretSeen::Pending) => ClusterSecret::Unread("it was not looked at yet".to_owned()),
            Some(SecretSeen::Troubled(why)) => ClusterSecret::Unread(why.clone()),
            Some(SecretSeen::Absent) => ClusterSecret::Missing,
            Some(SecretSeen::Present { value: None, .. }) => ClusterSecret::NoSuchKey,
            Some(SecretSeen::Present { value: Some(value), version, leave }) => ClusterSecret::Found {
                value: Arc::clone(value),
                version: version.clone(),
                leave: leave.clone(),
            },
        }
    }

    /// Whether there is something to publish: a new status alone is none.
    fn apply(&mut self, watch: usize, object: DynamicObject) -> bool {
        let DynamicObject { metadata, mut data, .. } = object;
        let (Some(namespace), Some(name)) = (metadata.namespace, metadata.name) else { return false };
        let mut take = |field: &str| data.get_mut(field).map(Value::take).unwrap_or_default();
        let object = Object {
            watch,
            uid: metadata.uid.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            spec: take("spec"),
            status: take("status"),
        };
        let id = ResourceId { namespace, object: name };
        let version = |object: &Object| (object.uid.clone(), object.generation);
        let same = self.objects.get(&id).is_some_and(|before| version(before) == version(&object));
        self.objects.insert(id, object);
        !same
    }
}

/// What one watch of Upstreams tells.
pub(super) struct Objects {
    seen: Arc<Seen>,
    standing: Arc<Standing>,
    watch: usize,
    what: String,
}

impl Objects {
    pub(super) fn new(seen: Arc<Seen>, standing: Arc<Standing>, watch: usize, what: String) -> Self {
        seen.state.lock().begun.insert(watch, Progress::Begun);
        Self { seen, standing, watch, what }
    }
}

impl Follower<DynamicObject> for Objects {
    fn listed(&self, all: Vec<DynamicObject>) {
        let mut state = self.seen.state.lock();
        state.objects.retain(|_, object| object.watch != self.watch);
        for object in all {
            state.apply(self.watch, object);
        }
        state.begun.insert(self.watch, Progress::Listed);
        drop(state);
        self.seen.changed();
    }

    fn applied(&self, one: DynamicObject) {
        let changed = self.seen.state.lock().apply(self.watch, one);
        if changed {
            self.seen.changed();
        }
    }

    fn deleted(&self, one: DynamicObject) {
        let (Some(namespace), Some(object)) = (one.metadata.namespace, one.metadata.name) else { return };
        self.seen.state.lock().objects.remove(&ResourceId { namespace, object });
        self.seen.changed();
    }

    fn in_contact(&self) {
        self.standing.in_contact(&self.what);
    }

    fn in_trouble(&self, trouble: Trouble) {
        self.standing.in_trouble(&self.what, trouble);
        let mut state = self.seen.state.lock();
        if state.begun.get(&self.watch) == Some(&Progress::Begun) {
            state.begun.insert(self.watch, Progress::Troubled);
            drop(state);
            self.seen.changed();
        }
    }
}

/// What the watch of one Secret tells.
pub(super) struct OneSecret {
    seen: Arc<Seen>,
    key: SecretKey,
}

impl OneSecret {
    pub(super) fn new(seen: Arc<Seen>, key: SecretKey) -> Self {
        seen.set_secret(&key, Some(SecretSeen::Pending));
        Self { seen, key }
    }
}

impl Follower<Secret> for OneSecret {
    fn listed(&self, mut all: Vec<Secret>) {
        let found = all.pop().map_or(SecretSeen::Absent, |one| secrets::read(one, &self.key.1.key));
        self.seen.set_secret(&self.key, Some(found));
    }

    fn applied(&self, one: Secret) {
        self.seen.set_secret(&self.key, Some(secrets::read(one, &self.key.1.key)));
    }

    fn deleted(&self, _: Secret) {
        self.seen.set_secret(&self.key, Some(SecretSeen::Absent));
    }

    fn in_contact(&self) {}

    fn in_trouble(&self, trouble: Trouble) {
        self.seen.secret_in_trouble(
            &self.key,
            &trouble.about(&format!("Secret {}/{}", self.key.0, self.key.1.name)),
        );
    }
}
