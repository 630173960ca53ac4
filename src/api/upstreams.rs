//! `/upstreams`: the APIs that are called, and their history.

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};

use self::wire::{
    Upstream, UpstreamCandidate, UpstreamChange, UpstreamCreation, UpstreamPage, UpstreamRevisionPage,
    UpstreamRollback, UpstreamVerdict,
};
use super::Group;
use super::answers::{Created, NoContent, Tagged};
use super::error::{ApiError, ProblemFault};
use super::pagination::{default_limit, page_request};
use super::payload::JsonBody;
use super::precondition::IfMatch;
use super::security::{Operator, Viewer};
use crate::services::registrations::RegistrationsService;

mod spec;
mod wire;

pub(super) use self::spec::describe;

/// The operations.
pub(super) struct UpstreamsApi;

#[expect(clippy::unused_async, reason = "the macro awaits every handler")]
#[OpenApi(prefix_path = "/api/v1", tag = "Group::Upstreams")]
impl UpstreamsApi {
    /// List upstreams
    ///
    /// Upstreams of every source, by name. A file hides an upstream of the same name that came over the API.
    #[oai(path = "/upstreams", method = "get", operation_id = "list_upstreams")]
    async fn list(
        &self,
        viewer: Viewer,
        service: Data<&RegistrationsService>,
        /// How many items to answer with at most.
        #[oai(
            name = "limit",
            default = "default_limit",
            validator(minimum(value = "1"), maximum(value = "200"))
        )]
        limit: Query<u32>,
        /// Where to go on: the `next` of the page before.
        #[oai(name = "cursor")]
        cursor: Query<Option<String>>,
    ) -> Result<JsonBody<UpstreamPage>, ApiError> {
        let page = page_request(limit.0, cursor.0.as_deref())?;
        Ok(JsonBody(service.list(&viewer.0.principal, &page)?.into()))
    }

    /// Register an upstream
    ///
    /// Calls find it under `/proxy/{name}/` when this answers, and on every other replica within a second. A name that is
    /// taken, by another registration or by a file, is a conflict.
    #[oai(path = "/upstreams", method = "post", operation_id = "create_upstream")]
    async fn create(
        &self,
        operator: Operator,
        service: Data<&RegistrationsService>,
        body: JsonBody<UpstreamCreation>,
    ) -> Result<Created<Upstream>, ApiError> {
        let UpstreamCreation { name, spec } = body.0;
        let created = service.create(&operator.0.principal, operator.0.actor, name, spec.into()).await?;
        let upstream = Upstream::from(created);
        let location = format!("/api/v1/upstreams/{}", upstream.name);
        Ok(Created::tagged(location, upstream.tag(), upstream))
    }

    /// Judge an upstream's document
    ///
    /// Says every wrong place of a document, by itself and among the others, as registering it would. Nothing is stored.
    #[oai(path = "/upstreams/validate", method = "post", operation_id = "validate_upstream")]
    async fn validate(
        &self,
        viewer: Viewer,
        service: Data<&RegistrationsService>,
        body: JsonBody<UpstreamCandidate>,
    ) -> Result<JsonBody<UpstreamVerdict>, ApiError> {
        let UpstreamCandidate { name, spec } = body.0;
        let faults = service.validate(&viewer.0.principal, &name, &spec.into())?;
        let errors = faults.iter().map(ProblemFault::from).collect();
        Ok(JsonBody(UpstreamVerdict { valid: faults.is_empty(), errors }))
    }

    /// Read one upstream
    ///
    /// Its document as it was given, where that comes from, and whether it is in force. The `ETag` of the answer is what a
    /// change sends as `If-Match`.
    #[oai(path = "/upstreams/:name", method = "get", operation_id = "get_upstream")]
    async fn get(
        &self,
        viewer: Viewer,
        service: Data<&RegistrationsService>,
        /// The upstream's name.
        #[oai(name = "name")]
        name: Path<String>,
    ) -> Result<Tagged<Upstream>, ApiError> {
        let upstream = Upstream::from(service.get(&viewer.0.principal, &name.0)?);
        Ok(Tagged::new(upstream.tag(), upstream))
    }

    /// Replace an upstream's document
    ///
    /// `If-Match` names the revision it replaces. An upstream that comes from a file is changed there: 409 names the file.
    #[oai(path = "/upstreams/:name", method = "put", operation_id = "replace_upstream")]
    async fn replace(
        &self,
        operator: Operator,
        service: Data<&RegistrationsService>,
        /// The upstream's name.
        #[oai(name = "name")]
        name: Path<String>,
        /// The `ETag` of the state to change, or `*` for whatever is there.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: JsonBody<UpstreamChange>,
    ) -> Result<Tagged<Upstream>, ApiError> {
        let (principal, expected) = (&operator.0.principal, if_match.revision());
        let spec = body.0.spec.into();
        let replaced = service.replace(principal, operator.0.actor.clone(), name.0, spec, expected).await?;
        let upstream = Upstream::from(replaced);
        Ok(Tagged::new(upstream.tag(), upstream))
    }

    /// Take an upstream away
    ///
    /// Its stored credential and its forced breakers go with it, its history stays. One that others fall back to stays, too:
    /// 409 names them.
    #[oai(path = "/upstreams/:name", method = "delete", operation_id = "delete_upstream")]
    async fn delete(
        &self,
        operator: Operator,
        service: Data<&RegistrationsService>,
        /// The upstream's name.
        #[oai(name = "name")]
        name: Path<String>,
        /// The `ETag` of the state to take away, or `*` for whatever is there.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
    ) -> Result<NoContent, ApiError> {
        let (principal, expected) = (&operator.0.principal, if_match.revision());
        service.delete(principal, operator.0.actor.clone(), name.0, expected).await?;
        Ok(NoContent)
    }

    /// List an upstream's history
    ///
    /// Its changes over the API, the newest first and at most the last 200; they outlive the upstream.
    #[oai(path = "/upstreams/:name/revisions", method = "get", operation_id = "list_upstream_revisions")]
    async fn revisions(
        &self,
        viewer: Viewer,
        service: Data<&RegistrationsService>,
        /// The upstream's name.
        #[oai(name = "name")]
        name: Path<String>,
        /// How many items to answer with at most.
        #[oai(
            name = "limit",
            default = "default_limit",
            validator(minimum(value = "1"), maximum(value = "200"))
        )]
        limit: Query<u32>,
        /// Where to go on: the `next` of the page before.
        #[oai(name = "cursor")]
        cursor: Query<Option<String>>,
    ) -> Result<JsonBody<UpstreamRevisionPage>, ApiError> {
        let page = page_request(limit.0, cursor.0.as_deref())?;
        Ok(JsonBody(service.revisions(&viewer.0.principal, name.0, page).await?.into()))
    }

    /// Put an earlier document back
    ///
    /// The document of a revision becomes the newest one, if it is still valid; 409 says why it is not.
    #[oai(path = "/upstreams/:name/rollback", method = "post", operation_id = "roll_back_upstream")]
    async fn roll_back(
        &self,
        operator: Operator,
        service: Data<&RegistrationsService>,
        /// The upstream's name.
        #[oai(name = "name")]
        name: Path<String>,
        /// The `ETag` of the state to change, or `*` for whatever is there.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: JsonBody<UpstreamRollback>,
    ) -> Result<Tagged<Upstream>, ApiError> {
        let (principal, actor, expected) =
            (&operator.0.principal, operator.0.actor.clone(), if_match.revision());
        let rolled_back = service.roll_back(principal, actor, name.0, body.0.revision, expected).await?;
        let upstream = Upstream::from(rolled_back);
        Ok(Tagged::new(upstream.tag(), upstream))
    }
}
