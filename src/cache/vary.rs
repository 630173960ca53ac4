//! Which request headers select among the stored answers of one resource (RFC 9111 section 4.1).

use std::collections::VecDeque;

use http::{HeaderMap, HeaderName, header};
use parking_lot::Mutex;

use super::key::{Partition, joins};
use crate::models::policy;

/// Stored answers kept for one resource; the oldest makes room.
pub(super) const MOST_VARIANTS: usize = 16;

/// Names a marker may gather from answers that differ in their `Vary`.
const MOST_NAMES: usize = 16;

/// What stands in a resource's own place when `Vary` tells its answers apart: how to find them.
#[derive(Debug)]
pub(super) struct Variants {
    /// The primary key.
    pub(super) text: Box<[u8]>,
    /// What selects, sorted.
    pub(super) names: Vec<HeaderName>,
    stored: Mutex<VecDeque<u128>>,
}

impl Variants {
    pub(super) fn new(primary: &[u8], names: Vec<HeaderName>) -> Self {
        Self { text: primary.into(), names, stored: Mutex::new(VecDeque::with_capacity(MOST_VARIANTS)) }
    }

    /// Notes a variant; the hash of the one that has to go for it, if any.
    pub(super) fn add(&self, hash: u128) -> Option<u128> {
        let mut stored = self.stored.lock();
        if stored.contains(&hash) {
            return None;
        }
        let oldest = if stored.len() == MOST_VARIANTS { stored.pop_front() } else { None };
        stored.push_back(hash);
        oldest
    }

    /// The hashes of all variants.
    pub(super) fn all(&self) -> Vec<u128> {
        self.stored.lock().iter().copied().collect()
    }
}

/// The names in `Vary` that are not in the primary key anyway, sorted; `None` for `*` and for what is no header
/// name, which nothing can match.
pub(super) fn selecting(
    headers: &HeaderMap,
    partition: Partition,
    policy: &policy::Cache,
) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    let members =
        headers.get_all(header::VARY).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    for member in members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
        // `*` is a token too, so the name would parse.
        let name = HeaderName::from_bytes(member).ok().filter(|_| member != b"*")?;
        if !joins(&name, partition, policy) {
            names.push(name);
        }
    }
    sort(&mut names);
    Some(names)
}

/// What must select once an answer with `names` joins those a marker already tells apart: both, within reason.
pub(super) fn union(names: &[HeaderName], before: &[HeaderName]) -> Vec<HeaderName> {
    let mut all = [names, before].concat();
    sort(&mut all);
    if all.len() > MOST_NAMES { names.to_vec() } else { all }
}

fn sort(names: &mut Vec<HeaderName>) {
    names.sort_unstable_by(|left, right| left.as_str().cmp(right.as_str()));
    names.dedup();
}

#[cfg(test)]
mod tests;
