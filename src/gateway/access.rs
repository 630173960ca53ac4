//! Who may call without proving who it is.
//!
//! Until callers can be authenticated, only a program on the same machine that is no browser page and no proxy may:
//! a page of any web site can make a browser send requests to `localhost`, and a proxy speaks for strangers.

use std::net::IpAddr;

use http::header::{self, HeaderMap};

/// Why an anonymous call is refused, or `None`.
pub fn refuse_anonymous(
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    authority: Option<&str>,
) -> Option<&'static str> {
    if !peer.is_some_and(|peer| peer.to_canonical().is_loopback()) {
        return Some("anonymous calls are accepted from loopback addresses only");
    }
    let host = authority.or_else(|| headers.get(header::HOST).and_then(|host| host.to_str().ok()));
    if !host.is_some_and(names_this_machine) {
        return Some("anonymous calls must be addressed to localhost: the Host header names another");
    }
    if headers.contains_key(header::ORIGIN) {
        return Some("anonymous calls with an Origin header are refused: they come from a web page");
    }
    let forwarded =
        |name: &http::HeaderName| *name == header::FORWARDED || name.as_str().starts_with("x-forwarded-");
    if headers.keys().any(forwarded) {
        return Some(
            "anonymous calls with a Forwarded or X-Forwarded header are refused: they come through a proxy",
        );
    }
    None
}

fn names_this_machine(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn refused(peer: &str, pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        refuse_anonymous(peer.parse().ok(), &headers, None).is_some()
    }

    #[test]
    fn a_program_on_this_machine_may_call() {
        for host in ["localhost:8080", "LOCALHOST", "127.0.0.1:8080", "127.0.0.2", "[::1]:8080"] {
            assert!(!refused("127.0.0.1", &[("host", host)]), "{host}");
        }
        assert!(!refused("::ffff:127.0.0.1", &[("host", "localhost")]));
    }

    #[test]
    fn strangers_pages_and_proxies_may_not() {
        assert!(refused("10.0.0.1", &[("host", "localhost")]));
        assert!(refused("127.0.0.1", &[]));
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", ""] {
            assert!(refused("127.0.0.1", &[("host", host)]), "{host}");
        }
        for extra in ["origin", "forwarded", "x-forwarded-for"] {
            assert!(refused("127.0.0.1", &[("host", "localhost"), (extra, "x")]), "{extra}");
        }
    }
}
