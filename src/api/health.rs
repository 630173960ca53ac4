//! `/health`: whether this process serves, which version it is, and which snapshot calls run under.

use poem::web::Data;
use poem_openapi::{Enum, Object, OpenApi};

use super::Group;
use super::error::ApiError;
use super::payload::JsonBody;
use crate::services::health::{HealthReport, HealthService};

/// The operations.
pub(super) struct HealthApi;

#[expect(clippy::unused_async, reason = "the macro awaits every handler")]
#[OpenApi(prefix_path = "/api/v1", tag = "Group::Health")]
impl HealthApi {
    /// Read the health of this replica
    ///
    /// Says that the control plane of the replica that answers is up, which version it is, and which snapshot new calls
    /// run under. Load balancers and orchestrators ask `/readyz` on the operations port instead.
    #[oai(path = "/health", method = "get", operation_id = "get_health")]
    async fn get(&self, service: Data<&HealthService>) -> Result<JsonBody<Health>, ApiError> {
        Ok(JsonBody(service.report().into()))
    }
}

/// How a replica is.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
enum HealthStatus {
    /// The control plane answers.
    Ok,
}

/// The health of one replica.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct Health {
    /// Always `ok`: a replica that is not does not answer.
    status: HealthStatus,
    /// The version of Levee it runs.
    version: String,
    /// The revision of the snapshot new calls run under.
    revision: u64,
}

impl From<HealthReport> for Health {
    fn from(report: HealthReport) -> Self {
        Self { status: HealthStatus::Ok, version: report.version.to_owned(), revision: report.revision }
    }
}
