//! Levee.

/// The data plane.
pub mod gateway;
pub mod models;
