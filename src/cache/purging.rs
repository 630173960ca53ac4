//! Purging: what people ask for, and what the answer to an unsafe request makes worthless.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout};

use super::key::{self, RequestView};
use super::purge::{Purge, Scope, Strength};
use super::purges::{Heard, Target};
use super::{HttpCache, outdated};

impl HttpCache {
    /// Purges, here at once and in the fleet by the log; the ticket to ask [`is_propagated`](Self::is_propagated) with.
    pub fn purge(&self, purge: Purge) -> u64 {
        self.purges_made.made(&purge.scope);
        self.apply(purge)
    }

    /// The same for what nobody asked for.
    pub(super) fn apply(&self, purge: Purge) -> u64 {
        let (target, strength) = (self.target(&purge.scope), purge.strength);
        let ticket = self.fleet.as_ref().map(|fleet| fleet.log.post(purge));
        let heard = ticket.map_or(Heard::Here, Heard::Pending);
        self.purges.note(&target, strength, heard, Instant::now());
        ticket.unwrap_or_default()
    }

    /// Purges made here so far, by what they were about; those of other replicas are not among them.
    pub fn purges_made(&self) -> [(&'static str, u64); 5] {
        self.purges_made.read()
    }

    /// Whether the fleet is told of a purge within `limit`: the log has it, or there is no fleet.
    pub async fn is_propagated(&self, ticket: u64, limit: Duration) -> bool {
        let Some(fleet) = &self.fleet else { return true };
        let mut settled = fleet.log.settled();
        let told = timeout(limit, settled.wait_for(|settled| *settled >= ticket)).await;
        told.is_ok_and(|settled| settled.is_ok())
    }

    /// Purges what the answer to an unsafe request has made worthless: every query, operation and partition of its
    /// path, and of `Location` and `Content-Location` on its origin (RFC 9111 section 4.4). Nothing for safe
    /// methods and for errors. The headers are the upstream's, not yet rewritten.
    pub fn purge_unsafe(&self, request: &RequestView<'_>, status: StatusCode, headers: &HeaderMap) {
        for path in outdated::outdated_paths(request, status, headers) {
            let text = key::path_text(request.scheme(), request.host, request.port, &path);
            let scope = Scope::Path(text);
            self.purge(Purge { scope, strength: Strength::Hard });
        }
    }

    /// What purges call it, as answers are marked.
    pub(super) fn target(&self, scope: &Scope) -> Target {
        match scope {
            Scope::Path(path) => Target::Tag(self.keyer.path(path.as_bytes())),
            Scope::Tag { upstream, tag } => Target::Tag(self.keyer.tag(upstream, tag.as_bytes())),
            Scope::Glob { upstream, pattern } => {
                Target::Glob { upstream: self.keyer.upstream(upstream), pattern: pattern.clone() }
            }
            Scope::Upstream(upstream) => Target::Tag(self.keyer.upstream(upstream)),
            Scope::All => Target::All,
        }
    }
}
