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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::error::Kind;
    use crate::models::principal::{Class, PrincipalKind};

    #[test]
    fn a_role_may_what_the_ones_below_it_may_and_no_role_may_nothing() {
        let may = |own: Option<Role>, needed: Role| {
            let (kind, name) = (PrincipalKind::ServiceAccount, "ci".to_owned());
            let principal = Principal { kind, id: Uuid::nil(), name, role: own, class: Class::Normal };
            demand(&principal, needed).map_err(|refused| refused.kind())
        };
        for (rank, needed) in Role::ALL.into_iter().enumerate() {
            assert_eq!(may(None, needed), Err(Kind::Forbidden));
            for (own_rank, own) in Role::ALL.into_iter().enumerate() {
                assert_eq!(may(Some(own), needed).is_ok(), own_rank >= rank, "{own:?} for {needed:?}");
            }
        }
    }
}
