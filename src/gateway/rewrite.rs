//! Rewrites the references an upstream makes to itself, so that following them leads through Levee again.
//!
//! `Location`, `Content-Location` and `Link` under the upstream's `url` become `/proxy/{upstream}/…`; `Set-Cookie`
//! loses `Domain` and has its `Path` prefixed, because all upstreams share our host.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::models::policy::BaseUrl;

/// Rewrites every reference in a response's headers. `upstream` is the registered name.
pub(super) fn rewrite_response(headers: &mut HeaderMap, base: &BaseUrl, upstream: &str) {
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        replace_all(headers, &name, |value| rewrite_reference(value, base, upstream));
    }
    replace_all(headers, &header::LINK, |value| rewrite_links(value, base, upstream));
    replace_all(headers, &header::SET_COOKIE, |value| Some(rewrite_cookie(value, base, upstream)));
}

fn replace_all(headers: &mut HeaderMap, name: &HeaderName, rewrite: impl Fn(&str) -> Option<String>) {
    if !headers.contains_key(name) {
        return;
    }
    let values: Vec<HeaderValue> =
        headers.get_all(name).iter().filter_map(|value| rewritten(value, &rewrite)).collect();
    headers.remove(name);
    for value in values {
        headers.append(name.clone(), value);
    }
}

/// Bytes that are not ASCII pass as they are: each stands for one character here, and for the same byte again after.
/// A value that cannot be written back is left out, rather than passed on unchanged.
fn rewritten(value: &HeaderValue, rewrite: impl Fn(&str) -> Option<String>) -> Option<HeaderValue> {
    let text: String = value.as_bytes().iter().copied().map(char::from).collect();
    let Some(new) = rewrite(&text) else { return Some(value.clone()) };
    let bytes: Result<Vec<u8>, _> = new.chars().map(u8::try_from).collect();
    HeaderValue::from_bytes(&bytes.ok()?).ok()
}

/// The reference as a caller should follow it, or `None` where it already leads to the right place.
fn rewrite_reference(reference: &str, base: &BaseUrl, upstream: &str) -> Option<String> {
    let path = match split_origin(reference) {
        Some((scheme_https, authority, path)) => {
            if !same_origin(scheme_https, authority, base) {
                return None;
            }
            path
        }
        None if reference.starts_with('/') && !reference.starts_with("//") => reference,
        None => return None,
    };
    match below(path, &base.path) {
        Some(rest) => Some(format!("/proxy/{upstream}{rest}")),
        // Outside the registered part: it cannot be reached through us, so it must not seem to be ours.
        None => Some(format!("{}{path}", origin_text(base))),
    }
}

/// Splits `http(s)://authority/path?query` into its scheme (https?), authority and the rest.
fn split_origin(reference: &str) -> Option<(Option<bool>, &str, &str)> {
    let (https, rest) = if let Some(rest) = strip_scheme(reference, "https://") {
        (Some(true), rest)
    } else if let Some(rest) = strip_scheme(reference, "http://") {
        (Some(false), rest)
    } else {
        (None, reference.strip_prefix("//")?)
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Some((https, &rest[..end], &rest[end..]))
}

fn strip_scheme<'a>(reference: &'a str, scheme: &str) -> Option<&'a str> {
    let head = reference.get(..scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| &reference[scheme.len()..])
}

fn same_origin(https: Option<bool>, authority: &str, base: &BaseUrl) -> bool {
    let https = https.unwrap_or(base.https);
    let default_port = if https { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host, port.parse().unwrap_or(0))
        }
        _ => (authority, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    https == base.https && port == base.port && host.eq_ignore_ascii_case(&base.host)
}

/// What is left of `path` below `prefix`, with its leading slash.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    match rest.as_bytes().first() {
        Some(b'/') => Some(rest),
        None | Some(b'?' | b'#') if !prefix.is_empty() || rest.is_empty() => Some(rest),
        _ => None,
    }
}

fn origin_text(base: &BaseUrl) -> String {
    format!("{}://{}", if base.https { "https" } else { "http" }, base.authority())
}

