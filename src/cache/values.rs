//! Values of our own: what a function loads, kept where answers are kept and purged by the log they are purged by.
//!
//! Who may see a value is asked before it is asked for: it is no part of it, nor of its key. A value is used while it is
//! fresh and no purge of one of its tags came after its load began; whoever comes later than a purge never gets one
//! that was loaded before.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use super::entry::Entry;
use super::freshness::ExchangeTimes;
use super::key::Key;
use super::memory::Stored;
use super::purge::{Purge, Scope, Strength};
use super::purges::Validity;
use super::storable::{ResponseHead, Terms};
use super::tags::Tags;
use super::{HttpCache, value};
use crate::redis::CALL_LIMIT;

/// Whose values are, where answers have an upstream: no upstream is called so.
const OURS: &str = "";

/// Where a value may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// In this process's memory only: what it says is not for whoever may read Redis. Purges reach it all the same.
    Memory,
    /// In Redis too, as it is.
    Fleet,
}

/// What a value is found by.
#[derive(Debug, Clone, Copy)]
pub struct ValueKey<'a> {
    /// What it is: `users`.
    pub kind: &'static str,
    /// Everything else that shapes it.
    pub text: &'a str,
    /// Where it may lie.
    pub level: Level,
}

/// The loads under way.
#[derive(Default)]
pub(super) struct Loads {
    active: Mutex<HashMap<u128, watch::Receiver<()>>>,
}

/// The only load of a value; over when it is dropped.
struct Load<'a> {
    loads: &'a Loads,
    hash: u128,
    _under_way: watch::Sender<()>,
}

impl HttpCache {
    /// The value under `key`, or what `load` brings, which is kept for `ttl` unless one of its `tags` is purged. Of those
    /// who ask at once one loads; where that fails, each of the others loads for itself.
    ///
    /// # Errors
    /// The load's own. They are not kept.
    pub async fn get_or_load<T, E, Loading>(
        &self,
        key: &ValueKey<'_>,
        ttl: Duration,
        tags: &[&str],
        load: impl FnOnce() -> Loading,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        Loading: Future<Output = Result<T, E>>,
    {
        let place = self.place_of(key);
        if let Some(value) = self.value_at(&place) {
            return Ok(value);
        }
        let _load = match self.loads.begin(place.hash) {
            Ok(load) => Some(load),
            Err(mut other) => {
                // It says nothing: that it is gone is the word.
                let _ = other.changed().await;
                None
            }
        };
        // One may have ended since the look.
        if let Some(value) = self.value_at(&place) {
            return Ok(value);
        }
        // Boxed, or the type of every future around it grows beyond what the compiler follows.
        let brought = key.level == Level::Fleet && self.brings_value(&place).boxed().await;
        if let Some(value) = brought.then(|| self.value_at(&place)).flatten() {
            return Ok(value);
        }
        let (began, requested) = (self.purges.moment(), Instant::now());
        let value = load().await?;
        if let Ok(body) = serde_json::to_vec(&value) {
            let entry = Arc::new(self.entry(Key { began, ..place }, ttl, tags, requested, body));
            self.place(&entry);
            if key.level == Level::Fleet {
                self.spread(&entry);
            }
        }
        Ok(value)
    }

    /// Forgets every value with this tag: here at once, and in the fleet by the log.
    pub fn purge_values(&self, tag: &str) {
        let scope = Scope::Tag { upstream: OURS.to_owned(), tag: tag.to_owned() };
        self.apply(Purge { scope, strength: Strength::Hard });
    }

    /// No key of a request begins with a line's end.
    fn place_of(&self, key: &ValueKey<'_>) -> Key {
        let text = format!("\n{}\n{}", key.kind, key.text).into_bytes();
        let (hash, uri, primary) = (self.keyer.hash(&text), self.keyer.path(&text), text.len());
        Key { hash, text: text.into(), primary, uri, path: (0, 0), began: self.purges.moment() }
    }

    /// What is held and counts. What cannot be read as a `T`, written by another version perhaps, is nothing.
    fn value_at<T: DeserializeOwned>(&self, place: &Key) -> Option<T> {
        let Stored::Entry(entry) = self.memory.get(place.hash, &place.text)? else { return None };
        let counts =
            entry.staleness(Instant::now()).is_none() && self.purges.judge(&entry) == Validity::Valid;
        if counts { serde_json::from_slice(&entry.body).ok() } else { None }
    }

    /// Whether the second level has something for memory.
    async fn brings_value(&self, place: &Key) -> bool {
        let Some(fleet) = self.reachable() else { return false };
        match self.read(fleet, place, CALL_LIMIT).await {
            Ok(value::Value::Answer(answer)) => {
                self.take_in(*answer, place.clone(), OURS).is_ok_and(|(_, brought)| brought)
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn entry(&self, key: Key, ttl: Duration, tags: &[&str], requested: Instant, body: Vec<u8>) -> Entry {
        let headers = HeaderMap::new();
        let times = ExchangeTimes { requested, received: Instant::now(), wall: SystemTime::now() };
        let head = ResponseHead { status: StatusCode::OK, headers: &headers, times };
        let terms = Terms {
            lifetime: ttl,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            keep: ttl,
            no_cache: false,
            never_stale: true,
            no_max_stale: true,
            judged_by: 0,
        };
        let named = tags.iter().map(|tag| self.keyer.tag(OURS, tag.as_bytes())).collect();
        let tags = Tags { path: key.uri, upstream: self.keyer.upstream(OURS), named };
        Entry::new(key, Vec::new(), &head, terms, tags).with_body(body.into())
    }
}

impl Loads {
    /// Begins a load, or answers with the end of the one under way.
    fn begin(&self, hash: u128) -> Result<Load<'_>, watch::Receiver<()>> {
        let mut active = self.active.lock();
        if let Some(other) = active.get(&hash) {
            return Err(other.clone());
        }
        let (under_way, end) = watch::channel(());
        active.insert(hash, end);
        Ok(Load { loads: self, hash, _under_way: under_way })
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        // Out of the table first: whoever comes now begins afresh.
        self.loads.active.lock().remove(&self.hash);
    }
}

#[cfg(test)]
mod tests;
