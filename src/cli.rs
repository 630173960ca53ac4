//! Commands.

/// `levee dev`.
pub mod dev;
/// `levee healthcheck`.
pub mod healthcheck;