/// `Link: <target>; rel=next, <…>` (RFC 8288): only the targets change.
fn rewrite_links(value: &str, base: &BaseUrl, upstream: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len() + 16);
    let mut rest = value;
    while let Some(open) = rest.find('<') {
        let close = open + rest[open..].find('>')?;
        out.push_str(&rest[..=open]);
        let target = &rest[open + 1..close];
        out.push_str(&rewrite_reference(target, base, upstream).unwrap_or_else(|| target.to_owned()));
        // The parameters up to the next target stay as they are; a `<` inside quotes is part of them.
        let parameters = &rest[close..];
        let end = end_of_parameters(parameters);
        out.push_str(&parameters[..end]);
        rest = &parameters[end..];
    }
    out.push_str(rest);
    Some(out)
}

fn end_of_parameters(parameters: &str) -> usize {
    let mut quoted = false;
    for (at, byte) in parameters.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    parameters.len()
}

/// Drops `Domain` and prefixes `Path` (RFC 6265 section 4.1.2).
fn rewrite_cookie(value: &str, base: &BaseUrl, upstream: &str) -> String {
    let mut parts = value.split(';');
    let mut out = parts.next().unwrap_or_default().to_owned();
    let mut path = None;
    for part in parts {
        let (name, argument) = part.split_once('=').unwrap_or((part, ""));
        if name.trim().eq_ignore_ascii_case("path") {
            path = Some(argument.trim());
        } else if !name.trim().eq_ignore_ascii_case("domain") {
            out.push(';');
            out.push_str(part);
        }
    }
    if let Some(path) = path {
        let rest = below(path, &base.path).unwrap_or_default();
        let rest = if rest.is_empty() { "/" } else { rest };
        out.push_str("; Path=/proxy/");
        out.push_str(upstream);
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> BaseUrl {
        BaseUrl { https: true, host: "api.example.com".into(), port: 443, path: "/v1".into() }
    }

    #[test]
    fn references_below_the_url_lead_through_levee() {
        for (from, to) in [
            ("https://api.example.com/v1/x?y=1", "/proxy/rates/x?y=1"),
            ("HTTPS://API.example.com:443/v1", "/proxy/rates"),
            ("//api.example.com/v1/x", "/proxy/rates/x"),
            ("/v1/x#f", "/proxy/rates/x#f"),
            ("/v1?q", "/proxy/rates?q"),
            ("/login", "https://api.example.com/login"),
            ("/v10/x", "https://api.example.com/v10/x"),
        ] {
            assert_eq!(rewrite_reference(from, &base(), "rates").as_deref(), Some(to), "{from}");
        }
    }

    #[test]
    fn references_elsewhere_stay() {
        for from in [
            "http://api.example.com/v1/x",
            "https://other.example/v1",
            "x/y",
            "?page=2",
            "https://api.example.com:8443/v1",
        ] {
            assert_eq!(rewrite_reference(from, &base(), "rates"), None, "{from}");
        }
    }

    #[test]
    fn link_targets_change_and_parameters_do_not() {
        let links = r#"<https://api.example.com/v1/x?page=2>; rel="next"; title="a <b>, c", </v1/x>; rel=first, <https://e.org/>; rel=license"#;
        assert_eq!(
            rewrite_links(links, &base(), "rates").as_deref(),
            Some(
                r#"</proxy/rates/x?page=2>; rel="next"; title="a <b>, c", </proxy/rates/x>; rel=first, <https://e.org/>; rel=license"#
            )
        );
    }

    #[test]
    fn values_that_are_not_ascii_are_rewritten_too() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::SET_COOKIE, &b"a=\xfc; Domain=example.com; Path=/"[..]),
            (header::LOCATION, b"/v1/caf\xc3\xa9"),
            (header::LINK, b"</v1/x>; title=\"\xfc\""),
        ] {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        rewrite_response(&mut headers, &base(), "rates");
        assert_eq!(headers[header::SET_COOKIE].as_bytes(), b"a=\xfc; Path=/proxy/rates/");
        assert_eq!(headers[header::LOCATION].as_bytes(), b"/proxy/rates/caf\xc3\xa9");
        assert_eq!(headers[header::LINK].as_bytes(), b"</proxy/rates/x>; title=\"\xfc\"");
    }

    #[test]
    fn cookies_lose_their_domain_and_gain_our_path() {
        assert_eq!(
            rewrite_cookie("a=b; Domain=example.com; Path=/v1/x; Secure; HttpOnly", &base(), "rates"),
            "a=b; Secure; HttpOnly; Path=/proxy/rates/x"
        );
        assert_eq!(rewrite_cookie("a=b; path=/", &base(), "rates"), "a=b; Path=/proxy/rates/");
        assert_eq!(rewrite_cookie("a=b", &base(), "rates"), "a=b");
    }
}
