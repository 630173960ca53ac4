//! `spec.url`: where an upstream lives.
//!
//! Parsed by hand and strictly. URL parsers differ on odd hosts (`0x7f.1`, `2130706433`, `user@host`), and whatever
//! two of them read differently is a way past the address check. A fault never repeats the URL: it may hold a password.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::models::address;
use crate::models::decode::Place;
use crate::models::policy::BaseUrl;

/// Reads a base URL whose host, where it is a literal address, may be dialled.
pub(super) fn read(place: &Place, allowed: &[IpNet], narrowed: Option<&[IpNet]>) -> Option<BaseUrl> {
    let url = parse(place.text(2048)?).map_err(|reason| place.refuse(reason)).ok()?;
    if let Some(literal) = literal(&url.host)
        && let Some(range) = address::refuse(literal, allowed, narrowed)
    {
        place.refuse(format!("{} is in {range}, which this deployment does not dial", url.host));
        return None;
    }
    Some(url)
}

fn parse(text: &str) -> Result<BaseUrl, &'static str> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "must be plain ASCII without spaces; write an international host in punycode, a path in %XX",
        );
    }
    let (scheme, rest) = text.split_once("://").ok_or("must start with http:// or https://")?;
    let https = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err("must start with http:// or https://"),
    };
    if rest.contains('\\') {
        return Err("must not contain a backslash");
    }
    if rest.contains(['?', '#']) {
        return Err("must not have a query or fragment; callers send the query");
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    if authority.contains('@') {
        return Err("must not hold a user name or password");
    }
    let (host, port) = host_and_port(authority)?;
    let port = port.map_or(Ok(if https { 443 } else { 80 }), port_number)?;
    Ok(BaseUrl { https, host, port, path: base_path(path)? })
}

fn host_and_port(authority: &str) -> Result<(String, Option<&str>), &'static str> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']').ok_or("has a `[` without a `]`")?;
        let address: Ipv6Addr =
            address.parse().map_err(|_| "has no valid IPv6 address between `[` and `]`")?;
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or("has something other than a port after `]`")?),
        };
        return Ok((address.to_string(), port));
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    Ok((host_name(&host.to_ascii_lowercase())?, port))
}

fn host_name(host: &str) -> Result<String, &'static str> {
    if host.is_empty() {
        return Err("has no host");
    }
    if host.ends_with('.') {
        return Err("must not end its host with a dot");
    }
    let last = host.rsplit('.').next().unwrap_or(host);
    let hexadecimal = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let numeric =
        last.bytes().all(|byte| byte.is_ascii_digit()) || last.strip_prefix("0x").is_some_and(hexadecimal);
    if numeric {
        let address: Option<Ipv4Addr> = host.parse().ok();
        return address.map(|address| address.to_string()).ok_or("write the address as four decimal numbers");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(allowed);
    if host.len() > 253 || !host.split('.').all(label) {
        return Err("has no valid host name");
    }
    Ok(host.to_owned())
}

fn port_number(text: &str) -> Result<u16, &'static str> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse::<u16>().ok().filter(|port| digits && *port > 0);
    port.ok_or("has no valid port; use 1 to 65535")
}

fn base_path(path: &str) -> Result<String, &'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    for segment in path.split('/').skip(1) {
        if segment.is_empty() {
            return Err("must not have an empty path segment");
        }
        super::path_template::check_segment(segment)?;
    }
    Ok(path.to_owned())
}

/// The address a host stands for without asking anybody; `localhost` always is the loopback (RFC 6761 section 6.3).
fn literal(host: &str) -> Option<IpAddr> {
    if host == "localhost" || host.ends_with(".localhost") {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    host.parse().ok()
}

/// Ends of names that public DNS has none of (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`, Kubernetes' services).
const PRIVATE_ENDS: &[&str] = &[".localhost", ".local", ".internal", ".home.arpa", ".svc"];

/// Whether a host cannot be a public one: an address in a range that needs the deployer's leave, or a name that only
/// a local resolver knows.
pub(super) fn is_private(host: &str) -> bool {
    literal(host).map_or_else(
        || !host.contains('.') || PRIVATE_ENDS.iter().any(|end| host.ends_with(end)),
        |address| address::refuse(address, &[], None).is_some(),
    )
}
