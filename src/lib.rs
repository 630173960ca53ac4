//! Levee.

pub mod gateway;
pub mod models;
pub mod server;
pub mod services;
pub mod telemetry;
