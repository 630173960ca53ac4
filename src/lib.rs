//! Levee.

pub mod api;
pub mod error;
pub mod middleware;
pub mod models;
pub mod services;
