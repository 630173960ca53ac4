//! Who a request of the control plane comes from.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;

use crate::identity::directory::{Authenticator, Known, Refusal};
use crate::identity::proof;
use crate::models::principal::Actor;

/// What a request's credential says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// It carries none.
    Anonymous,
    /// It proves who it is.
    Known(Known),
    /// It carries one that does not count.
    Refused(Refusal),
}

/// Where a request comes from; the middleware hangs it on every request of the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// Who.
    pub identity: Identity,
    /// The client's address, behind trusted proxies the one they name.
    pub address: Option<IpAddr>,
    /// The request's `X-Request-Id`.
    pub request: String,
}

impl Visitor {
    /// How the audit list names it. Somebody unknown is `anonymous`.
    pub fn actor(&self) -> Actor {
        let (subject, id) = match &self.identity {
            Identity::Known(known) => (known.principal.subject(), Some(known.principal.id)),
            Identity::Anonymous | Identity::Refused(_) => ("anonymous".to_owned(), None),
        };
        Actor { subject, id, address: self.address, request: Some(self.request.clone()) }
    }
}

/// Verifies what requests carry.
#[derive(Clone)]
pub struct IdentityService {
    authenticator: Arc<Authenticator>,
}

impl IdentityService {
    /// Over the directory in force.
    pub fn new(authenticator: Arc<Authenticator>) -> Self {
        Self { authenticator }
    }

    /// Who sends these headers.
    pub fn identify(&self, headers: &HeaderMap) -> Identity {
        let Some(proof) = proof::find(headers, None) else { return Identity::Anonymous };
        match self.authenticator.authenticate(&proof.credential, SystemTime::now()) {
            Ok(known) => Identity::Known(known),
            Err(refusal) => Identity::Refused(refusal),
        }
    }
}
