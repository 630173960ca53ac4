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

/// How a moment is written.
mod moment;

/// Who changed what.
pub mod audit;
/// Upstreams of a Kubernetes cluster.
pub mod custom_resource;
/// Parts of lists.
pub mod page;
/// Who is calling.
pub mod principal;
/// Upstreams as the API keeps them.
pub mod registration;
/// Paths by their templates.
pub mod routes;
/// Programs that call.
pub mod service_account;
/// Refresh tokens and resets.
pub mod session;
/// People who sign in.
pub mod user;
