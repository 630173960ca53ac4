//! `/upstreams`: the APIs that are called, and their history.

use std::borrow::Cow;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use poem_openapi::{Enum, Object, OpenApi};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::Group;
use super::answers::{Created, NoContent, Tagged};
use super::error::{ApiError, ProblemFault};
use super::pagination::{default_limit, next, page_request};
use super::payload::JsonBody;
use super::precondition::IfMatch;
use super::security::{Operator, Viewer};
use crate::error::Fault;
use crate::models::page::Page;
use crate::models::registration::{RevisionAction, UpstreamRevision as Revision};
use crate::services::registrations::{CredentialState, Provenance, RegistrationsService, UpstreamReport};

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
        body: JsonBody<NewUpstream>,
    ) -> Result<Created<Upstream>, ApiError> {
        let NewUpstream { name, spec } = body.0;
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
    /// Every change over the API, the newest first; it outlives the upstream.
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

/// The `spec` of an upstream's document, with the fields of `docs/policy.md`. `url` is the only one that must be given; a
/// field that does not exist is refused.
#[derive(Debug)]
struct UpstreamSpec(Map<String, Value>);

impl Type for UpstreamSpec {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "UpstreamSpec".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(Self::name().into_owned(), |_| MetaSchema {
            description: Some(
                "The `spec` of an upstream's document: where the API is and how it is called. `url` must be given; every other \
                 field has a default. The fields are those of an upstream file, and one that does not exist is refused.",
            ),
            additional_properties: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::ANY)))),
            example: Some(json!({
                "url": "https://api.example.com/v1",
                "owner": "team-pricing",
                "timeout": { "total": "2s", "attempt": "800ms" },
                "retry": { "attempts": 3 },
                "access": { "allow": ["any_authenticated"] },
                "fallback": [{ "stale": { "maxAge": "24h" } }],
            })),
            ..MetaSchema::new("object")
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for UpstreamSpec {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::Object(fields)) => Ok(Self(fields)),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

impl ToJSON for UpstreamSpec {
    fn to_json(&self) -> Option<Value> {
        Some(Value::Object(self.0.clone()))
    }
}

impl From<UpstreamSpec> for Value {
    fn from(spec: UpstreamSpec) -> Self {
        Self::Object(spec.0)
    }
}

impl From<Value> for UpstreamSpec {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(fields) => Self(fields),
            _ => Self(Map::new()),
        }
    }
}

/// An upstream to be registered.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct NewUpstream {
    /// What calls name it by: a-z, 0-9 and `-`, with no `-` at either end.
    #[oai(validator(max_length = 63, pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    name: String,
    /// Where it is and how it is called.
    spec: UpstreamSpec,
}

/// A document to be judged.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct UpstreamCandidate {
    /// What it would be called. With the name of a registered upstream it is judged as its replacement.
    #[oai(validator(max_length = 253))]
    name: String,
    /// Where it is and how it is called.
    spec: UpstreamSpec,
}

/// What is wrong with a document.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct UpstreamVerdict {
    /// It could be stored.
    valid: bool,
    /// Every wrong place; none when it is valid.
    errors: Vec<ProblemFault>,
}

/// A document that takes another's place.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct UpstreamChange {
    /// Where the upstream is and how it is called.
    spec: UpstreamSpec,
}

/// Which document to put back.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct UpstreamRollback {
    /// The revision that made it, out of the history.
    revision: u64,
}

/// Where an upstream's document comes from: `api` or `file`.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
enum UpstreamSource {
    Api,
    File,
}

/// Whether the secret is there that the document's `credentials` speak of: `missing`, none was set; `attached`, it is added to
/// calls; `detached`, the origin it was set for is no longer the upstream's, and calls are refused until it is set again.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
enum UpstreamCredentialState {
    Missing,
    Attached,
    Detached,
}

