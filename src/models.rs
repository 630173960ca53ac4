//! Values and their invariants: no I/O, no HTTP server, no SQL.

/// The compiled policy.
pub mod policy;

/// Which addresses may be dialled.
pub mod address;
