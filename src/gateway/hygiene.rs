//! What may pass between a caller and an upstream: paths, methods and headers (RFC 9110 section 7.6, RFC 9112).
//!
//! The bytes matched are the bytes forwarded: nothing is decoded, normalised or re-encoded on the way.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Why a request target is refused, or `None`.
///
/// A piece that is `.` or `..` once `%2e` is decoded and the piece is split at every spelling of a slash could
/// mean another resource to the upstream than the one the policy was matched against.
pub(super) fn refuse_path(path: &str) -> Option<&'static str> {
    if path.contains('\\') || contains_escape(path, *b"5c") {
        return Some("the path has a backslash");
    }
    if path.contains('\0') || contains_escape(path, *b"00") {
        return Some("the path has a NUL");
    }
    // Only a dot, plain or encoded, can make a dot segment: most paths stop here.
    if !path.contains('.') && !contains_escape(path, *b"2e") {
        return None;
    }
    let decoded = path.replace("%2e", ".").replace("%2E", ".").replace("%2F", "/").replace("%2f", "/");
    decoded
        .split('/')
        .any(|piece| piece == "." || piece == "..")
        .then_some("the path has a `.` or `..` segment, plain or encoded")
}

fn contains_escape(path: &str, hex: [u8; 2]) -> bool {
    path.as_bytes().windows(3).any(|window| window[0] == b'%' && window[1..].eq_ignore_ascii_case(&hex))
}

/// Headers that belong to one hop (RFC 9110 section 7.6.1) and never travel further.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers by which a caller could speak for a proxy, or that only mean something to us, or that each attempt sets anew.
const NOT_FORWARDED: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::FORWARDED,
    header::EXPECT,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("http2-settings"),
];

/// Removes hop-by-hop headers and those the `Connection` header names.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let nominated: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in nominated {
            headers.remove(name);
        }
    }
    remove_where(headers, |name| HOP_BY_HOP.contains(name));
}

/// Makes a caller's headers fit to be sent to an upstream: hop-by-hop first, then what would let the caller
/// speak for a proxy, then everything that is ours.
pub(super) fn clean_request(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    remove_where(headers, |name| {
        let text = name.as_str();
        NOT_FORWARDED.contains(name) || text.starts_with("levee-") || text.starts_with("x-forwarded-")
    });
}

/// Makes an upstream's headers fit to be sent to a caller.
pub(super) fn clean_response(status: StatusCode, headers: &mut HeaderMap) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // The body was read by its chunks, whatever the length beside them says (RFC 9112 section 6.3).
        headers.remove(header::CONTENT_LENGTH);
    }
    strip_hop_by_hop(headers);
    remove_where(headers, |name| name.as_str().starts_with("levee-"));
    // Another party's page must not run as if it were ours: every upstream shares our origin.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let mut types = headers.get_all(header::CONTENT_TYPE).iter().peekable();
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless && (types.peek().is_none() || !types.all(is_passive)) {
        headers.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    }
}

/// Whether a browser that is shown it as a page runs nothing of it. What is not known is not trusted.
fn is_passive(content_type: &HeaderValue) -> bool {
    let Ok(text) = content_type.to_str() else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("image", kind)) => !kind.ends_with("xml"),
        Some(("audio" | "video" | "font", _)) => true,
        Some(("text", kind)) => matches!(kind, "plain" | "css" | "csv" | "javascript" | "event-stream"),
        Some(("application", kind)) => {
            kind.ends_with("+json")
                || matches!(
                    kind,
                    "json" | "x-ndjson" | "javascript" | "octet-stream" | "zip" | "gzip" | "grpc"
                )
        }
        _ => false,
    }
}

