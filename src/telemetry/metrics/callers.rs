//! Calls by caller: a label that is no enumeration, so it is bounded by number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::families::Samples;

/// Callers of one upstream that have a label of their own: the first that called.
const MOST: usize = 50;

/// The label of the others. No caller has this name.
const OTHER: &str = "_other";

/// Calls of each caller of one upstream. Counting takes no lock but for a caller's first call.
#[derive(Debug, Default)]
pub(super) struct Callers {
    known: ArcSwap<HashMap<u64, Arc<Caller>>>,
    others: AtomicU64,
    adding: Mutex<()>,
}

#[derive(Debug)]
struct Caller {
    name: String,
    calls: AtomicU64,
}

impl Callers {
    /// A call of the caller that `key` tells apart; `name` is asked for once.
    pub(super) fn add(&self, key: u64, name: impl FnOnce() -> String) {
        let known = self.known.load();
        match known.get(&key) {
            Some(caller) => &caller.calls,
            None if known.len() >= MOST => &self.others,
            None => return self.add_first(key, name()),
        }
        .fetch_add(1, Relaxed);
    }

    fn add_first(&self, key: u64, name: String) {
        let _turn = self.adding.lock();
        let mut known = HashMap::clone(&self.known.load());
        if known.len() >= MOST && !known.contains_key(&key) {
            self.others.fetch_add(1, Relaxed);
            return;
        }
        let caller = known.entry(key).or_insert_with(|| Arc::new(Caller { name, calls: AtomicU64::new(0) }));
        caller.calls.fetch_add(1, Relaxed);
        self.known.store(Arc::new(known));
    }

    /// One sample for each name: those who proved nothing differ by address and share one.
    pub(super) fn collect(&self, samples: &mut Samples, upstream: &str) {
        let mut named = std::collections::BTreeMap::<&str, u64>::new();
        let known = self.known.load();
        for caller in known.values() {
            *named.entry(&caller.name).or_default() += caller.calls.load(Relaxed);
        }
        for (name, calls) in named {
            samples.count(&[name, upstream], calls);
        }
        samples.count(&[OTHER, upstream], self.others.load(Relaxed));
    }
}
