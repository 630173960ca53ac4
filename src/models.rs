//! Values and their invariants: no I/O, no HTTP server, no SQL.

/// Which addresses may be dialled.
pub mod address;

/// The compiled policy.
pub mod policy;

/// Upstream documents.
pub mod document;

/// What is wrong in a file, and where.
pub mod fault;

/// Reading a document field by field.
pub mod decode;
/// YAML with line numbers.
pub mod node;
