//! Upstreams over the API.

/// Registers upstreams.
#[derive(Clone)]
pub struct RegistrationsService {}
