//! The data plane.

pub mod breaker;
