//! Three sources become one set: a file hides an upstream of the same name that came over the API, and what cannot be
//! in force is left out by name, so that it takes nothing else down.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::error::Fault;
use crate::gateway::snapshot::Unbuilt;
use crate::models::document::{self, Rules};
use crate::models::fault;
use crate::models::policy::Upstream;
use crate::models::registration::Registration;

/// Where an upstream's document comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
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
    /// As the API keeps it, hidden where a file counts.
    pub registration: Option<Registration>,
}

/// Every upstream by name.
#[derive(Debug, Default)]
pub struct Merged {
    /// In the order of their names.
    pub entries: BTreeMap<String, Entry>,
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
        files: &[Upstream],
        stored: &[Registration],
        documents: &mut Documents,
        rules: &Rules,
    ) -> Self {
        documents.0.retain(|name, _| stored.iter().any(|registration| registration.name == *name));
        let mut entries = BTreeMap::new();
        for registration in stored {
            let read = documents.read(registration, rules);
            let faults = read.as_ref().err().cloned().unwrap_or_default();
            let entry = Entry {
                source: Source::Api,
                in_force: read.is_ok(),
                upstream: read.ok(),
                faults,
                registration: Some(registration.clone()),
            };
            entries.insert(registration.name.clone(), entry);
        }
        for upstream in files {
            let hidden = entries.remove(&upstream.name).and_then(|entry| entry.registration);
            let entry = Entry {
                source: Source::File,
                upstream: Some(upstream.clone()),
                in_force: true,
                faults: Vec::new(),
                registration: hidden,
            };
            entries.insert(upstream.name.clone(), entry);
        }
        let mut merged = Self { entries };
        merged.note_what_contradicts();
        merged
    }

    /// Names of upstreams that calls cannot find, for what is wrong with them.
    pub fn left_out(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|(_, entry)| !entry.in_force).map(|(name, _)| name.as_str())
    }

    /// The upstreams that calls find.
    pub(super) fn in_force(&self) -> impl Iterator<Item = &Upstream> + Clone {
        self.entries.values().filter(|entry| entry.in_force).filter_map(|entry| entry.upstream.as_ref())
    }

    /// Another writer's change can leave a fallback without its upstream: that step answers nothing, and the rest
    /// stays in force. A circle cannot be run, so whoever closes it is left out.
    fn note_what_contradicts(&mut self) {
        let (mut found, mut circles) = (Vec::new(), Vec::new());
        document::check_together(self.in_force(), &mut found);
        document::check_circles(self.in_force(), &mut circles);
        for fault in found {
            let entry = fault.upstream.as_deref().and_then(|name| self.entries.get_mut(name));
            let Some(entry) = entry.filter(|entry| entry.source == Source::Api) else { continue };
            entry.in_force &= !circles.contains(&fault);
            entry.faults.push(pointed(fault));
        }
    }

    /// Goes on without an upstream of the API that cannot be built.
    pub(super) fn leave_out(&mut self, unbuilt: &Unbuilt) -> Result<(), Vec<String>> {
        match self.entries.get_mut(&unbuilt.name) {
            Some(entry) if entry.source == Source::Api && entry.in_force => {
                entry.in_force = false;
                entry.faults.push(Fault { pointer: "/spec".to_owned(), detail: unbuilt.reason.clone() });
                Ok(())
            }
            Some(Entry { upstream: Some(upstream), .. }) => {
                Err(vec![format!("{}: {unbuilt}", upstream.origin)])
            }
            _ => Err(vec![unbuilt.to_string()]),
        }
    }

    /// Logs what is wrong and was not before.
    pub(super) fn tell_what_is_new(&self, before: &Self) {
        for (name, entry) in &self.entries {
            let known = before.entries.get(name).map_or(&[][..], |entry| &entry.faults);
            for fault in entry.faults.iter().filter(|fault| !known.contains(fault)) {
                let Fault { pointer, detail } = fault;
                tracing::error!(
                    upstream = name,
                    in_force = entry.in_force,
                    pointer,
                    detail,
                    "a stored upstream is faulty"
                );
            }
        }
    }

    /// Every wrong place of a document that would be called `name`, alone and among the others.
    pub(super) fn judge(&self, name: &str, spec: &Value, rules: &Rules) -> Result<(), Vec<Fault>> {
        let upstream = document::read_given(name, spec, rules)?;
        let others = || self.in_force().filter(|other| other.name != name);
        let mut faults = self.together(others().chain([&upstream]));
        let before = self.together(self.in_force());
        faults.retain(|fault| !before.contains(fault) || fault.upstream.as_deref() == Some(name));
        let own = |fault: &fault::Fault| fault.upstream.as_deref() == Some(name);
        let faults: Vec<Fault> = faults
            .into_iter()
            .map(|fault| {
                if own(&fault) {
                    return pointed(fault);
                }
                Fault { pointer: "/spec/fallback".to_owned(), detail: fault.reason }
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Who would fall back to nobody without `name`.
    pub fn leaning_on(&self, name: &str) -> Vec<String> {
        let before = self.together(self.in_force());
        let mut faults = self.together(self.in_force().filter(|other| other.name != name));
        faults.retain(|fault| !before.contains(fault));
        let mut leaning: Vec<String> = faults.into_iter().filter_map(|fault| fault.upstream).collect();
        leaning.dedup();
        leaning
    }

    /// A fallback to an upstream that is left out is not called unknown.
    fn together<'u>(&self, upstreams: impl IntoIterator<Item = &'u Upstream> + Clone) -> Vec<fault::Fault> {
        let mut faults: Vec<fault::Fault> = self
            .left_out()
            .map(|name| fault::Fault {
                file: String::new(),
                line: 0,
                upstream: Some(name.to_owned()),
                field: String::new(),
                reason: String::new(),
            })
            .collect();
        let seeded = faults.len();
        document::check_together(upstreams, &mut faults);
        faults.split_off(seeded)
    }
}

fn pointed(fault: fault::Fault) -> Fault {
    Fault { pointer: document::pointer_of(&fault.field), detail: fault.reason }
}

#[cfg(test)]
mod tests;
