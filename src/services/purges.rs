//! Purging what is cached of an upstream, on every replica.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::authority::demand;
pub use crate::cache::Strength;
use crate::cache::{Purge, Scope};
use crate::error::Failure;
use crate::gateway::Gateway;
use crate::models::policy::BaseUrl;
use crate::models::principal::{Actor, Principal, Role};
use crate::repositories::Store;

/// Longest wait for the word to be out.
const PROPAGATION: Duration = Duration::from_millis(300);

/// What is to be purged of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A path below the upstream, or an absolute URL under its `url`; with every query.
    Url(String),
    /// What the upstream marked with this tag.
    Tag(String),
    /// Paths below the upstream that match.
    Glob(String),
    /// Everything.
    All,
}

/// Purges.
#[derive(Clone)]
pub struct PurgesService {
    gateway: Arc<Gateway>,
    store: Store,
}

impl PurgesService {
    /// Of the data plane's cache; noted in the store.
    pub fn new(gateway: Arc<Gateway>, store: Store) -> Self {
        Self { gateway, store }
    }

    /// Purges, here at once. Whether the other replicas are told too; if not yet, they will be once Redis is back,
    /// unless this process ends before.
    pub async fn purge(
        &self,
        principal: &Principal,
        actor: Actor,
        upstream: String,
        what: What,
        strength: Strength,
    ) -> Result<bool, Failure> {
        demand(principal, Role::Operator)?;
        let live = self.gateway.snapshot().get(&upstream).cloned();
        let live = live.ok_or_else(|| Failure::not_found(format!("There is no upstream \"{upstream}\".")))?;
        let scope = scope(&upstream, &live.upstream.url, &what)?;
        let cache = self.gateway.cache();
        let ticket = cache.purge(Purge { scope, strength });
        let propagated = cache.is_propagated(ticket, PROPAGATION).await;
        self.note(upstream, &what, strength, propagated, actor).await;
        Ok(propagated)
    }

    /// A purge that is done is not undone because the database is away: then the log of this process has it.
    async fn note(&self, upstream: String, what: &What, strength: Strength, propagated: bool, actor: Actor) {
        let (kind, argument) = words(what);
        let soft = strength == Strength::Soft;
        tracing::info!(upstream, kind, argument, soft, propagated, by = actor.subject, "cache purged");
        let details = json!({ "what": kind, "value": argument, "soft": soft, "propagated": propagated });
        let target = format!("upstream:{upstream}");
        if let Err(error) = self.store.note("cache.purged", target, details, actor).await {
            tracing::warn!(%error, upstream, "a purge is missing from the audit list");
        }
    }
}

fn words(what: &What) -> (&'static str, Option<&str>) {
    match what {
        What::Url(url) => ("url", Some(url)),
        What::Tag(tag) => ("tag", Some(tag)),
        What::Glob(glob) => ("glob", Some(glob)),
        What::All => ("all", None),
    }
}

fn scope(upstream: &str, base: &BaseUrl, what: &What) -> Result<Scope, Failure> {
    Ok(match what {
        What::Url(url) => Scope::path(base, &path_of(base, url)?),
        What::Tag(tag) => Scope::Tag { upstream: upstream.to_owned(), tag: tag.trim().to_owned() },
        What::Glob(glob) if !glob.starts_with('/') => {
            return Err(Failure::invalid("/glob", "must begin with `/`"));
        }
        What::Glob(glob) => {
            Scope::glob(upstream, base, glob).map_err(|why| Failure::invalid("/glob", why))?
        }
        What::All => Scope::Upstream(upstream.to_owned()),
    })
}

/// The path as it goes to the upstream.
fn path_of(base: &BaseUrl, url: &str) -> Result<String, Failure> {
    let address = url.split(['?', '#']).next().unwrap_or_default();
    if address.starts_with('/') {
        return Ok(format!("{}{address}", base.path));
    }
    let elsewhere =
        || Failure::invalid("/url", "must be a path that begins with `/`, or a URL under the upstream's");
    let uri: http::Uri = address.parse().map_err(|_| elsewhere())?;
    let scheme = if base.https { "https" } else { "http" };
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let same = uri.scheme_str() == Some(scheme) && host.eq_ignore_ascii_case(&base.host) && port == base.port;
    let below =
        uri.path().strip_prefix(&base.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if same && below { Ok(uri.path().to_owned()) } else { Err(elsewhere()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> BaseUrl {
        BaseUrl { https: true, host: "api.example.com".to_owned(), port: 443, path: "/v1".to_owned() }
    }

    #[test]
    fn a_url_is_a_path_below_the_upstream_or_an_absolute_one_under_it() {
        let path = |url: &str| path_of(&base(), url).ok();
        assert_eq!(path("/quotes/1?x=1#y").as_deref(), Some("/v1/quotes/1"));
        assert_eq!(path("https://API.example.com:443/v1/quotes/1?x").as_deref(), Some("/v1/quotes/1"));
        assert_eq!(path("https://api.example.com/v1").as_deref(), Some("/v1"));
        for elsewhere in [
            "quotes/1",
            "http://api.example.com/v1/quotes",
            "https://api.example.com/v10/quotes",
            "https://other.example.com/v1/quotes",
            "https://api.example.com:8443/v1",
            "",
        ] {
            assert_eq!(path(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_glob_is_below_the_upstreams_own_path_and_has_to_be_one() {
        let glob = |glob: &str| scope("rates", &base(), &What::Glob(glob.to_owned()));
        let expected = Scope::Glob { upstream: "rates".to_owned(), pattern: "/v1/quotes/*".to_owned() };
        assert_eq!(glob("/quotes/*").unwrap(), expected);
        assert!(glob("quotes/*").is_err() && glob("/[").is_err());
    }
}
