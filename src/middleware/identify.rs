//! Finds out who asks, and hangs it on the request for everything inside. It refuses nobody: which operation needs whom
//! stands in the handlers' signatures.

use poem::{Endpoint, Middleware, Request, Result};

use super::client_address::Client;
use super::request_id::X_REQUEST_ID;
use crate::services::identity::{IdentityService, Visitor};

/// The middleware.
pub struct Identify {
    service: IdentityService,
}

impl Identify {
    /// Over what verifies credentials.
    pub fn new(service: IdentityService) -> Self {
        Self { service }
    }
}

/// The endpoint it makes.
pub struct IdentifyEndpoint<E> {
    inner: E,
    service: IdentityService,
}

impl<E: Endpoint> Middleware<E> for Identify {
    type Output = IdentifyEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        IdentifyEndpoint { inner, service: self.service.clone() }
    }
}

impl<E: Endpoint> Endpoint for IdentifyEndpoint<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<E::Output> {
        let visitor = Visitor {
            identity: self.service.identify(request.headers()),
            address: request.data::<Client>().and_then(|client| client.address),
            request: request.header(X_REQUEST_ID).unwrap_or_default().to_owned(),
        };
        request.set_data(visitor);
        self.inner.call(request).await
    }
}
