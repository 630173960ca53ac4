//! Counts every request of the control plane by route template, never by path.

use std::sync::Arc;
use std::time::Instant;

use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use crate::models::routes::Routes;
use crate::telemetry::metrics::Metrics;

/// The middleware.
pub struct Measured {
    metrics: Arc<Metrics>,
    routes: Routes,
}

impl Measured {
    /// `routes` name what is asked for; anything else counts as no route.
    pub fn new(metrics: Arc<Metrics>, routes: Routes) -> Self {
        Self { metrics, routes }
    }
}

/// The endpoint it makes.
pub struct MeasuredEndpoint<E> {
    inner: E,
    metrics: Arc<Metrics>,
    routes: Routes,
}

impl<E: Endpoint> Middleware<E> for Measured {
    type Output = MeasuredEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        MeasuredEndpoint { inner, metrics: Arc::clone(&self.metrics), routes: self.routes.clone() }
    }
}

impl<E: Endpoint> Endpoint for MeasuredEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let (method, began) = (request.method().clone(), Instant::now());
        let route = self.routes.of(request.uri().path()).map(str::to_owned);
        let response = self.inner.get_response(request).await.into_response();
        self.metrics.http_request(&method, route.as_deref(), response.status(), began.elapsed());
        Ok(response)
    }
}
