//! Stored credentials: set, forgotten, never read back.

/// Seals and keeps credentials.
#[derive(Clone)]
pub struct CredentialsService {}
