//! Upstreams of the cluster: each with the version that was last in force, which serves on while a newer one is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;
use time::OffsetDateTime;

use super::merge::Merged;
use crate::error::Fault;
use crate::gateway::credentials::FIELD;
use crate::identity::envelope::{self, Context};
use crate::identity::ring::KeyRing;
use crate::models::custom_resource::{
    ClusterSecret, CustomResource, HEADER_ANNOTATION, Leave, ORIGIN_ANNOTATION, ResourceId, SecretReference,
    secret_reference,
};
use crate::models::document::{self, Rules};
use crate::models::policy::Upstream;
use crate::models::registration::SealedCredential;

/// Who set a credential that comes out of a Secret.
const SET_BY: &str = "kubernetes";

/// Every Upstream of the cluster that is known.
#[derive(Default)]
pub(super) struct Resources {
    pub(super) known: BTreeMap<ResourceId, Known>,
}

/// One of them.
pub(super) struct Known {
    pub(super) name: String,
    uid: String,
    pub(super) generation: i64,
    pub(super) spec: Arc<Value>,
    pub(super) read: Result<Version, Vec<Fault>>,
    /// What was in force last.
    pub(super) good: Option<Version>,
}

/// A version that can be read, with what its Secret held.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Version {
    pub(super) generation: i64,
    pub(super) upstream: Upstream,
    pub(super) secret: SecretStanding,
    pub(super) sealed: Option<SealedSecret>,
}

/// What came out of a Secret.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SealedSecret {
    /// The Secret's own.
    version: String,
    pub(super) credential: SealedCredential,
}

/// Whether the Secret that an Upstream names can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretStanding {
    /// It names none.
    Unnamed,
    /// Its value goes into calls.
    Attached,
    /// It could not be looked at.
    Unread(String),
    /// Secrets of its namespace are not Levee's to read.
    Closed,
    /// There is no such Secret.
    Missing,
    /// It has no such key, or no text there.
    NoSuchKey,
    /// It does not say that it may go where the document sends it: the annotations it lacks.
    Unbound(String),
}

/// A version that was in force, as it is kept on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptResource {
    /// The object.
    pub id: ResourceId,
    /// What calls name it by.
    pub name: String,
    /// The object's own.
    pub uid: String,
    /// The version.
    pub generation: i64,
    /// The document.
    pub spec: Arc<Value>,
    /// The credential out of its Secret, and the Secret's version.
    pub sealed: Option<(String, SealedCredential)>,
}

impl Resources {
    /// What there is now, in place of what there was. A version that was read already is not read again.
    pub(super) fn replace(&mut self, resources: Vec<CustomResource>, rules: &Rules, ring: &KeyRing) {
        let mut before = std::mem::take(&mut self.known);
        for resource in resources {
            let known = before.remove(&resource.id).filter(|known| known.uid == resource.uid);
            let next = Known::next(known, &resource, rules, ring);
            self.known.insert(resource.id, next);
        }
    }

    /// Begins with what was in force when it was kept. One that this version of Levee cannot read is left out.
    pub(super) fn begin_with(&mut self, kept: &[KeptResource], rules: &Rules) {
        for kept in kept {
            let KeptResource { id, name, uid, generation, spec, sealed } = kept.clone();
            let reference = secret_reference(&spec);
            let resource = CustomResource {
                id: id.clone(),
                name: name.clone(),
                uid: uid.clone(),
                generation,
                spec: Value::clone(&spec),
                secret: ClusterSecret::Unnamed,
            };
            let read = document::read_resource(&resource, rules).map(|upstream| Version {
                generation,
                upstream,
                secret: standing_of_kept(reference.as_ref(), sealed.is_some()),
                sealed: sealed.map(|(version, credential)| SealedSecret { version, credential }),
            });
            let good = read.as_ref().ok().cloned();
            self.known.insert(id, Known { name, uid, generation, spec, read, good });
        }
    }

    /// What took effect is what serves on when the next version is wrong.
    pub(super) fn note_good(&mut self, merged: &Merged) {
        for (id, known) in &mut self.known {
            let accepted = merged.resources.get(id).is_some_and(|report| report.accepted);
            if let (true, Ok(version)) = (accepted, &known.read) {
                known.good = Some(version.clone());
            }
        }
    }

    /// What is to be kept on disk.
    pub(super) fn to_keep(&self) -> Vec<KeptResource> {
        let good = self.known.iter().filter_map(|(id, known)| Some((id, known, known.good.as_ref()?)));
        good.map(|(id, known, good)| KeptResource {
            id: id.clone(),
            name: known.name.clone(),
            uid: known.uid.clone(),
            generation: good.generation,
            spec: Arc::clone(&good.upstream.spec),
            sealed: good.sealed.as_ref().map(|sealed| (sealed.version.clone(), sealed.credential.clone())),
        })
        .collect()
    }
}

