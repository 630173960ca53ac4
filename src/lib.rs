//! Levee.

/// The data plane.
pub mod gateway;
pub mod models;

/// What may be answered without asking the upstream.
pub mod cache;
