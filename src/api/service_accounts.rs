//! `/service-accounts`: programs that call, and their API keys.

use poem_openapi::OpenApi;

use super::Group;

/// The operations.
pub(super) struct ServiceAccountsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::ServiceAccounts")]
impl ServiceAccountsApi {}