fn standing_of_kept(reference: Option<&SecretReference>, sealed: bool) -> SecretStanding {
    match (reference, sealed) {
        (None, _) => SecretStanding::Unnamed,
        (Some(_), true) => SecretStanding::Attached,
        (Some(_), false) => SecretStanding::Unread("it was not there when the snapshot was kept".to_owned()),
    }
}

impl Known {
    fn next(before: Option<Self>, resource: &CustomResource, rules: &Rules, ring: &KeyRing) -> Self {
        let CustomResource { name, uid, generation, spec, secret, .. } = resource;
        let same = before.as_ref().filter(|before| before.generation == *generation);
        let read = same.map_or_else(
            || document::read_resource(resource, rules),
            |same| same.read.as_ref().map(|version| version.upstream.clone()).map_err(Clone::clone),
        );
        let sealed_before = |before: &Self| before.read.as_ref().ok()?.sealed.clone();
        let last_sealed = before.as_ref().and_then(sealed_before);
        let mut good = before.and_then(|before| before.good);
        let last_sealed = last_sealed.or_else(|| good.as_ref()?.sealed.clone());
        let read = read.map(|upstream| {
            Version {
                generation: *generation,
                upstream,
                secret: SecretStanding::Unnamed,
                sealed: last_sealed,
            }
            .with_secret(secret, ring)
        });
        // The version that serves on may name another Secret: that one is no longer looked at.
        if let Some(last) = good.take() {
            let names_the_same = secret_reference(&last.upstream.spec) == secret_reference(spec);
            good = Some(if names_the_same { last.with_secret(secret, ring) } else { last });
        }
        let spec = read
            .as_ref()
            .map_or_else(|_| Arc::new(spec.clone()), |version| Arc::clone(&version.upstream.spec));
        Self { name: name.clone(), uid: uid.clone(), generation: *generation, spec, read, good }
    }
}

impl Version {
    /// With what its Secret holds now. Sealed anew only where the Secret or where it goes is another: a credential that
    /// stays the same disturbs nothing.
    fn with_secret(mut self, secret: &ClusterSecret, ring: &KeyRing) -> Self {
        let before = self.sealed.take();
        let binding =
            self.upstream.credentials.as_ref().map(|credentials| credentials.binding(&self.upstream.url));
        let kept = |sealed: &SealedSecret| Some(&sealed.credential.binding) == binding.as_ref();
        (self.secret, self.sealed) = match (secret, &binding) {
            (ClusterSecret::Unnamed, _) | (_, None) => (SecretStanding::Unnamed, None),
            (ClusterSecret::Unread(why), _) => match before.filter(kept) {
                Some(sealed) => (SecretStanding::Attached, Some(sealed)),
                None => (SecretStanding::Unread(why.clone()), None),
            },
            (ClusterSecret::Closed, _) => (SecretStanding::Closed, None),
            (ClusterSecret::Missing, _) => (SecretStanding::Missing, None),
            (ClusterSecret::NoSuchKey, _) => (SecretStanding::NoSuchKey, None),
            (ClusterSecret::Found { value, version, leave }, Some(binding)) => {
                if let Some(missing) = lacking(&self.upstream, leave) {
                    (SecretStanding::Unbound(missing), None)
                } else {
                    let same = before.filter(|sealed| kept(sealed) && sealed.version == *version);
                    let sealed =
                        same.unwrap_or_else(|| seal(&self.upstream.name, binding, value, version, ring));
                    (SecretStanding::Attached, Some(sealed))
                }
            }
        };
        self
    }
}

/// The annotations by which the Secret's owner would let it go where the document sends it.
fn lacking(upstream: &Upstream, leave: &Leave) -> Option<String> {
    let credentials = upstream.credentials.as_ref()?;
    let (mut origins, header) = (credentials.origins(&upstream.url), credentials.header().as_str());
    origins.retain(|origin| !leave.origins.contains(origin));
    let mut lacking = Vec::new();
    if !origins.is_empty() {
        lacking.push(format!("{ORIGIN_ANNOTATION}: {}", origins.join(" ")));
    }
    if !leave.headers.iter().any(|named| named == header) {
        lacking.push(format!("{HEADER_ANNOTATION}: {header}"));
    }
    (!lacking.is_empty()).then(|| lacking.join(", "))
}

fn seal(owner: &str, binding: &str, value: &SecretString, version: &str, ring: &KeyRing) -> SealedSecret {
    let sealed = envelope::seal(ring, Context { owner, binding, field: FIELD, version: 0 }, value);
    let credential = SealedCredential {
        upstream: owner.to_owned(),
        binding: binding.to_owned(),
        version: 0,
        kid: sealed.kid,
        sealed: sealed.bytes,
        updated: OffsetDateTime::now_utc(),
        updated_by: SET_BY.to_owned(),
    };
    SealedSecret { version: version.to_owned(), credential }
}

#[cfg(test)]
mod tests;
