//! What proves who somebody is, and what keeps secrets: passwords, tokens, API keys, the key ring, sealed envelopes.
//!
//! Pure computation: nothing here reads a database or a network. The control plane issues with it, both planes verify
//! with it. No type of this module prints a secret.

/// API keys.
pub mod api_key;
/// Who there is, and what proves it, as one immutable value.
pub mod directory;
/// Sealing secrets.
pub mod envelope;
/// Tokens of other issuers.
pub mod issuer;
/// Refresh tokens and password resets: opaque secrets.
pub mod opaque;
/// Hashing passwords, a few at a time.
pub mod password;
/// Which credential a request carries.
pub mod proof;
/// The keys everything else is derived from.
pub mod ring;
/// Access tokens.
pub mod token;
