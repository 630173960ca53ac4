//! Counts the control plane's requests by the template of their route, never by their path.

use std::sync::Arc;
use std::time::Instant;

use poem::{Endpoint, IntoResponse, PathPattern, Request, Response};

use crate::telemetry::metrics::Metrics;

/// An endpoint whose requests are counted and timed.
pub(super) struct Measured<E> {
    inner: E,
    metrics: Arc<Metrics>,
}

impl<E: Endpoint> Measured<E> {
    pub(super) fn new(inner: E, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

impl<E: Endpoint> Endpoint for Measured<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let (method, began) = (request.method().clone(), Instant::now());
        let response = self.inner.call(request).await.map(IntoResponse::into_response);
        let response = response.unwrap_or_else(poem::Error::into_response);
        let route = response.data::<PathPattern>().map(|pattern| &*pattern.0);
        self.metrics.http_request(&method, route, response.status(), began.elapsed());
        Ok(response)
    }
}
