//! `/cache/purge`: taking cached answers out of use, on every replica.

use poem::web::Data;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::Group;
use super::error::ApiError;
use super::payload::JsonBody;
use super::security::Operator;
use crate::error::Failure;
use crate::services::purges::{PurgesService, Strength, What};

/// The operations.
pub(super) struct CacheApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Cache")]
impl CacheApi {
    /// Purge cached answers
    ///
    /// What is cached of an upstream is not used any more: on the replica that answers at once, on the others as soon as they
    /// read of it, also where a fetch is under way meanwhile. Exactly one of `url`, `tag`, `glob` and `all` says what.
    #[oai(path = "/cache/purge", method = "post", operation_id = "purge_cache")]
    async fn purge(
        &self,
        operator: Operator,
        service: Data<&PurgesService>,
        body: JsonBody<CachePurge>,
    ) -> Result<Purged, ApiError> {
        let soft = body.0.soft.unwrap_or_default();
        let strength = if soft { Strength::Soft } else { Strength::Hard };
        let (upstream, what) = (body.0.upstream.clone(), what(body.0)?);
        let actor = operator.0.actor.clone();
        let propagated = service.purge(&operator.0.principal, actor, upstream, what, strength).await?;
        let report = JsonBody(CachePurgeReport { propagated });
        Ok(if propagated { Purged::Everywhere(report) } else { Purged::Here(report) })
    }
}

/// What to purge.
#[derive(Object)]
struct CachePurge {
    /// The upstream's name.
    #[oai(validator(min_length = 1, max_length = 127))]
    upstream: String,
    /// A path below the upstream, as after `/proxy/{upstream}`, or an absolute URL under the upstream's `url`. With
    /// every query and for every caller.
    #[oai(validator(min_length = 1, max_length = 4096))]
    url: Option<String>,
    /// A tag that answers named in `Cache-Tag` or `Surrogate-Key`.
    #[oai(validator(min_length = 1, max_length = 256))]
    tag: Option<String>,
    /// Paths below the upstream: `*` and `?` within a segment, `**` across segments, `[…]`, `{…,…}`.
    #[oai(validator(min_length = 1, max_length = 1024))]
    glob: Option<String>,
    /// Everything of the upstream; `true`, if it is given.
    all: Option<bool>,
    /// Leave it as stale, to be confirmed by the upstream or to serve where stale answers may, rather than gone. `false` when
    /// it is left out.
    soft: Option<bool>,
}

/// How far a purge has come.
#[derive(Object)]
struct CachePurgeReport {
    /// Whether the other replicas are told.
    propagated: bool,
}

#[derive(ApiResponse)]
enum Purged {
    /// It is purged here, and the other replicas are told.
    #[oai(status = 200)]
    Everywhere(JsonBody<CachePurgeReport>),
    /// It is purged here. The other replicas will be told when Redis is back, unless this process ends before.
    #[oai(status = 202)]
    Here(JsonBody<CachePurgeReport>),
}

fn what(body: CachePurge) -> Result<What, Failure> {
    let given = [
        body.url.map(What::Url),
        body.tag.map(What::Tag),
        body.glob.map(What::Glob),
        body.all.unwrap_or_default().then_some(What::All),
    ];
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(what), None) => Ok(what),
        _ => Err(Failure::invalid("", "must say exactly one of `url`, `tag`, `glob` and `all: true`")),
    }
}
