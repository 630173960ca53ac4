//! People who sign in.

/// Manages users.
#[derive(Clone)]
pub struct UsersService {}
