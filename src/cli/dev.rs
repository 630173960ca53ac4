//! `levee dev`.

/// The misbehaving upstream.
pub mod flaky;
