//! The data plane.

/// The HTTP client of one upstream.
pub mod transport;
