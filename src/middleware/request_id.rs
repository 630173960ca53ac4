//! Gives every request a name: the caller's `X-Request-Id` when it is sane, otherwise a new one that sorts by time.
//! Inside, the request's own header holds it; outside, the answer's.

use poem::http::{HeaderName, HeaderValue};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use uuid::Uuid;

/// Where the name travels, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const LONGEST: usize = 128;

/// The middleware.
pub struct RequestId;

/// The endpoint it makes.
pub struct RequestIdEndpoint<E>(E);

impl<E: Endpoint> Middleware<E> for RequestId {
    type Output = RequestIdEndpoint<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        RequestIdEndpoint(endpoint)
    }
}

impl<E: Endpoint> Endpoint for RequestIdEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let id = request.headers().get(X_REQUEST_ID).filter(|id| is_sane(id)).cloned().unwrap_or_else(new_id);
        request.headers_mut().insert(X_REQUEST_ID, id.clone());
        let mut response = match self.0.call(request).await {
            Ok(response) => response.into_response(),
            Err(error) => error.into_response(),
        };
        response.headers_mut().insert(X_REQUEST_ID, id);
        Ok(response)
    }
}

/// It goes into logs and problem bodies, so nothing that could be mistaken for their syntax.
fn is_sane(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=LONGEST).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn new_id() -> HeaderValue {
    HeaderValue::try_from(Uuid::now_v7().to_string()).expect("a UUID is hexadecimal digits and hyphens")
}

#[cfg(test)]
mod tests {
    use poem::{EndpointExt, endpoint};

    use super::*;

    async fn answered(sent: &[u8]) -> (String, String) {
        let echo = endpoint::make_sync(|request| request.header(X_REQUEST_ID).unwrap_or_default().to_owned());
        let request =
            Request::builder().header(X_REQUEST_ID, HeaderValue::from_bytes(sent).unwrap()).finish();
        let response = echo.with(RequestId).get_response(request).await;
        let outside = response.header(X_REQUEST_ID).unwrap().to_owned();
        (response.into_body().into_string().await.unwrap(), outside)
    }

    #[tokio::test]
    async fn a_sane_id_is_kept() {
        let longest = "a".repeat(128);
        for id in ["job-7_a.B", longest.as_str()] {
            assert_eq!(answered(id.as_bytes()).await, (id.to_owned(), id.to_owned()));
        }
    }

    #[tokio::test]
    async fn an_insane_id_is_replaced_inside_and_outside_alike() {
        let too_long = "a".repeat(129);
        for id in [b"".as_slice(), b"a b", b"a\"b", "\u{e9}".as_bytes(), too_long.as_bytes()] {
            let (inside, outside) = answered(id).await;
            assert_eq!(inside, outside);
            assert_eq!(Uuid::parse_str(&outside).unwrap().get_version_num(), 7);
        }
    }
}
