//! Registered upstreams and their history.

use serde_json::Value;

use super::{Changed, Store, StoreError};
use crate::models::page::{Page, PageRequest};
use crate::models::principal::Actor;
use crate::models::registration::{Registration, RevisionAction, UpstreamRevision};

impl Store {
    /// Registers an upstream: `upstream.created`. `Conflict::UpstreamName` when the name is taken.
    pub async fn create_upstream(
        &self,
        name: String,
        spec: Value,
        actor: Actor,
    ) -> Result<Changed<Registration>, StoreError> {
        todo!()
    }

    /// One registered upstream.
    pub async fn upstream(&self, name: String) -> Result<Registration, StoreError> {
        todo!()
    }

    /// Replaces a document: `upstream.replaced` or `upstream.rolled_back`. `expected` is the revision the writer read:
    /// another one is `Stale`; `None` replaces whatever is there.
    pub async fn replace_upstream(
        &self,
        name: String,
        spec: Value,
        expected: Option<u64>,
        action: RevisionAction,
        actor: Actor,
    ) -> Result<Changed<Registration>, StoreError> {
        todo!()
    }

    /// Takes an upstream away with its credential and its forced breakers: `upstream.deleted`. Its history stays.
    pub async fn delete_upstream(
        &self,
        name: String,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        todo!()
    }

    /// The history of a name, the newest first; the key is the revision. Empty when there never was one.
    pub async fn upstream_revisions(
        &self,
        name: String,
        page: PageRequest<u64>,
    ) -> Result<Page<UpstreamRevision, u64>, StoreError> {
        todo!()
    }

    /// One entry of the history.
    pub async fn upstream_revision(
        &self,
        name: String,
        revision: u64,
    ) -> Result<UpstreamRevision, StoreError> {
        todo!()
    }
}
