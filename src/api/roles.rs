//! Roles and classes as the API writes them.

use poem_openapi::Enum;

use crate::models::principal;

/// What a principal may do on the control plane. `viewer` reads; `operator` also changes upstreams and breakers; `admin`
/// also manages users, service accounts, keys and credentials.
#[derive(Enum, Clone, Copy)]
#[oai(rename_all = "snake_case")]
pub(super) enum Role {
    Viewer,
    Operator,
    Admin,
}

/// How much of what is scarce a principal may ask for: caps `Levee-Priority` and chooses its rate limits.
#[derive(Enum, Clone, Copy)]
#[oai(rename_all = "snake_case")]
pub(super) enum Class {
    Low,
    Normal,
    High,
}

impl From<Role> for principal::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Operator => Self::Operator,
            Role::Admin => Self::Admin,
        }
    }
}

impl From<principal::Role> for Role {
    fn from(role: principal::Role) -> Self {
        match role {
            principal::Role::Viewer => Self::Viewer,
            principal::Role::Operator => Self::Operator,
            principal::Role::Admin => Self::Admin,
        }
    }
}

impl From<Class> for principal::Class {
    fn from(class: Class) -> Self {
        match class {
            Class::Low => Self::Low,
            Class::Normal => Self::Normal,
            Class::High => Self::High,
        }
    }
}

impl From<principal::Class> for Class {
    fn from(class: principal::Class) -> Self {
        match class {
            principal::Class::Low => Self::Low,
            principal::Class::Normal => Self::Normal,
            principal::Class::High => Self::High,
        }
    }
}
