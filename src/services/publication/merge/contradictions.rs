//! What is wrong between documents of several sources, and who gives way: an earlier version of the same custom resource
//! serves on, or what it hid, or nothing of that name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Entry, Merged, Source, pointed};
use crate::error::Fault;
use crate::gateway::snapshot::Unbuilt;
use crate::models::custom_resource::secret_reference;
use crate::models::document::{self, Circle, Rules};
use crate::models::fault;
use crate::models::policy::Upstream;

impl Merged {
    /// Another writer's change can leave a fallback without its upstream: that step answers nothing, and the rest
    /// stays in force. A circle cannot be run, so somebody in it gives way.
    pub(super) fn note_what_contradicts(&mut self) {
        let gone = self.break_circles();
        let mut found = unread(gone);
        let seeded = found.len();
        document::check_together(self.in_force(), &mut found);
        for fault in found.split_off(seeded) {
            let name = fault.upstream.clone().unwrap_or_default();
            let Some(entry) = self.entries.get_mut(&name).filter(|entry| entry.source != Source::File) else {
                continue;
            };
            entry.faults.push(pointed(fault.clone()));
            if let Some(report) = entry.resource.as_ref().and_then(|it| self.resources.get_mut(&it.id)) {
                report.faults.push(pointed(fault));
            }
        }
    }

    /// Goes on without an upstream of the API, or a version of a custom resource, that cannot be built.
    pub(in super::super) fn leave_out(&mut self, unbuilt: &Unbuilt) -> Result<(), Vec<String>> {
        match self.entries.get(&unbuilt.name) {
            Some(entry) if entry.source != Source::File && entry.in_force => {
                let reason = unbuilt.reason.clone();
                self.give_way(&unbuilt.name, Fault { pointer: "/spec".to_owned(), detail: reason });
                self.break_circles();
                Ok(())
            }
            Some(Entry { upstream: Some(upstream), .. }) => {
                Err(vec![format!("{}: {unbuilt}", upstream.origin)])
            }
            _ => Err(vec![unbuilt.to_string()]),
        }
    }

    /// Until there is none. Who gave way.
    fn break_circles(&mut self) -> BTreeSet<String> {
        let mut gone = BTreeSet::new();
        while let Some((name, fault)) =
            document::circles(self.in_force()).into_iter().find_map(|circle| self.who_gives_way(circle))
        {
            self.give_way(&name, fault);
            gone.insert(name);
        }
        gone
    }

    /// Whoever closes the circle, but for a file, and an upstream of the API before a custom resource. Files alone were
    /// judged before they got here.
    fn who_gives_way(&self, circle: Circle) -> Option<(String, Fault)> {
        let source = |name: &String| self.entries.get(name).map(|entry| entry.source);
        let closing = circle.members.iter().rev();
        let of = |wanted| closing.clone().find(|name| source(name) == Some(wanted));
        let name = of(Source::Api).or_else(|| of(Source::CustomResource))?.clone();
        let own = circle.fault.upstream.as_ref() == Some(&name);
        let fault = pointed(circle.fault);
        let pointer = if own { fault.pointer } else { "/spec/fallback".to_owned() };
        Some((name, Fault { pointer, ..fault }))
    }

    /// Each call leaves less that could give way, so it comes to an end.
    fn give_way(&mut self, name: &str, fault: Fault) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let Some(resource) = &mut entry.resource else {
            entry.in_force = false;
            entry.faults.push(fault);
            return;
        };
        let earlier = resource.earlier.take();
        if let Some(report) = self.resources.get_mut(&resource.id) {
            report.accepted = false;
            report.in_force = earlier.is_some();
            report.faults.push(fault.clone());
            if let Some(earlier) = &earlier {
                report.secret = earlier.secret.clone();
                report.needs_credential = earlier.upstream.credentials.is_some();
            } else {
                report.hides = None;
            }
        }
        match (earlier, entry.hidden.take()) {
            (Some(earlier), hidden) => {
                resource.sealed = earlier.sealed.map(|sealed| sealed.credential);
                resource.names_secret = secret_reference(&earlier.upstream.spec).is_some();
                entry.upstream = Some(earlier.upstream);
                entry.faults.push(fault);
                entry.hidden = hidden;
            }
            (None, Some(hidden)) => *entry = *hidden,
            (None, None) => {
                entry.in_force = false;
                entry.faults.push(fault);
            }
        }
    }

    /// Every wrong place of a document that would be called `name`, alone and among the others.
    pub(in super::super) fn judge(&self, name: &str, spec: &Value, rules: &Rules) -> Result<(), Vec<Fault>> {
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
        let left_out = self.entries.iter().filter(|(_, entry)| !entry.in_force);
        let mut faults = unread(left_out.map(|(name, _)| name.clone()));
        let seeded = faults.len();
        document::check_together(upstreams, &mut faults);
        faults.split_off(seeded)
    }
}

/// Stands for upstreams that are known to be wrong, so that nobody is told that they do not exist.
fn unread(names: impl IntoIterator<Item = String>) -> Vec<fault::Fault> {
    let one = |name| fault::Fault {
        file: String::new(),
        line: 0,
        upstream: Some(name),
        field: String::new(),
        reason: String::new(),
    };
    names.into_iter().map(one).collect()
}
