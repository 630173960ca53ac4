//! Who is calling: users and service accounts, what they may do, and how they are named.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a principal may do on the control plane; each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also changes upstreams, breakers, caches and deliveries.
    Operator,
    /// Also manages users, service accounts, keys and credentials.
    Admin,
}

impl Role {
    /// Every role, from the least to the most.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// As written in documents, tokens and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// How much of what is scarce a principal may ask for: caps `Levee-Priority` and chooses its rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Class {
    /// Batch work.
    Low,
    /// Most programs.
    #[default]
    Normal,
    /// What customers wait for.
    High,
}

impl Class {
    /// Every class, from the least to the most.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// As written in documents and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The class that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// What kind of caller a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person, named by e-mail address.
    User,
    /// A program, named by its service account.
    ServiceAccount,
    /// A program in a cluster, named by namespace and name of its service account there.
    KubernetesServiceAccount,
}

impl PrincipalKind {
    /// The prefix of its names in `access.allow`, logs and the audit list.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceAccount => "sa",
            Self::KubernetesServiceAccount => "k8s",
        }
    }
}

/// A caller that proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// User or program.
    pub kind: PrincipalKind,
    /// Its identifier; stays when it is renamed.
    pub id: Uuid,
    /// E-mail address, name of the service account, or its namespace and name (`payments/checkout`).
    pub name: String,
    /// What it may do on the control plane; `None`: nothing.
    pub role: Option<Role>,
    /// What it may ask for on the data plane.
    pub class: Class,
}

impl Principal {
    /// `user:ada@example.com`, `sa:billing`, `k8s:payments/checkout`: how `access.allow`, logs and the audit list name it.
    pub fn subject(&self) -> String {
        format!("{}:{}", self.kind.prefix(), self.name)
    }

    /// Whether it may do what needs `role`.
    pub fn may(&self, role: Role) -> bool {
        self.role.is_some_and(|own| own >= role)
    }
}

/// Who did something, for the audit list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `user:…`, `sa:…`, or `system:…` for Levee itself and its command line.
    pub subject: String,
    /// The principal's id; `None` for the system.
    pub id: Option<Uuid>,
    /// The address it came from.
    pub address: Option<IpAddr>,
    /// The request's `X-Request-Id`.
    pub request: Option<String>,
}

impl Actor {
    /// Levee itself: `system:cli`, `system:bootstrap`.
    pub fn system(part: &str) -> Self {
        Self { subject: format!("system:{part}"), id: None, address: None, request: None }
    }
}
