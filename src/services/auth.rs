//! Signing in and out.

/// Logins, refresh tokens, passwords.
#[derive(Clone)]
pub struct AuthService {}
