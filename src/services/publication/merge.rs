//! Three sources become one set: a custom resource hides a file of the same name, a file what came over the API, and
//! what cannot be in force is left out by name, so that it takes nothing else down.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::resources::{Known, Resources, SecretStanding, Version};
use crate::error::Fault;
use crate::models::custom_resource::{ResourceId, secret_reference};
use crate::models::document::{self, Rules};
use crate::models::fault;
use crate::models::policy::Upstream;
use crate::models::registration::{Registration, SealedCredential, Stored};

/// What contradicts, and who gives way.
mod contradictions;

/// Where an upstream's document comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An Upstream of the cluster.
    CustomResource,
    /// A watched file.
    File,
    /// The API.
    Api,
}

/// One upstream of the merged set.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Whose document counts.
    pub source: Source,
    /// What its document means; none when this version cannot read it.
    pub upstream: Option<Upstream>,
    /// Calls find it.
    pub in_force: bool,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// As the API keeps it, hidden where a file or a custom resource counts.
    pub registration: Option<Registration>,
    /// The custom resource, where that counts.
    pub resource: Option<Resource>,
    /// What the custom resource hides, for the day it cannot be in force.
    hidden: Option<Box<Entry>>,
}

/// What an entry has from its custom resource.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The object.
    pub id: ResourceId,
    /// The latest document, in force or not.
    pub spec: Arc<Value>,
    /// Its credential is a Secret's, and the API cannot set it.
    pub names_secret: bool,
    /// That credential, sealed.
    pub sealed: Option<SealedCredential>,
    /// What was in force before the latest version, for the day that one contradicts.
    earlier: Option<Box<Version>>,
}

/// What is to be said of one custom resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceReport {
    /// What calls name it by.
    pub name: String,
    /// The latest version that was seen.
    pub generation: i64,
    /// That version is in force.
    pub accepted: bool,
    /// A version of it is in force, this or an earlier one.
    pub in_force: bool,
    /// What is wrong with the latest version, or with what it leans on; pointers as into `{name, spec}`.
    pub faults: Vec<Fault>,
    /// The Secret it names.
    pub secret: SecretStanding,
    /// It has a `credentials` block.
    pub needs_credential: bool,
    /// Where the document of the same name stands that it hides.
    pub hides: Option<String>,
}

/// Every upstream by name.
#[derive(Debug, Default)]
pub struct Merged {
    /// In the order of their names.
    pub entries: BTreeMap<String, Entry>,
    /// Every custom resource, in force or not.
    pub resources: BTreeMap<ResourceId, ResourceReport>,
}

/// Stored documents that were read once already, by name and revision.
#[derive(Default)]
pub(super) struct Documents(HashMap<String, (u64, Result<Upstream, Vec<Fault>>)>);

impl Documents {
    fn read(&mut self, registration: &Registration, rules: &Rules) -> Result<Upstream, Vec<Fault>> {
        let known = self.0.get(&registration.name).filter(|(revision, _)| *revision == registration.revision);
        if let Some((_, read)) = known {
            return read.clone();
        }
        let read = document::read_given(&registration.name, &registration.spec, rules);
        self.0.insert(registration.name.clone(), (registration.revision, read.clone()));
        read
    }
}

impl Merged {
    pub(super) fn of(
        resources: &Resources,
        files: &[Upstream],
        stored: &[Registration],
        documents: &mut Documents,
        rules: &Rules,
    ) -> Self {
        documents.0.retain(|name, _| stored.iter().any(|registration| registration.name == *name));
        let mut merged = Self::default();
        for registration in stored {
            let entry = Entry::of_api(registration, documents.read(registration, rules));
            merged.entries.insert(registration.name.clone(), entry);
        }
        for upstream in files {
            let hidden = merged.entries.remove(&upstream.name).and_then(|entry| entry.registration);
            merged.entries.insert(upstream.name.clone(), Entry::of_file(upstream, hidden));
        }
        for (id, known) in &resources.known {
            merged.add_resource(id, known);
        }
        merged.note_what_contradicts();
        merged
    }

    /// A resource of which no version can be read hides nothing.
    fn add_resource(&mut self, id: &ResourceId, known: &Known) {
        let version = known.read.as_ref().ok().or(known.good.as_ref());
        let mut report = ResourceReport {
            name: known.name.clone(),
            generation: known.generation,
            accepted: known.read.is_ok(),
            in_force: version.is_some(),
            faults: known.read.as_ref().err().cloned().unwrap_or_default(),
            secret: version.map_or(SecretStanding::Unnamed, |version| version.secret.clone()),
            needs_credential: version.is_some_and(|version| version.upstream.credentials.is_some()),
            hides: None,
        };
        let hidden = self.entries.remove(&known.name);
        let entry = match (version, hidden) {
            (None, Some(other)) => other,
            (version, hidden) => {
                report.hides = hidden.as_ref().map(Entry::place);
                Entry::of_resource(id, known, version, hidden)
            }
        };
        self.entries.insert(known.name.clone(), entry);
        self.resources.insert(id.clone(), report);
    }