/// One upstream.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct Upstream {
    /// What calls name it by.
    name: String,
    /// Its document, as it was given.
    spec: UpstreamSpec,
    /// Where that comes from.
    source: UpstreamSource,
    /// The API can change it.
    editable: bool,
    /// The revision that made this state; absent for files.
    revision: Option<u64>,
    /// The file and line that define it; absent otherwise.
    file: Option<String>,
    /// The revision of an upstream of the same name that came over the API and is hidden by the file.
    hidden_revision: Option<u64>,
    /// Calls find it. One that this version of Levee cannot run is left out; `errors` says why.
    in_force: bool,
    /// What is wrong with it; absent when nothing is.
    errors: Option<Vec<ProblemFault>>,
    /// Whether its secret is there; absent when it needs none.
    credentials: Option<UpstreamCredentialState>,
    /// When it was registered; absent for files.
    created_at: Option<OffsetDateTime>,
    /// When it last changed; absent for files.
    updated_at: Option<OffsetDateTime>,
    /// Who changed it last; absent for files.
    updated_by: Option<String>,
}

impl Upstream {
    /// What `If-Match` is compared with; the API changes no file, so any tag does for those.
    fn tag(&self) -> String {
        self.revision.map_or_else(|| "file".to_owned(), |revision| revision.to_string())
    }
}

/// A page of upstreams.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct UpstreamPage {
    /// The upstreams of this page.
    items: Vec<Upstream>,
    /// What to send as `cursor` for the next page; absent on the last one.
    next: Option<String>,
}

/// What a change did: `created`, `replaced`, `rolled_back` or `deleted`.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
enum UpstreamAction {
    Created,
    Replaced,
    RolledBack,
    Deleted,
}

/// One change of an upstream.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct UpstreamRevision {
    /// The revision it made.
    revision: u64,
    /// What was done.
    action: UpstreamAction,
    /// The document after it; absent after a deletion.
    spec: Option<UpstreamSpec>,
    /// When.
    at: OffsetDateTime,
    /// By whom, as the audit list names them.
    by: String,
}

/// A page of an upstream's history.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct UpstreamRevisionPage {
    /// The changes of this page, the newest first.
    items: Vec<UpstreamRevision>,
    /// What to send as `cursor` for the next page; absent on the last one.
    next: Option<String>,
}

impl From<UpstreamReport> for Upstream {
    fn from(report: UpstreamReport) -> Self {
        let errors = |faults: &[Fault]| faults.iter().map(ProblemFault::from).collect();
        let (registration, file, hidden_revision) = match report.provenance {
            Provenance::Api(registration) => (Some(registration), None, None),
            Provenance::File { place, hides } => (None, Some(place), hides),
        };
        Self {
            name: report.name,
            spec: report.spec.into(),
            source: if registration.is_some() { UpstreamSource::Api } else { UpstreamSource::File },
            editable: registration.is_some(),
            revision: registration.as_ref().map(|registration| registration.revision),
            file,
            hidden_revision,
            in_force: report.in_force,
            errors: (!report.faults.is_empty()).then(|| errors(&report.faults)),
            credentials: report.credentials.map(UpstreamCredentialState::from),
            created_at: registration.as_ref().map(|registration| registration.created),
            updated_at: registration.as_ref().map(|registration| registration.updated),
            updated_by: registration.map(|registration| registration.updated_by),
        }
    }
}

impl From<CredentialState> for UpstreamCredentialState {
    fn from(state: CredentialState) -> Self {
        match state {
            CredentialState::Missing => Self::Missing,
            CredentialState::Attached => Self::Attached,
            CredentialState::Detached => Self::Detached,
        }
    }
}

impl From<Page<UpstreamReport, String>> for UpstreamPage {
    fn from(page: Page<UpstreamReport, String>) -> Self {
        Self { items: page.items.into_iter().map(Upstream::from).collect(), next: page.next.map(next) }
    }
}

impl From<Page<Revision, u64>> for UpstreamRevisionPage {
    fn from(page: Page<Revision, u64>) -> Self {
        Self {
            items: page.items.into_iter().map(UpstreamRevision::from).collect(),
            next: page.next.map(next),
        }
    }
}

impl From<Revision> for UpstreamRevision {
    fn from(revision: Revision) -> Self {
        Self {
            revision: revision.revision,
            action: match revision.action {
                RevisionAction::Created => UpstreamAction::Created,
                RevisionAction::Replaced => UpstreamAction::Replaced,
                RevisionAction::RolledBack => UpstreamAction::RolledBack,
                RevisionAction::Deleted => UpstreamAction::Deleted,
            },
            spec: revision.spec.map(UpstreamSpec::from),
            at: revision.at,
            by: revision.by,
        }
    }
}
