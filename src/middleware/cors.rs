//! Which other origins' pages may use the API (the Fetch standard's CORS protocol): those that are listed, and no others.
//! An answer to a page of another origin is the same as to a program; the browser keeps it from the page.
//!
//! Credentials in cookies do not exist here, so `Access-Control-Allow-Credentials` is never sent, nor is `*`.

use std::collections::BTreeSet;
use std::sync::Arc;

use poem::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use poem::http::{HeaderValue, Method, StatusCode};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, if-match, levee-key, x-request-id";
const ANSWER_HEADERS: &str =
    "etag, location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id";
/// How long a browser may remember a preflight, seconds.
const REMEMBERED: &str = "600";

/// The middleware.
pub struct Cors {
    origins: Arc<BTreeSet<String>>,
}

impl Cors {
    /// `origins` as a browser writes them: `https://console.example.com`.
    pub fn new(origins: &[String]) -> Self {
        Self { origins: Arc::new(origins.iter().map(|origin| origin.to_ascii_lowercase()).collect()) }
    }
}

/// The endpoint it makes.
pub struct CorsEndpoint<E> {
    inner: E,
    origins: Arc<BTreeSet<String>>,
}

impl<E: Endpoint> Middleware<E> for Cors {
    type Output = CorsEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        CorsEndpoint { inner, origins: Arc::clone(&self.origins) }
    }
}

impl<E: Endpoint> Endpoint for CorsEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let allowed = self.allowed(&request);
        let preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let mut response = if preflight && allowed.is_some() {
            answer_preflight()
        } else {
            self.inner.get_response(request).await.into_response()
        };
        if !self.origins.is_empty() {
            response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = allowed {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(ANSWER_HEADERS));
        }
        Ok(response)
    }
}

impl<E> CorsEndpoint<E> {
    fn allowed(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(ORIGIN)?;
        let listed = origin.to_str().is_ok_and(|text| self.origins.contains(&text.to_ascii_lowercase()));
        listed.then(|| origin.clone())
    }
}

fn answer_preflight() -> Response {
    Response::builder()
        .status(StatusCode::NO_CONTENT)
        .header(ACCESS_CONTROL_ALLOW_METHODS, METHODS)
        .header(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS)
        .header(ACCESS_CONTROL_MAX_AGE, REMEMBERED)
        .finish()
}

#[cfg(test)]
mod tests {
    use poem::{EndpointExt, endpoint};

    use super::*;

    async fn asked(method: Method, origin: &str, listed: &[&str]) -> Response {
        let listed: Vec<String> = listed.iter().map(|origin| (*origin).to_owned()).collect();
        let mut request = Request::builder().method(method.clone()).header(ORIGIN, origin);
        if method == Method::OPTIONS {
            request = request.header(ACCESS_CONTROL_REQUEST_METHOD, "PUT");
        }
        let inner = endpoint::make_sync(|_| StatusCode::IM_A_TEAPOT);
        inner.with(Cors::new(&listed)).get_response(request.finish()).await
    }

    #[tokio::test]
    async fn a_listed_origin_may_read_and_change() {
        let listed = ["https://console.example.com"];
        let read = asked(Method::GET, listed[0], &listed).await;
        assert_eq!(read.status(), StatusCode::IM_A_TEAPOT);
        assert_eq!(read.header(ACCESS_CONTROL_ALLOW_ORIGIN), Some(listed[0]));
        assert_eq!(read.header(VARY), Some("Origin"));
        let preflight = asked(Method::OPTIONS, listed[0], &listed).await;
        assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
        assert!(preflight.header(ACCESS_CONTROL_ALLOW_METHODS).unwrap().contains("PUT"));
        assert!(preflight.header(ACCESS_CONTROL_ALLOW_HEADERS).unwrap().contains("authorization"));
    }

    #[tokio::test]
    async fn another_origin_is_told_nothing() {
        let listed = ["https://console.example.com"];
        let near = "https://console.example.com.evil.test";
        for origin in [near, "https://evil.test", "null", "http://console.example.com", "*", ""] {
            for method in [Method::GET, Method::OPTIONS] {
                let answer = asked(method, origin, &listed).await;
                assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT, "{origin}");
                assert_eq!(answer.header(VARY), Some("Origin"));
                assert!(!answer.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
            }
        }
    }

    #[tokio::test]
    async fn without_a_list_there_are_no_other_origins() {
        let answer = asked(Method::GET, "https://console.example.com", &[]).await;
        assert_eq!((answer.header(ACCESS_CONTROL_ALLOW_ORIGIN), answer.header(VARY)), (None, None));
    }
}
