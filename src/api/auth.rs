//! `/auth`: signing in and out, and the own account.

use poem_openapi::OpenApi;

use super::Group;

/// The operations.
pub(super) struct AuthApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Auth")]
impl AuthApi {}
