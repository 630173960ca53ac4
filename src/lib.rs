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
