//! Parts of lists. The border between two parts is a key, not a count, so nothing is shown twice or left out when
//! something else appears or goes.

use serde::{Deserialize, Serialize};

/// Which part of a list to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<K> {
    /// Only what comes after this key.
    pub after: Option<K>,
    /// At most so many.
    pub limit: u32,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T, K> {
    /// In the order of their keys.
    pub items: Vec<T>,
    /// The key of the last item, when more follow.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// Makes a page of up to `limit + 1` rows: the one too many says that more follow.
    pub fn of(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> K) -> Self {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(key);
        Self { items: rows, next }
    }
}
