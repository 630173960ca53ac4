//! Refuses who asks too much, before anything is done for it, and tells everybody how much is left
//! (draft-ietf-httpapi-ratelimit-headers-10: `RateLimit`, `RateLimit-Policy`).
//!
//! Who has proved who it is has its own limit; everybody else shares the one of their address. The routes where secrets
//! are tried have a stricter one for each address, whoever asks. The documents, the docs page and the token keys are
//! free.

use poem::http::header::{CONTENT_TYPE, RETRY_AFTER};
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use super::request_id::X_REQUEST_ID;
use crate::error::{ProblemType, problem_body};
use crate::services::identity::{Identity, Visitor};
use crate::services::rate_limits::{Quota, RateLimits, Standing};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Below it everything is limited.
const API: &str = "/api/";
/// Below it secrets are tried by every method but those that only read.
const AUTH: &str = "/api/v1/auth/";

/// The middleware.
pub struct RateLimit {
    limits: RateLimits,
}

impl RateLimit {
    /// Over what counts.
    pub fn new(limits: RateLimits) -> Self {
        Self { limits }
    }
}

/// The endpoint it makes.
pub struct RateLimitEndpoint<E> {
    inner: E,
    limits: RateLimits,
}

impl<E: Endpoint> Middleware<E> for RateLimit {
    type Output = RateLimitEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        RateLimitEndpoint { inner, limits: self.limits.clone() }
    }
}

impl<E: Endpoint> Endpoint for RateLimitEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let Some(standing) = self.count(&request).await else {
            return Ok(self.inner.get_response(request).await.into_response());
        };
        let mut response = match standing.refused {
            Some(_) => refusal(&request, standing),
            None => self.inner.get_response(request).await.into_response(),
        };
        tell(standing, response.headers_mut());
        Ok(response)
    }
}

impl<E> RateLimitEndpoint<E> {
    /// Where the client stands with the limit it is nearest to; `None` where there is none.
    async fn count(&self, request: &Request) -> Option<Standing> {
        let path = request.uri().path();
        if !path.starts_with(API) {
            return None;
        }
        let visitor = request.data::<Visitor>();
        let address = visitor.and_then(|visitor| visitor.address);
        let general = async {
            match visitor.map(|visitor| &visitor.identity) {
                Some(Identity::Known(known)) => self.limits.principal(&known.principal).await,
                _ => self.limits.anonymous(address).await,
            }
        };
        let only_reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let tries = path.starts_with(AUTH) && !only_reads;
        let strict = async { if tries { self.limits.auth(address).await } else { None } };
        let (general, strict) = tokio::join!(general, strict);
        [general, strict]
            .into_iter()
            .flatten()
            .min_by_key(|standing| (standing.refused.is_none(), standing.remaining))
    }
}

fn tell(standing: Standing, headers: &mut HeaderMap) {
    let (name, quota) = (standing.limit.text(), Quota::of(standing.limit));
    let policy = format!("\"{name}\";q={};w={}", quota.requests, quota.window.as_secs());
    let left = format!("\"{name}\";r={};t={}", standing.remaining, whole_seconds(standing.reset));
    for (header, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
        headers.insert(header, HeaderValue::try_from(value).expect("a limit's name and numbers are ASCII"));
    }
    if let Some(after) = standing.refused {
        headers.insert(RETRY_AFTER, whole_seconds(after).max(1).into());
    }
}

fn refusal(request: &Request, standing: Standing) -> Response {
    let instance = format!("request:{}", request.header(X_REQUEST_ID).unwrap_or_default());
    let quota = Quota::of(standing.limit);
    let (requests, seconds) = (quota.requests, quota.window.as_secs());
    let detail =
        format!("The limit is {requests} requests in {seconds} seconds. Retry-After says when to go on.");
    Response::builder()
        .status(StatusCode::TOO_MANY_REQUESTS)
        .header(CONTENT_TYPE, "application/problem+json")
        .body(problem_body(ProblemType::RateLimited, &detail, &instance))
}

/// Rounded up, so that whoever waits that long has waited long enough.
fn whole_seconds(duration: std::time::Duration) -> u64 {
    duration.as_nanos().div_ceil(1_000_000_000) as u64
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use poem::{EndpointExt, endpoint};

    use super::*;
    use crate::telemetry::metrics::Metrics;

    struct Asked {
        status: u16,
        left: Option<String>,
        response: Response,
    }

    async fn ask(limited: &impl Endpoint<Output = Response>, method: Method, path: &str) -> Asked {
        let mut request =
            Request::builder().method(method).uri_str(path).header(X_REQUEST_ID, "r-1").finish();
        let address = Some(IpAddr::from([203, 0, 113, 1]));
        request.set_data(Visitor { identity: Identity::Anonymous, address, request: "r-1".to_owned() });
        let response = limited.get_response(request).await;
        let left = response.header(RATE_LIMIT).map(str::to_owned);
        Asked { status: response.status().as_u16(), left, response }
    }

    fn limited() -> impl Endpoint<Output = Response> {
        let limits = RateLimits::local(Arc::new(Metrics::new("0", "test")));
        endpoint::make_sync(|_| StatusCode::OK).with(RateLimit::new(limits))
    }

    #[tokio::test]
    async fn an_answer_says_how_much_is_left() {
        let limited = limited();
        let asked = ask(&limited, Method::GET, "/api/v1/health").await;
        assert_eq!(asked.left.as_deref(), Some("\"anonymous\";r=99;t=9"));
        assert_eq!(asked.response.header(RATE_LIMIT_POLICY), Some("\"anonymous\";q=100;w=900"));
        assert_eq!(asked.response.header(RETRY_AFTER), None);
    }

    #[tokio::test]
    async fn one_too_many_is_a_problem_that_says_when_to_go_on() {
        let limited = limited();
        for _ in 0..10 {
            assert_eq!(ask(&limited, Method::POST, "/api/v1/auth/login").await.status, 200);
        }
        let asked = ask(&limited, Method::POST, "/api/v1/auth/login").await;
        assert_eq!(asked.status, 429);
        assert_eq!(asked.response.header(RETRY_AFTER), Some("6"));
        assert_eq!(asked.left.as_deref(), Some("\"auth\";r=0;t=60"));
        let body: serde_json::Value = asked.response.into_body().into_json().await.unwrap();
        assert_eq!(body["type"], "https://levee.dev/problems/rate-limited");
        assert_eq!(body["instance"], "request:r-1");
        // Reading who one is tries no secret.
        assert_eq!(ask(&limited, Method::GET, "/api/v1/auth/me").await.status, 200);
    }

    #[tokio::test]
    async fn what_is_public_is_free() {
        let limited = limited();
        for path in ["/openapi.json", "/docs", "/docs/problems", "/.well-known/jwks.json"] {
            assert_eq!(ask(&limited, Method::GET, path).await.left, None, "{path}");
        }
    }
}
