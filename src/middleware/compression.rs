//! Compresses text answers over 1 KiB with gzip (RFC 9110 section 8.4) for clients that accept it.
//!
//! An entity tag stays as it is: it names the state of a resource for `If-Match`, however the answer was written down.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use http_body::Body as _;
use http_body_util::combinators::BoxBody;
use poem::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY,
};
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode};
use poem::{Body, Endpoint, IntoResponse, Middleware, Request, Response, Result};

/// Below it compressing saves less than a packet.
const LEAST: u64 = 1024;
/// Above it an answer is not held in memory a second time.
const MOST: u64 = 8 << 20;

/// The middleware.
pub struct Compression;

/// The endpoint it makes.
pub struct CompressionEndpoint<E>(E);

impl<E: Endpoint> Middleware<E> for Compression {
    type Output = CompressionEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        CompressionEndpoint(inner)
    }
}

impl<E: Endpoint> Endpoint for CompressionEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let wanted = accepts_gzip(request.headers()) && request.method() != Method::HEAD;
        let mut response = self.0.get_response(request).await.into_response();
        let body: BoxBody<Bytes, io::Error> = response.take_body().into();
        let whole = body.size_hint().exact().is_some_and(|size| (LEAST..=MOST).contains(&size));
        response.set_body(Body::from(body));
        if !whole || !may_be_compressed(&response) {
            return Ok(response);
        }
        response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
        Ok(if wanted { compressed(response).await } else { response })
    }
}

async fn compressed(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let written = match body.into_bytes().await {
        Ok(bytes) => gzip(&bytes),
        Err(error) => Err(io::Error::other(error)),
    };
    match written {
        Ok(bytes) => {
            parts.headers.remove(CONTENT_LENGTH);
            parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Response::from_parts(parts, Body::from(bytes))
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be compressed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The bytes as one gzip member.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Level::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// What an answer itself says; it does not depend on who asks.
fn may_be_compressed(response: &Response) -> bool {
    let headers = response.headers();
    let text = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(is_text);
    let sealed = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let sealed = sealed.is_some_and(|value| value.to_ascii_lowercase().contains("no-transform"));
    let partial = response.status() == StatusCode::PARTIAL_CONTENT;
    text && !sealed && !partial && !headers.contains_key(CONTENT_ENCODING)
}

fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || matches!(&*essence, "application/json" | "application/yaml" | "application/javascript")
}

/// Whether `Accept-Encoding` allows gzip (RFC 9110 section 12.5.3): by name or by `*`, the name counting more; a weight
/// of zero forbids. Without the header the client would have to take anything, but most that send none take nothing.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut named, mut any, mut plain) = (None, None, None);
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    for coding in lines.flat_map(|line| line.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.to_ascii_lowercase().strip_prefix("q=").map(str::to_owned));
        let weight = weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0_f32));
        match &*name {
            "gzip" | "x-gzip" => named = Some(weight),
            "*" => any = Some(weight),
            "identity" => plain = Some(weight),
            _ => {}
        }
    }
    let weight = named.or(any).unwrap_or(0.0);
    weight > 0.0 && plain.is_none_or(|plain| weight >= plain)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use poem::{EndpointExt, endpoint};

    use super::*;

    fn json(length: usize) -> Response {
        Response::builder()
            .content_type("application/json; x=y")
            .header("etag", "\"7\"")
            .body("j".repeat(length))
    }

    async fn sent(response: impl Fn() -> Response + Send + Sync, method: Method, accepted: &str) -> Response {
        let request = Request::builder().method(method).header(ACCEPT_ENCODING, accepted).finish();
        endpoint::make_sync(move |_| response()).with(Compression).get_response(request).await
    }

    #[tokio::test]
    async fn long_text_is_compressed_for_who_accepts_it() {
        let response = sent(|| json(1024), Method::GET, "br, gzip").await;
        assert_eq!(response.header(CONTENT_ENCODING), Some("gzip"));
        assert_eq!(response.header(VARY), Some("Accept-Encoding"));
        assert_eq!(response.header("etag"), Some("\"7\""));
        let bytes = response.into_body().into_vec().await.unwrap();
        assert!(bytes.len() < 200);
        let mut text = String::new();
        GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "j".repeat(1024));
    }

    #[tokio::test]
    async fn what_is_short_or_no_text_or_compressed_already_stays() {
        let image = || Response::builder().content_type("image/png").body("p".repeat(5000));
        let encoded = || {
            let builder = Response::builder().content_type("text/css").header(CONTENT_ENCODING, "br");
            builder.body("b".repeat(5000))
        };
        for response in
            [sent(|| json(1023), Method::GET, "gzip").await, sent(image, Method::GET, "gzip").await]
        {
            assert_eq!((response.header(CONTENT_ENCODING), response.header(VARY)), (None, None));
        }
        assert_eq!(sent(encoded, Method::GET, "gzip").await.header(CONTENT_ENCODING), Some("br"));
        // Nothing would be sent of it.
        assert_eq!(sent(|| json(5000), Method::HEAD, "gzip").await.header(CONTENT_ENCODING), None);
    }

    #[tokio::test]
    async fn a_cache_learns_that_others_may_get_it_compressed() {
        let response = sent(|| json(5000), Method::GET, "identity").await;
        assert_eq!(
            (response.header(CONTENT_ENCODING), response.header(VARY)),
            (None, Some("Accept-Encoding"))
        );
    }

    #[test]
    fn weights_are_honoured() {
        for (accepted, gzip) in [
            ("gzip", true),
            ("GZIP;q=0.1", true),
            ("deflate, *", true),
            ("*;q=0.5, gzip;q=0", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity, gzip;q=0.5", false),
            ("identity;q=0.5, gzip", true),
            ("br", false),
            ("gzip;q=x", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(accepts_gzip(&headers), gzip, "{accepted}");
        }
    }
}
