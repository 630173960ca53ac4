//! Levee.

pub mod api;
pub mod cli;
pub mod error;
pub mod middleware;
pub mod models;
pub mod server;
pub mod services;
pub mod telemetry;
