//! Objects with their versions, and the changes that watches read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::applying;

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn of(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// One change, as a watch tells it.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) kind: &'static str,
    pub(super) key: Key,
    pub(super) object: Value,
}

/// Everything there is.
#[derive(Default)]
pub(super) struct Store {
    version: u64,
    uids: u64,
    objects: BTreeMap<Key, Value>,
    /// The statuses that managers applied last.
    applied: BTreeMap<(Key, String), Value>,
    changes: Vec<Change>,
    /// Changes up to this version are forgotten.
    forgotten: u64,
}

impl Store {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    pub(super) fn all<'a>(
        &'a self,
        resource: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Value> {
        let of_it = move |key: &Key| {
            key.resource == resource && namespace.is_none_or(|namespace| key.namespace == namespace)
        };
        self.objects.iter().filter(move |(key, _)| of_it(key)).map(|(_, object)| object)
    }

    /// Changes after a version; none when some of them are forgotten.
    pub(super) fn after(&self, version: u64) -> Option<Vec<Change>> {
        (version >= self.forgotten)
            .then(|| self.changes.iter().filter(|change| change.version > version).cloned().collect())
    }

    /// Forgets every change so far, as a server does after a while.
    pub(super) fn forget(&mut self) {
        self.version += 1;
        self.forgotten = self.version;
        self.changes.clear();
    }

    /// Makes an object, or replaces it but for its status.
    pub(super) fn apply(&mut self, key: Key, mut object: Value) {
        let before = self.objects.get(&key).cloned();
        // It has a path of its own.
        if key.resource == "upstreams" {
            object["status"] = before.as_ref().map(|before| before["status"].clone()).unwrap_or_default();
        }
        self.write(key, before.as_ref(), object);
    }

    /// Changes the status alone.
    pub(super) fn apply_status(&mut self, key: &Key, manager: &str, status: &Value) -> Option<Value> {
        let mut object = self.objects.get(key)?.clone();
        let before = Some(object.clone());
        let last = self.applied.insert((key.clone(), manager.to_owned()), status.clone());
        applying::apply(&mut object["status"], &last.unwrap_or_default(), status);
        // What changes nothing makes no version.
        if before.as_ref() == Some(&object) {
            return before;
        }
        self.write(key.clone(), before.as_ref(), object);
        self.objects.get(key).cloned()
    }

    /// A JSON merge patch (RFC 7396) of top-level fields.
    pub(super) fn merge(&mut self, key: &Key, patch: &Value) -> Option<Value> {
        let before = self.objects.get(key)?.clone();
        let mut object = before.clone();
        for (field, value) in patch.as_object().into_iter().flatten() {
            object[field] = value.clone();
        }
        self.write(key.clone(), Some(&before), object);
        self.objects.get(key).cloned()
    }

    pub(super) fn delete(&mut self, key: &Key) {
        let Some(mut object) = self.objects.remove(key) else { return };
        self.applied.retain(|(of, _), _| of != key);
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.changes.push(Change { version: self.version, kind: "DELETED", key: key.clone(), object });
    }

    fn write(&mut self, key: Key, before: Option<&Value>, mut object: Value) {
        self.version += 1;
        self.uids += 1;
        let metadata = |field: &str| before.map(|before| before["metadata"][field].clone());
        let same_spec = before.is_some_and(|before| before["spec"] == object["spec"]);
        let generation = metadata("generation").and_then(|generation| generation.as_u64()).unwrap_or(0);
        let written = &mut object["metadata"];
        written["namespace"] = json!(key.namespace);
        written["name"] = json!(key.name);
        written["uid"] = metadata("uid").unwrap_or_else(|| json!(self.uids.to_string()));
        written["resourceVersion"] = json!(self.version.to_string());
        if key.resource == "upstreams" {
            written["generation"] = json!(generation + u64::from(!same_spec));
        }
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.changes.push(Change { version: self.version, kind, key: key.clone(), object: object.clone() });
        self.objects.insert(key, object);
    }
}
