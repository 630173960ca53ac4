//! What every answer tells a browser: nothing is sniffed, framed, cached or loaded, unless the answer says otherwise.

use poem::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use poem::http::{HeaderName, HeaderValue};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use super::client_address::Client;

/// Set where an answer has none of its own: only the docs page loads something, only what is public may be cached.
const UNLESS_SET: [(HeaderName, &str); 2] =
    [(CACHE_CONTROL, "no-store"), (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'")];

/// Set whatever an answer says.
const ALWAYS: [(HeaderName, &str); 3] =
    [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (X_FRAME_OPTIONS, "DENY"), (REFERRER_POLICY, "no-referrer")];

/// Two years, of this name alone: what else runs under the domain is not ours to bind.
const HSTS: &str = "max-age=63072000";

/// The middleware.
pub struct SecurityHeaders;

/// The endpoint it makes.
pub struct SecurityHeadersEndpoint<E>(E);

impl<E: Endpoint> Middleware<E> for SecurityHeaders {
    type Output = SecurityHeadersEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        SecurityHeadersEndpoint(inner)
    }
}

impl<E: Endpoint> Endpoint for SecurityHeadersEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let tls = request.data::<Client>().is_some_and(|client| client.tls);
        let mut response = self.0.get_response(request).await.into_response();
        let headers = response.headers_mut();
        for (name, value) in UNLESS_SET {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        for (name, value) in ALWAYS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if tls {
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use poem::{EndpointExt, endpoint};

    use super::*;

    #[tokio::test]
    async fn an_answer_may_set_what_it_loads_but_not_that_it_is_sniffed() {
        let page = endpoint::make_sync(|_| {
            Response::builder()
                .header(CONTENT_SECURITY_POLICY, "default-src 'self'")
                .header(X_CONTENT_TYPE_OPTIONS, "sniff")
                .finish()
        });
        let response = page.with(SecurityHeaders).get_response(Request::default()).await;
        assert_eq!(response.header(CONTENT_SECURITY_POLICY), Some("default-src 'self'"));
        assert_eq!(response.header(X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
        assert_eq!(response.header(CACHE_CONTROL), Some("no-store"));
    }

    #[tokio::test]
    async fn only_who_speaks_tls_is_told_to_stay_with_it() {
        for tls in [true, false] {
            let mut request = Request::default();
            request.set_data(Client { address: None, tls });
            let response = endpoint::make_sync(|_| "").with(SecurityHeaders).get_response(request).await;
            assert_eq!(response.header(STRICT_TRANSPORT_SECURITY).is_some(), tls);
        }
    }
}
