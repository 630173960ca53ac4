//! Which part answers what: calls below `/proxy/`, the control plane elsewhere.
//!
//! A branch on the raw path instead of a router, because the data plane must see the bytes as they were sent.

use poem::http::Method;
use poem::{Endpoint, Request, Response};

use crate::error::ProblemType;
use crate::gateway::endpoint::{PREFIX, Proxy, refusal};

/// The endpoint of a listener.
pub struct Planes<C> {
    proxy: Proxy,
    control: C,
}

impl Planes<Nothing> {
    /// Calls and nothing else.
    pub fn calls_only(proxy: Proxy) -> Self {
        Self { proxy, control: Nothing }
    }
}

impl<C: Endpoint<Output = Response>> Planes<C> {
    /// Calls and the control plane on one listener.
    pub fn both(proxy: Proxy, control: C) -> Self {
        Self { proxy, control }
    }
}

impl<C: Endpoint<Output = Response>> Endpoint for Planes<C> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if request.method() == Method::CONNECT {
            // It names a host instead of a path, so no plane could find it.
            Ok(refusal(ProblemType::NotSupported, "CONNECT cannot pass through Levee."))
        } else if request.uri().path().starts_with(PREFIX) {
            self.proxy.call(request).await
        } else {
            self.control.call(request).await
        }
    }
}

/// Answers that there is nothing here.
pub struct Nothing;

impl Endpoint for Nothing {
    type Output = Response;

    async fn call(&self, _request: Request) -> poem::Result<Response> {
        Ok(refusal(
            ProblemType::NotFound,
            "Calls go to /proxy/{upstream}/…; the control plane has a port of its own.",
        ))
    }
}
