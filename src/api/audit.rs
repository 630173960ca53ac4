//! `/audit`: who changed what, when.

use poem_openapi::OpenApi;

use super::Group;

/// The operations.
pub(super) struct AuditApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Audit")]
impl AuditApi {}
