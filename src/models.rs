//! Values and their invariants: no I/O, no HTTP server, no SQL.

/// Which addresses may be dialled.
pub mod address;

/// The compiled policy.
pub mod policy;
