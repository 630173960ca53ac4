//! The last so many of something, in two halves: when the newer one is full, the older one is forgotten whole, and it
//! is known from when on nothing is missing.

use std::collections::HashMap;
use std::hash::Hash;

use super::Stamp;

pub(super) struct Recent<K, V> {
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
    /// When the newer half was begun.
    began: Stamp,
    most: usize,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// Remembers the last `most` at least, twice as many at most.
    pub(super) fn new(most: usize) -> Self {
        Self { newer: HashMap::new(), older: HashMap::new(), began: Stamp::default(), most }
    }

    /// The value under a key, made where there is none. Where others are forgotten for it, nothing is missing from the
    /// stamp on that comes with it; `now` is what the newer half begins with.
    pub(super) fn entry(&mut self, key: K, now: Stamp, make: impl FnOnce() -> V) -> (&mut V, Option<Stamp>) {
        let mut dropped = None;
        if !self.newer.contains_key(&key) {
            let value = self.older.remove(&key).unwrap_or_else(make);
            if self.newer.len() == self.most {
                self.older = std::mem::take(&mut self.newer);
                dropped = Some(std::mem::replace(&mut self.began, now));
            }
            return (self.newer.entry(key).or_insert(value), dropped);
        }
        (self.newer.get_mut(&key).expect("it was seen on the line above"), dropped)
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.newer.values_mut().chain(self.older.values_mut())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.newer.iter().chain(&self.older)
    }
}
