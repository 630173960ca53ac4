//! Programs that call, and their keys.

/// Manages service accounts and API keys.
#[derive(Clone)]
pub struct ServiceAccountsService {}
