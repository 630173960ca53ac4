//! Listening sockets.

/// The ops port.
pub mod ops;
