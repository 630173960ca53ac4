//! What wraps the control plane's answers, whichever handler made them.

use std::sync::Arc;

use ipnet::IpNet;
use poem::{Endpoint, EndpointExt, Response};

use self::access_log::AccessLog;
use self::client_address::ClientAddress;
use self::compression::Compression;
use self::cors::Cors;
use self::identify::Identify;
use self::measured::Measured;
use self::rate_limit::RateLimit;
use self::request_id::RequestId;
use self::security_headers::SecurityHeaders;
use self::traced::Traced;
use crate::models::routes::Routes;
use crate::services::identity::IdentityService;
use crate::services::rate_limits::RateLimits;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// A line for every request.
pub mod access_log;
/// Where a request comes from.
pub mod client_address;
/// Smaller answers.
pub mod compression;
/// Pages of other origins.
pub mod cors;
/// Who asks.
pub mod identify;
/// Counts by route.
pub mod measured;
/// Who asks too much.
pub mod rate_limit;
/// A name for every request.
pub mod request_id;
/// What browsers may do with an answer.
pub mod security_headers;
/// A span for every request.
pub mod traced;

/// What the layers stand on.
pub struct Around {
    /// Verifies what requests carry.
    pub identity: IdentityService,
    /// Counts requests.
    pub limits: RateLimits,
    /// Counts answers.
    pub metrics: Arc<Metrics>,
    /// Traces requests.
    pub traces: Traces,
    /// Names paths.
    pub routes: Routes,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may use the API.
    pub cors_origins: Vec<String>,
}

/// Wraps the control plane. Read from the bottom, as a request passes: it gets a name, a span, an address and, if it carries
/// proof, a principal, none of which refuses anybody; it is logged and counted; and then, each before anything the next
/// ones would do: security headers, compression, other origins, the rate limit. Inside, the handlers' signatures ask who
/// may, and only then is a body read and judged.
pub fn control_plane<E: Endpoint + 'static>(endpoint: E, around: Around) -> impl Endpoint<Output = Response> {
    endpoint
        .with(RateLimit::new(around.limits))
        .with(Cors::new(&around.cors_origins))
        .with(Compression)
        // Boxed where the types would nest deeper than the compiler follows.
        .boxed()
        .with(SecurityHeaders)
        .with(Measured::new(around.metrics, around.routes.clone()))
        .with(AccessLog::new(around.routes.clone()))
        .with(Identify::new(around.identity))
        .with(ClientAddress::new(&around.trusted_proxies))
        .with(Traced::new(around.traces, around.routes))
        .boxed()
        .with(RequestId)
}

#[cfg(test)]
mod tests {
    use poem::error::NotFoundError;
    use poem::http::Method;
    use poem::http::header::{CACHE_CONTROL, ORIGIN, X_CONTENT_TYPE_OPTIONS};
    use poem::{Error, Request, endpoint};

    use super::*;

    fn wrapped(inner: impl Endpoint + 'static) -> impl Endpoint<Output = Response> {
        let metrics = Arc::new(Metrics::new("0", "test"));
        let around = Around {
            identity: IdentityService::of_nobody(Arc::clone(&metrics)),
            limits: RateLimits::local(Arc::clone(&metrics)),
            metrics,
            traces: Traces::off(),
            routes: Routes::new(["/api/v1/auth/login".to_owned()]),
            trusted_proxies: Vec::new(),
            cors_origins: vec!["https://console.example.com".to_owned()],
        };
        control_plane(inner, around)
    }

    #[tokio::test]
    async fn every_answer_is_kept_out_of_caches_and_sniffing() {
        let response = wrapped(endpoint::make_sync(|_| "fine")).get_response(Request::default()).await;
        assert_eq!(response.header(CACHE_CONTROL), Some("no-store"));
        assert_eq!(response.header(X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
    }

    #[tokio::test]
    async fn an_error_still_carries_the_request_id() {
        let refuse = endpoint::make_sync(|_| Err::<(), Error>(NotFoundError.into()));
        let response = wrapped(refuse).get_response(Request::default()).await;
        assert_eq!(response.status().as_u16(), 404);
        assert!(response.header(request_id::X_REQUEST_ID).is_some());
    }

    #[tokio::test]
    async fn who_asks_too_much_still_gets_the_headers_of_the_layers_outside() {
        let wrapped = wrapped(endpoint::make_sync(|_| "fine"));
        let ask = || {
            let request = Request::builder().method(Method::POST).uri_str("/api/v1/auth/login");
            wrapped.get_response(request.header(ORIGIN, "https://console.example.com").finish())
        };
        for _ in 0..10 {
            assert_eq!(ask().await.status(), 200);
        }
        let refused = ask().await;
        assert_eq!(refused.status(), 429);
        for name in ["x-request-id", "x-content-type-options", "access-control-allow-origin", "retry-after"] {
            assert!(refused.header(name).is_some(), "{name}");
        }
    }
}
