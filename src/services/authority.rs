//! The second guard: what a handler's signature asks of a caller is asked again where the thing is done.

use crate::error::Failure;
use crate::models::principal::{Principal, Role};

/// Refuses who may not do what needs `role`.
pub(super) fn demand(principal: &Principal, role: Role) -> Result<(), Failure> {
    if principal.may(role) {
        return Ok(());
    }
    Err(Failure::forbidden(format!("This needs the role {}.", role.as_str())))
}
