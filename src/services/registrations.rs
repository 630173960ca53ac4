//! Upstreams over the API: registered, replaced, rolled back, taken away; those of files and of the cluster are shown.
//!
//! Reading asks what is in force, so it works while the database is away. A write ends when it is in force here.

use std::sync::Arc;

use serde_json::Value;

use super::authority::demand;
use super::publication::{Entry, Publisher, Source};
use crate::error::{Failure, Fault};
use crate::models::page::{Page, PageRequest};
use crate::models::principal::{Actor, Principal, Role};
use crate::models::registration::{Registration, RevisionAction, UpstreamRevision};
use crate::repositories::{Changed, Store, StoreError};

/// The API has an operation at the path of an upstream of this name, so nobody could read, change or delete it.
const RESERVED: &str = "validate";

/// Where a document comes from, and which state of it this is.
#[derive(Debug, Clone, PartialEq)]
pub enum Provenance {
    /// A watched file, which alone can change it.
    File {
        /// File and line.
        place: String,
        /// The revision of an upstream of the same name that came over the API and does not count.
        hides: Option<u64>,
    },
    /// An Upstream of the cluster, which alone can change it.
    CustomResource {
        /// Namespace and name.
        place: String,
        /// The revision of an upstream of the same name that came over the API and does not count.
        hides: Option<u64>,
    },
    /// The API.
    Api(Box<Registration>),
}

/// Whether the secret that a document speaks of is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialState {
    /// None was set.
    Missing,
    /// It is added to calls.
    Attached,
    /// It was set for another origin or header and goes nowhere until it is set again.
    Detached,
}

/// One upstream, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamReport {
    /// Its name.
    pub name: String,
    /// Its document's `spec`, as given.
    pub spec: Value,
    /// Where that comes from.
    pub provenance: Provenance,
    /// Calls find it.
    pub in_force: bool,
    /// What is wrong with it; pointers as into `{name, spec}`.
    pub faults: Vec<Fault>,
    /// The stored secret, where the document has a `credentials` block.
    pub credentials: Option<CredentialState>,
}

/// Registers upstreams.
#[derive(Clone)]
pub struct RegistrationsService {
    store: Store,
    publisher: Arc<Publisher>,
}

impl RegistrationsService {
    /// Over the database and what is in force.
    pub fn new(store: Store, publisher: Arc<Publisher>) -> Self {
        Self { store, publisher }
    }

    /// Upstreams of every source by name.
    pub fn list(
        &self,
        principal: &Principal,
        page: &PageRequest<String>,
    ) -> Result<Page<UpstreamReport, String>, Failure> {
        demand(principal, Role::Viewer)?;
        let published = self.publisher.published();
        let entries = published.merged.entries.iter();
        let after = entries.filter(|(name, _)| page.after.as_ref().is_none_or(|after| *name > after));
        let reports = after.take(page.limit as usize + 1);
        let reports = reports.map(|(name, entry)| self.report(name, entry)).collect();
        Ok(Page::of(reports, page.limit, |report| report.name.clone()))
    }

    /// One upstream.
    pub fn get(&self, principal: &Principal, name: &str) -> Result<UpstreamReport, Failure> {
        demand(principal, Role::Viewer)?;
        let published = self.publisher.published();
        let entry = published.merged.entries.get(name).ok_or_else(|| unknown(name))?;
        Ok(self.report(name, entry))
    }

    /// Every wrong place of a document, alone and among the others; none when it could be stored.
    pub fn validate(&self, principal: &Principal, name: &str, spec: &Value) -> Result<Vec<Fault>, Failure> {
        demand(principal, Role::Viewer)?;
        let mut faults = self.publisher.judge(name, spec).err().unwrap_or_default();
        if let Some(place) = self.elsewhere(name) {
            let detail = format!("this upstream is defined at {place}, which hides what the API stores");
            faults.push(Fault { pointer: "/name".to_owned(), detail });
        }
        Ok(faults)
    }

