//! The control plane's rules: what may be asked and changed, told in plain values.

/// What the circuit breakers are doing.
pub mod breakers;
/// Whether this process serves, and which snapshot.
pub mod health;
/// Upstreams from files.
pub mod upstreams;
