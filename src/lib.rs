//! Levee.

pub mod api;
pub mod app;
pub mod cache;
pub mod cli;
pub mod config;
pub mod error;
pub mod gateway;
pub mod middleware;
pub mod models;
pub mod server;
pub mod services;
pub mod telemetry;

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The git revision it was built from, `unknown` outside a clone.
pub const REVISION: &str = env!("LEVEE_GIT_REVISION");
