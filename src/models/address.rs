//! Which addresses an upstream may never, or only with the deployer's leave, be dialled at.
//!
//! An upstream is a URL somebody else wrote. Without this check it could name the loopback, the private network or a
//! cloud's metadata service, and the gateway would fetch it for them (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The loopback ranges, which `dev` allows.
pub const LOOPBACK: [IpNet; 2] = [v4(127, 0, 0, 0, 8), v6([0, 0, 0, 0, 0, 0, 0, 1], 128)];

/// Says why `addr` must not be dialled, naming the range it is in, or `None` when it may be.
///
/// `allowed` is the deployer's list of private ranges that upstreams may reach; `narrowed`, an upstream's own list,
/// can only take away from it. Public addresses need no leave. Link-local and metadata addresses get none.
/// An IPv4 address inside an IPv6 one (mapped, translated, NAT64, 6to4, Teredo) has to pass too, so that allowing
/// a NAT64 prefix does not open the private network behind it.
pub fn refuse(addr: IpAddr, allowed: &[IpNet], narrowed: Option<&[IpNet]>) -> Option<&'static str> {
    let inner = match addr {
        IpAddr::V4(_) => [None, None],
        IpAddr::V6(address) => embedded(address).map(|found| found.map(IpAddr::V4)),
    };
    let faces = || std::iter::once(addr).chain(inner.into_iter().flatten());
    faces().find_map(|face| range_of(face, NEVER)).or_else(|| {
        faces().find_map(|face| {
            let range = range_of(face, DENIED)?;
            (!permitted(face, allowed, narrowed)).then_some(range)
        })
    })
}

fn permitted(addr: IpAddr, allowed: &[IpNet], narrowed: Option<&[IpNet]>) -> bool {
    let listed = |ranges: &[IpNet]| ranges.iter().any(|range| range.contains(&addr));
    listed(allowed) && narrowed.is_none_or(listed)
}

fn range_of(addr: IpAddr, table: &[(IpNet, &'static str)]) -> Option<&'static str> {
    table.iter().find(|(range, _)| range.contains(&addr)).map(|(_, name)| *name)
}

/// The IPv4 addresses that a packet to this IPv6 address may end up at: none, one, or Teredo's server and client.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let bytes = address.octets();
    let at = |places: [usize; 4]| Some(Ipv4Addr::from(places.map(|place| bytes[place])));
    match address.segments() {
        // The unspecified address and the loopback embed nothing.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        // IPv4-compatible, IPv4-mapped, IPv4-translated, NAT64's well-known prefix.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            [at([12, 13, 14, 15]), None]
        }
        [0x64, 0xff9b, 1, ..] => [at(nat64_layout(&bytes)), None],
        [0x2002, ..] => [at([2, 3, 4, 5]), None],
        // RFC 4380 section 4: the client's address has its bits inverted.
        [0x2001, 0, ..] => [at([4, 5, 6, 7]), Some(Ipv4Addr::from(at_end(&bytes).map(|byte| !byte)))],
        _ => [None, None],
    }
}

/// Where RFC 6052 section 2.2 puts the IPv4 address under a local NAT64 prefix, whose length only the zeros after
/// the address tell (/48, /56, /64, else /96).
fn nat64_layout(bytes: &[u8; 16]) -> [usize; 4] {
    let zero_from = |start: usize| bytes[start..].iter().all(|byte| *byte == 0);
    if zero_from(11) {
        [6, 7, 9, 10]
    } else if zero_from(12) {
        [7, 9, 10, 11]
    } else if zero_from(13) {
        [9, 10, 11, 12]
    } else {
        [12, 13, 14, 15]
    }
}

fn at_end(bytes: &[u8; 16]) -> [u8; 4] {
    [bytes[12], bytes[13], bytes[14], bytes[15]]
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn v6(parts: [u16; 8], length: u8) -> IpNet {
    let mut bits = 0;
    let mut index = 0;
    while index < parts.len() {
        bits = bits << 16 | parts[index] as u128;
        index += 1;
    }
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), length))
}

/// No list opens these: what answers there hands out the machine's own credentials.
const NEVER: &[(IpNet, &str)] = &[
    (v4(169, 254, 0, 0, 16), "169.254.0.0/16 (link-local and cloud metadata; can never be allowed)"),
    (v4(168, 63, 129, 16, 32), "168.63.129.16 (Azure's host endpoint; can never be allowed)"),
    (v4(100, 100, 100, 200, 32), "100.100.100.200 (Alibaba Cloud metadata; can never be allowed)"),
    (v4(192, 0, 0, 192, 32), "192.0.0.192 (Oracle Cloud metadata; can never be allowed)"),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), "fd00:ec2::254 (AWS metadata; can never be allowed)"),
    (
        v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
        "fd20:ce::254 (Google Cloud metadata; can never be allowed)",
    ),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "fe80::/10 (link-local; can never be allowed)"),
];

/// The special-purpose ranges of the IANA registries (RFC 6890), and what only exists inside somebody's network.
const DENIED: &[(IpNet, &str)] = &[
    (v4(0, 0, 0, 0, 8), "0.0.0.0/8 (this host)"),
    (v4(10, 0, 0, 0, 8), "10.0.0.0/8 (private)"),
    (v4(100, 64, 0, 0, 10), "100.64.0.0/10 (carrier-grade NAT)"),
    (v4(127, 0, 0, 0, 8), "127.0.0.0/8 (loopback)"),
    (v4(172, 16, 0, 0, 12), "172.16.0.0/12 (private)"),
    (v4(192, 0, 0, 0, 24), "192.0.0.0/24 (protocol assignments)"),
    (v4(192, 0, 2, 0, 24), "192.0.2.0/24 (documentation)"),
    (v4(192, 88, 99, 0, 24), "192.88.99.0/24 (6to4 relay)"),
    (v4(192, 168, 0, 0, 16), "192.168.0.0/16 (private)"),
    (v4(198, 18, 0, 0, 15), "198.18.0.0/15 (benchmarking)"),
    (v4(198, 51, 100, 0, 24), "198.51.100.0/24 (documentation)"),
    (v4(203, 0, 113, 0, 24), "203.0.113.0/24 (documentation)"),
    (v4(224, 0, 0, 0, 4), "224.0.0.0/4 (multicast)"),
    (v4(240, 0, 0, 0, 4), "240.0.0.0/4 (reserved and broadcast)"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), ":: (unspecified)"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "::1 (loopback)"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "::/96 (IPv4-compatible)"),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "::ffff:0:0/96 (IPv4-mapped)"),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), "::ffff:0:0:0/96 (IPv4-translated)"),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "64:ff9b::/96 (NAT64)"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "64:ff9b:1::/48 (local NAT64)"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "100::/64 (discard)"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "2001::/32 (Teredo)"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "2001:db8::/32 (documentation)"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "2002::/16 (6to4)"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "3fff::/20 (documentation)"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "5f00::/16 (segment routing)"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "fc00::/7 (unique local)"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "fec0::/10 (site-local)"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "ff00::/8 (multicast)"),
];

#[cfg(test)]
mod tests;
