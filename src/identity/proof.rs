//! Which credential a request carries, and whether it is ours: what proves a caller to Levee never goes on to an upstream.

use http::{HeaderMap, HeaderName};

/// A credential of ours, and where it stood.
pub struct Proof<'a> {
    /// The key or token.
    pub credential: &'a str,
    /// The header it stood in, to be stripped.
    pub header: HeaderName,
}

/// The caller's proof, in the contract's order: `Levee-Key`, `Authorization` (Bearer, or the user name of Basic) when
/// the credential is ours, then `key_header` when what it holds is ours. A credential is ours when it begins with
/// `lvk_` or is a JWT with our issuer or audience, valid or not.
pub fn find<'a>(headers: &'a HeaderMap, key_header: Option<&HeaderName>) -> Option<Proof<'a>> {
    todo!()
}
