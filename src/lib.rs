//! Levee.

pub mod gateway;
pub mod models;
