//! What was read from the database, for whoever asks the same again.
//!
//! An answer is forgotten with every write: with one of this process before the writer hears of it, with another replica's
//! as the log of purges tells, and at the latest with the revision that the write made, which is part of every key: so
//! replicas without Redis, and the command line, are heard of too. What raises no revision is kept for a second.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::publication::Publisher;
use crate::cache::{HttpCache, Level, ValueKey};
use crate::repositories::{Store, StoreError};

/// The tag of all that was read.
const RECORDS: &str = "records";

/// A kind of answer.
pub(super) struct Kind {
    name: &'static str,
    level: Level,
    ttl: Duration,
}

/// People: addresses and names are not for whoever may read Redis.
pub(super) const USERS: Kind = Kind { name: "users", level: Level::Memory, ttl: Duration::from_secs(10) };
/// Programs.
pub(super) const SERVICE_ACCOUNTS: Kind =
    Kind { name: "service_accounts", level: Level::Fleet, ttl: Duration::from_secs(10) };
/// Who changed what: it names people, and signing in is noted without a revision.
pub(super) const AUDIT: Kind = Kind { name: "audit", level: Level::Memory, ttl: Duration::from_secs(1) };

/// Reads through the cache. Whoever asks has been asked for the right to read before.
#[derive(Clone)]
pub struct Reads {
    cache: Arc<HttpCache>,
    publisher: Arc<Publisher>,
}

impl Reads {
    /// Over the cache and what is in force; what is kept is forgotten with every write to `store`.
    pub fn new(cache: Arc<HttpCache>, publisher: Arc<Publisher>, store: &Store) -> Self {
        let forgetful = Arc::clone(&cache);
        store.on_write(move || forgetful.purge_values(RECORDS));
        Self { cache, publisher }
    }

    /// The answer to `question`, which must say all that shapes it, from the cache or by `read`.
    pub(super) async fn get<T, Reading>(
        &self,
        kind: &Kind,
        question: impl Debug,
        read: impl FnOnce() -> Reading,
    ) -> Result<T, StoreError>
    where
        T: Serialize + DeserializeOwned,
        Reading: Future<Output = Result<T, StoreError>>,
    {
        let stored = Arc::clone(&self.publisher.published().stored);
        // Deployments that share a Redis and no database: no two have the same first user.
        let database = stored.users.first().map(|user| user.id);
        let text = format!("{database:?}\n{}\n{question:?}", stored.revision);
        let key = ValueKey { kind: kind.name, text: &text, level: kind.level };
        self.cache.get_or_load(&key, kind.ttl, &[RECORDS], read).await
    }
}
