//! Levee.

pub mod models;
pub mod server;
