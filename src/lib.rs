//! Levee.

/// Commands.
pub mod cli;
pub mod models;
/// Listening sockets.
pub mod server;
/// Logs and metrics.
pub mod telemetry;