    /// Registers an upstream.
    pub async fn create(
        &self,
        principal: &Principal,
        actor: Actor,
        name: String,
        spec: Value,
    ) -> Result<UpstreamReport, Failure> {
        demand(principal, Role::Operator)?;
        if name == RESERVED {
            return Err(Failure::invalid("/name", "is where documents are judged; take another"));
        }
        self.refuse_of_elsewhere(&name)?;
        self.publisher.judge(&name, &spec).map_err(Failure::invalid_at)?;
        let changed = self.store.create_upstream(name, spec, actor).await?;
        Ok(self.in_force(changed).await)
    }

    /// Replaces a document. `expected` is the revision the writer read; `None` replaces whatever is there.
    pub async fn replace(
        &self,
        principal: &Principal,
        actor: Actor,
        name: String,
        spec: Value,
        expected: Option<u64>,
    ) -> Result<UpstreamReport, Failure> {
        demand(principal, Role::Operator)?;
        self.refuse_of_elsewhere(&name)?;
        self.refuse_unknown(&name).await?;
        self.publisher.judge(&name, &spec).map_err(Failure::invalid_at)?;
        self.put(name, spec, expected, RevisionAction::Replaced, actor).await
    }

    /// Puts an earlier document back.
    pub async fn roll_back(
        &self,
        principal: &Principal,
        actor: Actor,
        name: String,
        revision: u64,
        expected: Option<u64>,
    ) -> Result<UpstreamReport, Failure> {
        demand(principal, Role::Operator)?;
        self.refuse_of_elsewhere(&name)?;
        self.refuse_unknown(&name).await?;
        let missing = || Failure::invalid("/revision", "is not in the history of this upstream");
        let earlier = match self.store.upstream_revision(name.clone(), revision).await {
            Err(StoreError::NotFound) => return Err(missing()),
            found => found?,
        };
        let spec = earlier.spec.ok_or_else(|| Failure::invalid("/revision", "took the upstream away"))?;
        self.publisher.judge(&name, &spec).map_err(|faults| no_longer_valid(revision, &faults))?;
        self.put(name, spec, expected, RevisionAction::RolledBack, actor).await
    }

    /// Takes an upstream away; its history stays.
    pub async fn delete(
        &self,
        principal: &Principal,
        actor: Actor,
        name: String,
        expected: Option<u64>,
    ) -> Result<(), Failure> {
        demand(principal, Role::Operator)?;
        self.refuse_of_elsewhere(&name)?;
        let leaning = self.publisher.published().merged.leaning_on(&name);
        if !leaning.is_empty() {
            let leaning = leaning.join(", ");
            return Err(Failure::conflict(format!(
                "It is a fallback of {leaning}. Change that first, or calls of {leaning} lose it."
            )));
        }
        let deleted = self.store.delete_upstream(name.clone(), expected, actor).await;
        let changed = deleted.map_err(|error| named(error, &name))?;
        self.publisher.reached(changed.revision).await;
        Ok(())
    }

    /// The history of a name, the newest first; it outlives the upstream.
    pub async fn revisions(
        &self,
        principal: &Principal,
        name: String,
        page: PageRequest<u64>,
    ) -> Result<Page<UpstreamRevision, u64>, Failure> {
        demand(principal, Role::Viewer)?;
        let first = page.after.is_none();
        let revisions = self.store.upstream_revisions(name.clone(), page).await?;
        if revisions.items.is_empty() && first && !self.is_published(&name) {
            return Err(unknown(&name));
        }
        Ok(revisions)
    }

    async fn put(
        &self,
        name: String,
        spec: Value,
        expected: Option<u64>,
        action: RevisionAction,
        actor: Actor,
    ) -> Result<UpstreamReport, Failure> {
        let replaced = self.store.replace_upstream(name.clone(), spec, expected, action, actor).await;
        let changed = replaced.map_err(|error| named(error, &name))?;
        Ok(self.in_force(changed).await)
    }