    /// Names of upstreams that calls cannot find, for what is wrong with them.
    pub fn left_out(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|(_, entry)| !entry.in_force).map(|(name, _)| name.as_str())
    }

    /// The upstreams that calls find.
    pub(super) fn in_force(&self) -> impl Iterator<Item = &Upstream> + Clone {
        self.entries.values().filter(|entry| entry.in_force).filter_map(|entry| entry.upstream.as_ref())
    }

    /// What may be sent to them: stored credentials, but for those that a Secret of the cluster takes the place of.
    pub(super) fn credentials<'a>(
        &'a self,
        stored: &'a Stored,
    ) -> impl Iterator<Item = &'a SealedCredential> {
        let of_secret = |name: &str| self.entries.get(name).is_some_and(Entry::names_secret);
        let kept = stored.credentials.iter().filter(move |kept| !of_secret(&kept.upstream));
        let resources = self.entries.values().filter_map(|entry| entry.resource.as_ref());
        kept.chain(resources.filter_map(|resource| resource.sealed.as_ref()))
    }

    /// The credential of one upstream.
    pub fn credential<'a>(&'a self, name: &str, stored: &'a Stored) -> Option<&'a SealedCredential> {
        let entry = self.entries.get(name)?;
        match entry.resource.as_ref().filter(|resource| resource.names_secret) {
            Some(resource) => resource.sealed.as_ref(),
            None => stored.credentials.iter().find(|kept| kept.upstream == name),
        }
    }

    /// Logs what is wrong and was not before.
    pub(super) fn tell_what_is_new(&self, before: &Self) {
        for (name, entry) in self.entries.iter().filter(|(_, entry)| entry.source == Source::Api) {
            let known = before.entries.get(name).map_or(&[][..], |entry| &entry.faults);
            for Fault { pointer, detail } in entry.faults.iter().filter(|fault| !known.contains(fault)) {
                let in_force = entry.in_force;
                tracing::error!(upstream = name, in_force, pointer, detail, "a stored upstream is faulty");
            }
        }
        for (id, report) in &self.resources {
            let ResourceReport { name, accepted, in_force, hides, .. } = report;
            let known = before.resources.get(id);
            let faults = known.map_or(&[][..], |known| &known.faults);
            for Fault { pointer, detail } in report.faults.iter().filter(|fault| !faults.contains(fault)) {
                tracing::error!(
                    resource = %id, upstream = name, accepted, in_force, pointer, detail,
                    "an Upstream of the cluster is faulty"
                );
            }
            if let Some(place) = hides.as_ref().filter(|_| known.is_none_or(|known| known.hides != *hides)) {
                tracing::warn!(resource = %id, upstream = name, place, "two sources of one name: the custom resource counts");
            }
        }
    }
}

impl Entry {
    fn of_api(registration: &Registration, read: Result<Upstream, Vec<Fault>>) -> Self {
        Self {
            source: Source::Api,
            in_force: read.is_ok(),
            faults: read.as_ref().err().cloned().unwrap_or_default(),
            upstream: read.ok(),
            registration: Some(registration.clone()),
            resource: None,
            hidden: None,
        }
    }

    fn of_file(upstream: &Upstream, hidden: Option<Registration>) -> Self {
        Self {
            source: Source::File,
            upstream: Some(upstream.clone()),
            in_force: true,
            faults: Vec::new(),
            registration: hidden,
            resource: None,
            hidden: None,
        }
    }

    fn of_resource(id: &ResourceId, known: &Known, version: Option<&Version>, hidden: Option<Self>) -> Self {
        let earlier = known
            .good
            .as_ref()
            .filter(|good| known.read.as_ref().is_ok_and(|latest| latest.generation != good.generation));
        let sealed = version.and_then(|version| version.sealed.as_ref());
        let names_secret = version.is_some_and(|version| secret_reference(&version.upstream.spec).is_some());
        Self {
            source: Source::CustomResource,
            upstream: version.map(|version| version.upstream.clone()),
            in_force: version.is_some(),
            faults: known.read.as_ref().err().cloned().unwrap_or_default(),
            registration: hidden.as_ref().and_then(|hidden| hidden.registration.clone()),
            resource: Some(Resource {
                id: id.clone(),
                spec: Arc::clone(&known.spec),
                names_secret,
                sealed: sealed.map(|sealed| sealed.credential.clone()),
                earlier: earlier.cloned().map(Box::new),
            }),
            hidden: hidden.map(Box::new),
        }
    }

    /// Where its document stands.
    pub fn place(&self) -> String {
        match (self.source, &self.resource, &self.upstream) {
            (Source::CustomResource, Some(resource), _) => resource.id.to_string(),
            (Source::Api, ..) => "the API".to_owned(),
            (_, _, upstream) => upstream.as_ref().map(|upstream| upstream.origin.clone()).unwrap_or_default(),
        }
    }

    fn names_secret(&self) -> bool {
        self.resource.as_ref().is_some_and(|resource| resource.names_secret)
    }
}

fn pointed(fault: fault::Fault) -> Fault {
    Fault { pointer: document::pointer_of(&fault.field), detail: fault.reason }
}

#[cfg(test)]
mod tests;
