//! Counts every request of the control plane by route template, never by path.

use std::sync::Arc;
use std::time::Instant;

use poem::{Endpoint, PathPattern, Request, Response, Result};

use crate::telemetry::metrics::Metrics;

/// An endpoint whose answers are counted and timed.
pub struct Measured<E> {
    inner: E,
    metrics: Arc<Metrics>,
}

impl<E: Endpoint<Output = Response>> Measured<E> {
    /// Measures an endpoint. What it answers without having matched a route counts as no route.
    pub fn new(inner: E, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Measured<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let (method, began) = (request.method().clone(), Instant::now());
        let response = self.inner.get_response(request).await;
        // What falls through to the routes nested at the root bears the root as its template.
        let route = response.data::<PathPattern>().map(|pattern| &*pattern.0).filter(|route| route.len() > 1);
        self.metrics.http_request(&method, route, response.status(), began.elapsed());
        Ok(response)
    }
}