    /// What a writer made, after it took effect here.
    async fn in_force(&self, changed: Changed<Registration>) -> UpstreamReport {
        self.publisher.reached(changed.revision).await;
        let registration = changed.value;
        let published = self.publisher.published();
        let entry = published.merged.entries.get(&registration.name);
        // A later write may be in force already, or this one not yet: the answer is what this writer made.
        UpstreamReport {
            name: registration.name.clone(),
            spec: registration.spec.clone(),
            in_force: entry.is_some_and(|entry| entry.in_force),
            faults: entry.map(|entry| entry.faults.clone()).unwrap_or_default(),
            credentials: entry.and_then(|entry| self.credential_state(&registration.name, entry)),
            provenance: Provenance::Api(Box::new(registration)),
        }
    }

    fn report(&self, name: &str, entry: &Entry) -> UpstreamReport {
        let spec = match (&entry.upstream, &entry.resource, &entry.registration) {
            (Some(upstream), ..) => Value::clone(&upstream.spec),
            (None, Some(resource), _) => Value::clone(&resource.spec),
            (None, None, Some(registration)) => registration.spec.clone(),
            (None, None, None) => Value::Null,
        };
        let hides = entry.registration.as_ref().map(|hidden| hidden.revision);
        let provenance = match (entry.source, &entry.registration) {
            (Source::Api, Some(registration)) => Provenance::Api(Box::new(registration.clone())),
            (Source::CustomResource, _) => Provenance::CustomResource { place: entry.place(), hides },
            _ => Provenance::File { place: entry.place(), hides },
        };
        UpstreamReport {
            name: name.to_owned(),
            spec,
            provenance,
            in_force: entry.in_force,
            faults: entry.faults.clone(),
            credentials: self.credential_state(name, entry),
        }
    }

    fn credential_state(&self, name: &str, entry: &Entry) -> Option<CredentialState> {
        let upstream = entry.upstream.as_ref()?;
        let binding = upstream.credentials.as_ref()?.binding(&upstream.url);
        let published = self.publisher.published();
        Some(match published.merged.credential(name, &published.stored) {
            None => CredentialState::Missing,
            Some(credential) if credential.binding == binding => CredentialState::Attached,
            Some(_) => CredentialState::Detached,
        })
    }

    fn is_published(&self, name: &str) -> bool {
        self.publisher.published().merged.entries.contains_key(name)
    }

    /// Where it is defined, when that is not the API.
    fn elsewhere(&self, name: &str) -> Option<String> {
        let published = self.publisher.published();
        let entry = published.merged.entries.get(name).filter(|entry| entry.source != Source::Api)?;
        Some(entry.place())
    }

    fn refuse_of_elsewhere(&self, name: &str) -> Result<(), Failure> {
        let Some(place) = self.elsewhere(name) else { return Ok(()) };
        Err(Failure::conflict(format!("Upstream \"{name}\" is defined at {place}. Change it there.")))
    }

    /// Before the document is judged, so that a name that does not exist is told first. Another replica may have
    /// registered it a moment ago.
    async fn refuse_unknown(&self, name: &str) -> Result<(), Failure> {
        if self.is_published(name) {
            return Ok(());
        }
        let found = self.store.upstream(name.to_owned()).await;
        found.map(|_| ()).map_err(|error| named(error, name))
    }
}

fn unknown(name: &str) -> Failure {
    Failure::not_found(format!("There is no upstream \"{name}\"."))
}

fn named(error: StoreError, name: &str) -> Failure {
    match error {
        StoreError::NotFound => unknown(name),
        error => error.into(),
    }
}

fn no_longer_valid(revision: u64, faults: &[Fault]) -> Failure {
    let lines: Vec<_> = faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail)).collect();
    Failure::conflict(format!("Revision {revision} is not valid any more: {}", lines.join("; ")))
}
