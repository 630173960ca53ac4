//! Fingerprints of a policy's cache rules: what was stored under other rules must not pass for what these would bring.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::models::policy::Cache;

/// Of the rules by which an answer is judged when it comes: one that was judged under others has to be asked for again.
/// The rest of them count when it is looked up.
pub(super) fn judging(policy: &Cache) -> u64 {
    let mut hasher = DefaultHasher::new();
    (policy.mode, policy.ttl, &policy.negative, &policy.tags).hash(&mut hasher);
    hasher.finish()
}

/// Of the rules by which different requests share one answer, `None` where there are none. They belong into the key: by
/// asking whether the answer of another request still holds, one would be told that it does.
pub(super) fn sharing(policy: &Cache) -> Option<u64> {
    if !policy.shared && policy.query_ignore.is_empty() && !policy.query_sort && policy.vary.is_empty() {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    (policy.shared, &policy.query_ignore, policy.query_sort, &policy.vary).hash(&mut hasher);
    Some(hasher.finish())
}
