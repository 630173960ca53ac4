//! `/docs`: the document as a page for people, whole without the internet, and `/docs/problems`: what each problem means.
//!
//! The page is swagger-ui as poem-openapi bundles it, taken out of the one HTML text it comes in: as files of their own
//! its script and style need no exception from a strict content security policy.

use std::io::{self, Write};
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use poem::endpoint::make_sync;
use poem::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, VARY};
use poem::{Endpoint, Request, Response, Route, get};

mod problems;

/// Nothing from elsewhere, nothing inline; swagger-ui draws its icons from `data:` URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A day: the files change with this program's version only.
const CACHED: &str = "public, max-age=86400";

/// What can be read here, for who counts by route and for `Allow`.
pub(super) const PATHS: [&str; 5] =
    ["/docs", "/docs/problems", "/docs/swagger-ui.js", "/docs/swagger-ui.css", "/docs/start.js"];

const PAGE: &str = include_str!("docs/page.html");
const START: &str = include_str!("docs/start.js");

/// Adds the pages to the routes.
pub(super) fn mount(routes: Route) -> Route {
    let page = make_sync(|_| html(PAGE.to_owned()));
    let explained = problems::page();
    let start = make_sync(|_| file("text/javascript; charset=utf-8").body(START));
    routes
        .at("/docs", get(page))
        .at("/docs/problems", get(make_sync(move |_| html(explained.clone()))))
        .at("/docs/start.js", get(start))
        .at("/docs/swagger-ui.js", get(bundled("text/javascript; charset=utf-8", "script")))
        .at("/docs/swagger-ui.css", get(bundled("text/css; charset=utf-8", "style")))
}

fn html(text: String) -> Response {
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(CONTENT_SECURITY_POLICY, POLICY)
        .body(text)
}

fn file(content_type: &str) -> poem::ResponseBuilder {
    Response::builder().content_type(content_type).header(CACHE_CONTROL, CACHED)
}

/// A part of swagger-ui. It is large, so it is compressed once, when it is first asked for.
fn bundled(content_type: &'static str, element: &'static str) -> impl Endpoint<Output = Response> {
    let kept = OnceLock::new();
    make_sync(move |request| {
        let Ok((plain, gzipped)) = kept.get_or_init(|| parts(element).map_err(|error| error.kind())) else {
            return Response::builder().status(poem::http::StatusCode::INTERNAL_SERVER_ERROR).finish();
        };
        let answer = file(content_type).header(VARY, "Accept-Encoding");
        if accepts_gzip(&request) {
            return answer.header(CONTENT_ENCODING, "gzip").body(gzipped.clone());
        }
        answer.body(plain.clone())
    })
}

fn parts(element: &str) -> io::Result<(Bytes, Bytes)> {
    let html = super::service().swagger_ui_html();
    let text = inside(&html, element).ok_or(io::ErrorKind::NotFound)?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    Ok((Bytes::copy_from_slice(text.as_bytes()), encoder.finish()?.into()))
}

/// The text of the first element of this name.
fn inside<'a>(html: &'a str, element: &str) -> Option<&'a str> {
    let (_, rest) = html.split_once(&format!("<{element} "))?;
    let (_, rest) = rest.split_once('>')?;
    rest.split_once(&format!("</{element}>")).map(|(text, _)| text)
}

fn accepts_gzip(request: &Request) -> bool {
    let accepted = request.header(ACCEPT_ENCODING).unwrap_or_default().to_ascii_lowercase();
    accepted.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim() == "gzip" && !weight.trim().starts_with("q=0")
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use poem::http::StatusCode;

    use super::*;

    async fn got(path: &str, accepted: &str) -> Response {
        let request = Request::builder().uri_str(path).header(ACCEPT_ENCODING, accepted).finish();
        mount(Route::new()).get_response(request).await
    }

    #[tokio::test]
    async fn all_that_the_page_names_is_there() {
        let page = got("/docs", "").await;
        assert!(page.header(CONTENT_SECURITY_POLICY).unwrap().starts_with("default-src 'none'"));
        let page = page.into_body().into_string().await.unwrap();
        let named: Vec<_> =
            page.split("=\"docs/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(named.len(), 3);
        for name in named {
            let file = got(&format!("/docs/{name}"), "").await;
            assert_eq!(file.status(), StatusCode::OK, "{name}");
        }
    }

    #[tokio::test]
    async fn nothing_of_the_page_needs_an_exception_from_its_policy() {
        for path in ["/docs", "/docs/problems"] {
            let page = got(path, "").await.into_body().into_string().await.unwrap();
            for inline in ["<style", "<script>", "style=", "onload=", "http://", "//unpkg"] {
                assert!(!page.contains(inline), "{path}: {inline}");
            }
        }
    }

    #[tokio::test]
    async fn the_bundle_comes_whole_compressed_or_not() {
        for (name, begins_with, least) in [("swagger-ui.js", "", 1_000_000), ("swagger-ui.css", "", 100_000)]
        {
            let path = format!("/docs/{name}");
            let plain = got(&path, "gzip;q=0").await;
            assert_eq!(plain.header(CONTENT_ENCODING), None);
            let plain = plain.into_body().into_string().await.unwrap();
            assert!(
                plain.len() > least && plain.starts_with(begins_with) && !plain.contains("</script"),
                "{name}"
            );
            let gzipped = got(&path, "gzip, br").await;
            assert_eq!(gzipped.header(CONTENT_ENCODING), Some("gzip"));
            let gzipped = gzipped.into_body().into_vec().await.unwrap();
            let mut text = String::new();
            flate2::read::GzDecoder::new(&gzipped[..]).read_to_string(&mut text).unwrap();
            assert!(text == plain && gzipped.len() * 2 < plain.len(), "{name}");
        }
    }
}
