//! Levee.

pub mod error;
pub mod models;
