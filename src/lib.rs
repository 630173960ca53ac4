//! Levee.

pub mod models;
