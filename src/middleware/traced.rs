//! A server span for every request of the control plane, named by the route's template.

use std::sync::Arc;

use poem::http::HeaderMap;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use super::request_id::X_REQUEST_ID;
use crate::models::routes::Routes;
use crate::telemetry::traces::{Trace, TraceName, Traces};

/// The middleware.
pub struct Traced {
    traces: Traces,
    routes: Routes,
}

impl Traced {
    /// `routes` name what is asked for.
    pub fn new(traces: Traces, routes: Routes) -> Self {
        Self { traces, routes }
    }
}

/// The endpoint it makes.
pub struct TracedEndpoint<E> {
    inner: E,
    traces: Traces,
    routes: Routes,
}

/// The trace of a request, for the log.
#[derive(Clone)]
pub struct RequestTrace(pub TraceName);

impl<E: Endpoint> Middleware<E> for Traced {
    type Output = TracedEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        TracedEndpoint { inner, traces: self.traces.clone(), routes: self.routes.clone() }
    }
}

impl<E: Endpoint> Endpoint for TracedEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let route = self.routes.of(request.uri().path());
        let trace = self.traces.request(request.headers(), request.method(), route);
        if let Some(name) = trace.name(request.headers()) {
            request.set_data(RequestTrace(name));
        }
        let open = Open { trace, id: request_id(request.headers()) };
        let response = self.inner.get_response(request).await.into_response();
        open.trace.end_request(&open.id, Some(response.status()));
        Ok(response)
    }
}

fn request_id(headers: &HeaderMap) -> Arc<str> {
    headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().into()
}

/// Ends the span also when the client leaves; where an answer has ended it already, this changes nothing.
struct Open {
    trace: Trace,
    id: Arc<str>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.trace.end_request(&self.id, None);
    }
}
