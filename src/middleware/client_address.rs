//! Where a request comes from: the peer of the connection or, behind proxies that are trusted, the client they name.
//! The only place that reads `X-Forwarded-For`, `Forwarded` (RFC 7239) and `X-Forwarded-Proto`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use poem::http::header::FORWARDED;
use poem::http::{HeaderMap, HeaderName};
use poem::{Endpoint, Middleware, Request, Result};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What the middleware hangs on every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address; `None` where the transport has none. An IPv4 address is never written as an IPv6 one.
    pub address: Option<IpAddr>,
    /// Whether the client speaks TLS with the trusted proxy in front.
    pub tls: bool,
}

/// The middleware.
pub struct ClientAddress {
    trusted: Arc<[IpNet]>,
}

impl ClientAddress {
    /// `trusted` are the proxies whose word counts; of everybody else only the connection's own address does.
    pub fn new(trusted: &[IpNet]) -> Self {
        Self { trusted: trusted.into() }
    }
}

/// The endpoint it makes.
pub struct ClientAddressEndpoint<E> {
    inner: E,
    trusted: Arc<[IpNet]>,
}

impl<E: Endpoint> Middleware<E> for ClientAddress {
    type Output = ClientAddressEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        ClientAddressEndpoint { inner, trusted: Arc::clone(&self.trusted) }
    }
}

impl<E: Endpoint> Endpoint for ClientAddressEndpoint<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<E::Output> {
        let peer = request.remote_addr().as_socket_addr().map(SocketAddr::ip);
        let client = client(peer, request.headers(), &self.trusted);
        request.set_data(client);
        self.inner.call(request).await
    }
}

fn client(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let Some(peer) = peer.map(|peer| peer.to_canonical()) else {
        return Client { address: None, tls: false };
    };
    if !is_trusted(peer, trusted) {
        return Client { address: Some(peer), tls: false };
    }
    let tls = last_of(headers, &X_FORWARDED_PROTO).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    Client { address: Some(farthest(peer, headers, trusted)), tls }
}

/// The farthest hop whose word can be relied on. A proxy keeps one of the two headers and passes the other on as its
/// client wrote it; as we cannot know which, two that disagree prove nothing beyond the proxy itself.
fn farthest(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let listed = headers.contains_key(X_FORWARDED_FOR).then(|| {
        let entries = elements(headers, &X_FORWARDED_FOR);
        walk(peer, entries.iter().rev().map(|entry| address_of(entry)), trusted)
    });
    let forwarded = headers.contains_key(FORWARDED).then(|| {
        let entries = elements(headers, &FORWARDED);
        walk(peer, entries.iter().rev().map(|entry| forwarded_for(entry)), trusted)
    });
    match (listed, forwarded) {
        (Some(listed), Some(forwarded)) if listed != forwarded => peer,
        (listed, forwarded) => listed.or(forwarded).unwrap_or(peer),
    }
}

/// From the nearest hop outwards: each trusted hop vouches for the one before it. What it names as no address, it does
/// not know either, so it is the farthest that is known.
fn walk(peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> IpAddr {
    let mut nearest = peer;
    for hop in hops {
        let Some(hop) = hop else { return nearest };
        nearest = hop;
        if !is_trusted(hop, trusted) {
            return nearest;
        }
    }
    nearest
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|range| range.contains(&address))
}

/// The elements of a list header over all its lines, the empty ones left out. Commas part them even within quotes (an
/// address has none), and each is read alone: nothing a client writes may swallow what the proxy wrote behind it.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter();
    let parts = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let parts = parts.map(|part| str::from_utf8(part).unwrap_or("unreadable").trim());
    parts.filter(|part| !part.is_empty()).collect()
}

fn last_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    elements(headers, name).pop()
}

/// The `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address_of(node)
}

/// An address as proxies write it: bare, with a port, in brackets, in quotes.
fn address_of(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn seen(peer: &str, lines: &[(&str, &str)]) -> Client {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "fd00::/8"].map(|range| range.parse().unwrap()).into_iter().collect();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        client(Some(peer.parse().unwrap()), &headers, &trusted)
    }

    #[track_caller]
    fn assert_seen(peer: &str, lines: &[(&str, &str)], expected: &str) {
        assert_eq!(seen(peer, lines).address, Some(expected.parse().unwrap()), "{lines:?}");
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn a_stranger_is_not_believed() {
        let lines = [(XFF, "1.1.1.1"), ("forwarded", "for=1.1.1.1"), ("x-forwarded-proto", "https")];
        assert_seen("198.51.100.7", &lines, "198.51.100.7");
        assert!(!seen("198.51.100.7", &lines).tls);
    }

    #[test]
    fn a_trusted_proxy_names_its_client_and_no_farther() {
        assert_seen("10.0.0.1", &[(XFF, "6.6.6.6, 203.0.113.9")], "203.0.113.9");
        assert_seen("10.0.0.1", &[(XFF, "6.6.6.6, 203.0.113.9, 10.0.0.2,10.0.0.3")], "203.0.113.9");
        assert_seen("10.0.0.1", &[(XFF, "6.6.6.6"), (XFF, "203.0.113.9")], "203.0.113.9");
        assert_seen("10.0.0.1", &[(XFF, "10.0.0.3")], "10.0.0.3");
        assert_seen("10.0.0.1", &[], "10.0.0.1");
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (written, meant) in [
            ("203.0.113.9:4711", "203.0.113.9"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
        ] {
            assert_seen("10.0.0.1", &[(XFF, written)], meant);
            let forwarded = format!("proto=https;For=\"{written}\";by=10.0.0.1");
            assert_seen("::ffff:10.0.0.1", &[("forwarded", &forwarded)], meant);
        }
    }

    #[test]
    fn behind_garbage_nobody_is_believed() {
        for garbage in
            ["unknown", "_hidden", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "\"", "]:[", "\u{e9}", "10.0.0.256"]
        {
            assert_seen("10.0.0.1", &[(XFF, &format!("6.6.6.6, {garbage}"))], "10.0.0.1");
            assert_seen("10.0.0.1", &[(XFF, &format!("6.6.6.6, {garbage}, 10.0.0.9"))], "10.0.0.9");
        }
        assert_seen("10.0.0.1", &[("forwarded", "for=6.6.6.6, proto=http")], "10.0.0.1");
        assert_seen("10.0.0.1", &[("forwarded", "for=\"6.6.6.6, for=203.0.113.9")], "203.0.113.9");
    }

    #[test]
    fn two_headers_that_disagree_prove_nothing() {
        assert_seen("10.0.0.1", &[(XFF, "203.0.113.9"), ("forwarded", "for=6.6.6.6")], "10.0.0.1");
        assert_seen("10.0.0.1", &[(XFF, "203.0.113.9"), ("forwarded", "for=203.0.113.9")], "203.0.113.9");
    }

    #[test]
    fn tls_is_what_the_nearest_proxy_says() {
        assert!(seen("10.0.0.1", &[("x-forwarded-proto", "HTTPS")]).tls);
        assert!(!seen("10.0.0.1", &[("x-forwarded-proto", "https, http")]).tls);
        assert!(!seen("10.0.0.1", &[]).tls);
    }
}
