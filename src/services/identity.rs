//! Who a request of the control plane comes from.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::identity::directory::{Authenticator, Known, Refusal};
use crate::identity::proof;
use crate::models::principal::Actor;
use crate::telemetry::metrics::Metrics;

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

/// Verifies what requests carry, and counts what it refuses.
#[derive(Clone)]
pub struct IdentityService {
    authenticator: Arc<Authenticator>,
    metrics: Arc<Metrics>,
}

impl IdentityService {
    /// Over the directory in force.
    pub fn new(authenticator: Arc<Authenticator>, metrics: Arc<Metrics>) -> Self {
        Self { authenticator, metrics }
    }

    /// One that knows nobody, for tests of what stands round it.
    #[cfg(test)]
    pub(crate) fn of_nobody(metrics: Arc<Metrics>) -> Self {
        use crate::identity::{ring::KeyRing, token::Tokens};
        let ring = KeyRing::parse(&KeyRing::generate("test")).expect("it is a ring");
        Self::new(Arc::new(Authenticator::new(Tokens::new(&ring))), metrics)
    }

    /// Who sends these headers. There is nobody behind the control plane whom a foreign credential could be meant for.
    pub fn identify(&self, headers: &HeaderMap) -> Identity {
        let known = match proof::find(headers, None) {
            Some(proof) => self.authenticator.authenticate(&proof.credential, SystemTime::now()),
            None if headers.contains_key(AUTHORIZATION) => Err(Refusal::Malformed),
            None => return Identity::Anonymous,
        };
        match known {
            Ok(known) => Identity::Known(known),
            Err(refusal) => {
                self.metrics.auth_failure(refusal.into());
                Identity::Refused(refusal)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{Format, Readings};

    fn identified(pairs: &[(&'static str, &'static str)]) -> (Identity, String) {
        let metrics = Arc::new(Metrics::new("0", "test"));
        let service = IdentityService::of_nobody(Arc::clone(&metrics));
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let identity = service.identify(&headers.collect());
        (identity, metrics.render(Format::Prometheus, &Readings::default()))
    }

    #[test]
    fn a_credential_that_is_refused_is_counted_by_its_reason() {
        for header in [("authorization", "Bearer theirs"), ("levee-key", "lvk_1")] {
            let (identity, metrics) = identified(&[header]);
            assert_eq!(identity, Identity::Refused(Refusal::Malformed));
            assert!(metrics.contains("auth_failures_total{reason=\"malformed\"} 1"), "{metrics}");
        }
    }

    #[test]
    fn who_sends_nothing_is_nobody_and_no_failure() {
        let (identity, metrics) = identified(&[("x-api-key", "lvk_1")]);
        assert_eq!(identity, Identity::Anonymous);
        assert!(metrics.contains("auth_failures_total{reason=\"malformed\"} 0"), "{metrics}");
    }
}
