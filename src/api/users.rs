//! `/users`: people who sign in.

use poem_openapi::OpenApi;

use super::Group;

/// The operations.
pub(super) struct UsersApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Users")]
impl UsersApi {}
