//! What can be wrong between documents: repeated names, fallbacks to nobody, fallbacks in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::models::fault::Fault;
use crate::models::policy::{FallbackStep, Policy, Upstream};

/// Upstreams by name.
type ByName<'u> = BTreeMap<&'u str, &'u Upstream>;

/// Adds what is wrong between `upstreams`, which are those of all files.
///
/// A fallback to an upstream whose own document is among the `faults` is not called unknown.
pub fn check_together<'u>(
    upstreams: impl IntoIterator<Item = &'u Upstream> + Clone,
    faults: &mut Vec<Fault>,
) {
    let unread: BTreeSet<String> = faults.iter().filter_map(|fault| fault.upstream.clone()).collect();
    let mut by_name = ByName::new();
    for upstream in upstreams.clone() {
        if let Some(first) = by_name.get(upstream.name.as_str()) {
            let reason = format!("`{}` is already defined at {}", upstream.name, first.origin);
            faults.push(fault(upstream, "metadata.name".to_owned(), reason));
        } else {
            by_name.insert(&upstream.name, upstream);
        }
    }
    for upstream in upstreams {
        for (field, target) in targets(upstream) {
            if !by_name.contains_key(target) && !unread.contains(target) {
                faults.push(fault(upstream, field, format!("there is no upstream called `{target}`")));
            }
        }
    }
    faults.extend(find_circles(&by_name).into_iter().map(|circle| circle.fault));
}

/// A circle of fallbacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle {
    /// As a fault of the upstream that closes it.
    pub fault: Fault,
    /// Every upstream on the way, the one that closes it last.
    pub members: Vec<String>,
}

/// Each circle of fallbacks, once.
pub fn circles<'u>(upstreams: impl IntoIterator<Item = &'u Upstream>) -> Vec<Circle> {
    let by_name = upstreams.into_iter().map(|upstream| (upstream.name.as_str(), upstream)).collect();
    find_circles(&by_name)
}

/// Every upstream that a fallback of this one names, with the field that does.
fn targets(upstream: &Upstream) -> Vec<(String, &str)> {
    let operations = upstream.operations.iter().enumerate();
    let inherits = |policy: &Policy| policy.fallback.steps == upstream.policy.fallback.steps;
    let of_operations = operations
        .filter(|(_, operation)| !inherits(&operation.policy))
        .map(|(index, operation)| (format!("spec.operations[{index}]"), &operation.policy));
    std::iter::once(("spec".to_owned(), &upstream.policy))
        .chain(of_operations)
        .flat_map(|(owner, policy)| {
            policy.fallback.steps.iter().enumerate().filter_map(move |(index, step)| match step {
                FallbackStep::Upstream { name } => {
                    Some((format!("{owner}.fallback[{index}].upstream.name"), name.as_str()))
                }
                FallbackStep::Stale { .. } | FallbackStep::Static { .. } => None,
            })
        })
        .collect()
}

/// Walks every chain of fallbacks, beginning with the first upstream by name.
fn find_circles(by_name: &ByName<'_>) -> Vec<Circle> {
    let (mut finished, mut found) = (BTreeSet::new(), Vec::new());
    for start in by_name.values() {
        let mut path = vec![Visit::new(start)];
        while let Some(visit) = path.last_mut() {
            let Some((field, target)) = visit.rest.pop() else {
                finished.insert(visit.upstream.name.as_str());
                path.pop();
                continue;
            };
            let from = visit.upstream;
            if let Some(first) = path.iter().position(|visit| visit.upstream.name == target) {
                let names: Vec<&str> =
                    path[first..].iter().map(|visit| visit.upstream.name.as_str()).collect();
                let reason = format!("fallbacks go in a circle: {} → {target}", names.join(" → "));
                let members = names.iter().map(|name| (*name).to_owned()).collect();
                found.push(Circle { fault: fault(from, field, reason), members });
            } else if let Some(next) = by_name.get(target).filter(|_| !finished.contains(target)) {
                path.push(Visit::new(next));
            }
        }
    }
    found
}

/// An upstream on the way, and the fallbacks not followed yet.
struct Visit<'u> {
    upstream: &'u Upstream,
    rest: Vec<(String, &'u str)>,
}

impl<'u> Visit<'u> {
    fn new(upstream: &'u Upstream) -> Self {
        Self { upstream, rest: targets(upstream) }
    }
}

fn fault(upstream: &Upstream, field: String, reason: String) -> Fault {
    let (file, line) = upstream.origin.rsplit_once(':').unwrap_or((&upstream.origin, "1"));
    Fault {
        file: file.to_owned(),
        line: line.parse().unwrap_or(1),
        upstream: Some(upstream.name.clone()),
        field,
        reason,
    }
}
