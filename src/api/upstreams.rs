//! `/upstreams`: the APIs that are called, and their history.

use poem_openapi::OpenApi;

use super::Group;

/// The operations.
pub(super) struct UpstreamsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Upstreams")]
impl UpstreamsApi {}
