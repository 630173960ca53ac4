//! What the operations on upstreams read and answer with.

use poem_openapi::{Enum, Object};
use time::OffsetDateTime;

use super::spec::{UpstreamDocument, UpstreamSpec};
use crate::api::error::ProblemFault;
use crate::api::pagination::next;
use crate::error::Fault;
use crate::models::page::Page;
use crate::models::registration::{RevisionAction, UpstreamRevision as Revision};
use crate::services::registrations::{CredentialState, Provenance, UpstreamReport};

/// An upstream to be registered.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct UpstreamCreation {
    /// What calls name it by: a-z, 0-9 and `-`, with no `-` at either end.
    #[oai(validator(max_length = 63, pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub(super) name: String,
    /// Where it is and how it is called.
    pub(super) spec: UpstreamSpec,
}

/// A document to be judged.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct UpstreamCandidate {
    /// What it would be called. With the name of a registered upstream it is judged as its replacement.
    #[oai(validator(max_length = 253))]
    pub(super) name: String,
    /// Where it is and how it is called.
    pub(super) spec: UpstreamSpec,
}

/// What is wrong with a document.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct UpstreamVerdict {
    /// It could be stored.
    pub(super) valid: bool,
    /// Every wrong place; none when it is valid.
    pub(super) errors: Vec<ProblemFault>,
}

/// A document that takes another's place.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct UpstreamChange {
    /// Where the upstream is and how it is called.
    pub(super) spec: UpstreamSpec,
}

/// Which document to put back.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct UpstreamRollback {
    /// The revision that made it, out of the history.
    pub(super) revision: u64,
}

/// Where an upstream's document comes from: `api`, `file`, or `custom_resource`, an Upstream of the Kubernetes cluster.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum UpstreamSource {
    Api,
    File,
    CustomResource,
}

/// Whether the secret is there that the document's `credentials` speak of: `missing`, none was set; `attached`, it is added to
/// calls; `detached`, the origin it was set for is no longer the upstream's, and calls are refused until it is set again.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum UpstreamCredentialState {
    Missing,
    Attached,
    Detached,
}

/// One upstream.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct Upstream {
    /// What calls name it by.
    pub(super) name: String,
    /// Its document, as it was given.
    pub(super) spec: UpstreamDocument,
    /// Where that comes from.
    source: UpstreamSource,
    /// The API can change it.
    editable: bool,
    /// The revision that made this state; absent where the API does not define it.
    pub(super) revision: Option<u64>,
    /// The file and line that define it; absent otherwise.
    file: Option<String>,
    /// The custom resource that defines it, as `Upstream namespace/name`; absent otherwise.
    custom_resource: Option<String>,
    /// The revision of an upstream of the same name that came over the API and is hidden by the file or custom resource.
    hidden_revision: Option<u64>,
    /// Calls find it. One that this version of Levee cannot run is left out; `errors` says why.
    in_force: bool,
    /// What is wrong with it; absent when nothing is.
    errors: Option<Vec<ProblemFault>>,
    /// Whether its secret is there; absent when it needs none.
    credentials: Option<UpstreamCredentialState>,
    /// When it was registered; absent where the API does not define it.
    created_at: Option<OffsetDateTime>,
    /// When it last changed; absent where the API does not define it.
    updated_at: Option<OffsetDateTime>,
    /// Who changed it last; absent where the API does not define it.
    updated_by: Option<String>,
}

impl Upstream {
    /// What `If-Match` is compared with; what the API cannot change needs none, so any tag does for it.
    pub(super) fn tag(&self) -> String {
        self.revision.map_or_else(|| "file".to_owned(), |revision| revision.to_string())
    }
}

/// A page of upstreams.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct UpstreamPage {
    /// The upstreams of this page.
    items: Vec<Upstream>,
    /// What to send as `cursor` for the next page; absent on the last one.
    next: Option<String>,
}

/// What a change did: `created`, `replaced`, `rolled_back` or `deleted`.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum UpstreamAction {
    Created,
    Replaced,
    RolledBack,
    Deleted,
}

/// One change of an upstream.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct UpstreamRevision {
    /// The revision it made.
    pub(super) revision: u64,
    /// What was done.
    action: UpstreamAction,
    /// The document after it; absent after a deletion.
    spec: Option<UpstreamDocument>,
    /// When.
    at: OffsetDateTime,
    /// By whom, as the audit list names them.
    by: String,
}

/// A page of an upstream's history.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct UpstreamRevisionPage {
    /// The changes of this page, the newest first.
    items: Vec<UpstreamRevision>,
    /// What to send as `cursor` for the next page; absent on the last one.
    next: Option<String>,
}

impl From<UpstreamReport> for Upstream {
    fn from(report: UpstreamReport) -> Self {
        let errors = |faults: &[Fault]| faults.iter().map(ProblemFault::from).collect();
        let (source, registration, place, hidden_revision) = match report.provenance {
            Provenance::Api(registration) => (UpstreamSource::Api, Some(registration), None, None),
            Provenance::File { place, hides } => (UpstreamSource::File, None, Some(place), hides),
            Provenance::CustomResource { place, hides } => {
                (UpstreamSource::CustomResource, None, Some(place), hides)
            }
        };
        let (file, custom_resource) = match source {
            UpstreamSource::CustomResource => (None, place),
            UpstreamSource::Api | UpstreamSource::File => (place, None),
        };
        Self {
            name: report.name,
            spec: report.spec.into(),
            source,
            editable: registration.is_some(),
            revision: registration.as_ref().map(|registration| registration.revision),
            file,
            custom_resource,
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
            spec: revision.spec.map(UpstreamDocument::from),
            at: revision.at,
            by: revision.by,
        }
    }
}