/// Looks at the names there are: to look each doomed one up would cost a hash apiece, and hardly any is ever there.
fn remove_where(headers: &mut HeaderMap, is_doomed: impl Fn(&HeaderName) -> bool) {
    if !headers.keys().any(&is_doomed) {
        return;
    }
    let doomed: Vec<HeaderName> = headers.keys().filter(|name| is_doomed(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// What a request asks of the protocol beyond a plain exchange.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UpgradeWish {
    /// None, or an offer of cleartext HTTP/2 that a server may ignore (RFC 9110 section 7.8).
    Ignorable,
    /// WebSocket or another protocol, which a gateway of calls cannot give.
    Demanded,
}

/// Tells whether a request insists on another protocol. Java's client offers `h2c` with every request.
pub(super) fn upgrade_wish(headers: &HeaderMap) -> UpgradeWish {
    let mut offers = headers
        .get_all(header::UPGRADE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    if offers.any(|offer| !offer.eq_ignore_ascii_case(b"h2c") && !offer.is_empty()) {
        UpgradeWish::Demanded
    } else {
        UpgradeWish::Ignorable
    }
}

/// How a request's `Via` header looks from here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loop {
    /// It has not been here.
    No,
    /// It has passed through this process, or through too many of our kind.
    Yes,
}

/// More hops through Levee than any deliberate chain has.
const MOST_HOPS: usize = 8;

/// Looks for this process's pseudonym in `Via` (RFC 9110 section 7.6.3), or for more of our kind than a chain has.
pub(super) fn detect_loop(headers: &HeaderMap, pseudonym: &str) -> Loop {
    let mut hops = 0;
    for value in headers.get_all(header::VIA) {
        for member in value.as_bytes().split(|byte| *byte == b',') {
            let by = member.trim_ascii().split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            if by == pseudonym.as_bytes() {
                return Loop::Yes;
            }
            hops += usize::from(by.starts_with(b"levee-"));
        }
    }
    if hops >= MOST_HOPS { Loop::Yes } else { Loop::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_in_every_spelling_are_refused() {
        for path in [
            "/a/../b",
            "/..",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a%2f..%2fb",
            "/./a",
            "/a/%2e",
            "/a%5c..",
            "/a\\b",
            "/%00",
        ] {
            assert!(refuse_path(path).is_some(), "{path}");
        }
    }

    #[test]
    fn an_encoded_slash_and_ordinary_dots_pass() {
        for path in ["/projects/group%2Fname", "/v1.2/x", "/a..b", "/...", "//a", "/%41", ""] {
            assert_eq!(refuse_path(path), None, "{path}");
        }
    }

    #[test]
    fn nominated_and_proxy_headers_do_not_travel() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "x-secret, close"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("x-forwarded-for", "1.2.3.4"),
            ("forwarded", "for=1"),
            ("levee-timeout", "1s"),
            ("host", "a"),
            ("baggage", "k=v"),
            ("accept", "text/plain"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        clean_request(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn what_a_browser_may_run_is_sandboxed() {
        let cleaned = |status: StatusCode, types: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in types {
                headers.append(header::CONTENT_TYPE, HeaderValue::from_bytes(value).unwrap());
            }
            clean_response(status, &mut headers);
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            headers.contains_key(header::CONTENT_SECURITY_POLICY)
        };
        for active in [
            &[&b"Text/HTML; charset=utf-8"[..]][..],
            &[b"text/html; x=\xfc"],
            &[b"text/xml"],
            &[b"application/xml"],
            &[b"application/xhtml+xml"],
            &[b"image/svg+xml"],
            &[b"application/json", b"text/html"],
            &[b"application/json, text/html"],
            &[b""],
            &[],
        ] {
            assert!(cleaned(StatusCode::OK, active), "{active:?}");
        }
        for passive in
            ["application/json", "Application/Problem+JSON; v=1", "text/plain", "image/png", "video/mp4"]
        {
            assert!(!cleaned(StatusCode::OK, &[passive.as_bytes()]), "{passive}");
        }
        assert!(!cleaned(StatusCode::NOT_MODIFIED, &[]), "there is nothing to run");
    }

    #[test]
    fn only_other_protocols_than_h2c_are_demanded() {
        let mut headers = HeaderMap::new();
        assert_eq!(upgrade_wish(&headers), UpgradeWish::Ignorable);
        headers.insert(header::UPGRADE, HeaderValue::from_static("h2c"));
        assert_eq!(upgrade_wish(&headers), UpgradeWish::Ignorable);
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        assert_eq!(upgrade_wish(&headers), UpgradeWish::Demanded);
    }

    #[test]
    fn a_loop_is_seen_by_pseudonym_or_by_length() {
        let mut headers = HeaderMap::new();
        headers.append(header::VIA, HeaderValue::from_static("1.1 edge, 1.1 levee-a"));
        assert_eq!(detect_loop(&headers, "levee-a"), Loop::Yes);
        assert_eq!(detect_loop(&headers, "levee-b"), Loop::No);
        for _ in 0..7 {
            headers.append(header::VIA, HeaderValue::from_static("1.1 levee-c"));
        }
        assert_eq!(detect_loop(&headers, "levee-b"), Loop::Yes);
    }
}
