//! `/upstreams/{name}/credentials`: set and forgotten, never read back.

use poem_openapi::OpenApi;

use super::Group;

/// The operations.
pub(super) struct CredentialsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Upstreams")]
impl CredentialsApi {}
