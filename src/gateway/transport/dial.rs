//! From an upstream's host to a TCP connection: resolve, check every address, dial the checked ones.
//!
//! The address that was checked is the one that is dialled: a name that resolves differently a moment later
//! (DNS rebinding) gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;

use super::failure::{SendFailure, SendFailureKind};
use super::lookup::{Lookups, Progress};
use crate::models::address;

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;
/// How long one address may keep the next waiting (RFC 8305 section 8).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Where this process may dial at all.
pub(super) struct Border {
    allowed: Vec<IpNet>,
    /// Our own listeners.
    forbidden: Vec<SocketAddr>,
    services: Vec<Service>,
    lookups: Arc<Lookups>,
}

/// A service we ourselves depend on, by the host and port of its settings: no upstream may lead there, however private
/// ranges are opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Border {
    pub(super) fn new(
        allowed: Vec<IpNet>,
        forbidden: Vec<SocketAddr>,
        services: Vec<Service>,
        tracker: TaskTracker,
    ) -> Self {
        Self { allowed, forbidden, services, lookups: Lookups::new(tracker) }
    }

    fn refusal(&self, address: SocketAddr, narrowed: Option<&[IpNet]>) -> Option<&'static str> {
        let ip = address.ip().to_canonical();
        let is_own = |own: &SocketAddr| {
            own.port() == address.port()
                && (own.ip().to_canonical() == ip || (own.ip().is_unspecified() && is_this_machine(ip)))
        };
        if self.forbidden.iter().any(is_own) {
            return Some("a listener of Levee's own");
        }
        address::refuse(address.ip(), &self.allowed, narrowed)
    }
}

/// Only an address of this machine can be bound to. Asked only for ports that a wildcard listener of ours has.
fn is_this_machine(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

/// Dials one upstream.
pub(super) struct Dialler {
    pub(super) border: Arc<Border>,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) narrowed: Option<Vec<IpNet>>,
}

impl Dialler {
    /// Resolves anew and connects, all before `deadline`.
    pub(super) async fn dial(&self, deadline: Instant) -> Result<TcpStream, SendFailure> {
        let found = self.resolve(&self.host, deadline).await?;
        let services = self.services_at_this_port(deadline).await;
        for address in &found {
            let is_service = services.contains(&address.ip().to_canonical());
            let service = is_service.then_some("a service that Levee depends on");
            let refusal = service.or_else(|| self.border.refusal(*address, self.narrowed.as_deref()));
            if let Some(range) = refusal {
                let detail = format!("{:?} resolves to {}: {range}", self.host, address.ip());
                return Err(SendFailure::unsent(
                    SendFailureKind::DestinationRefused,
                    "destination_ip_prohibited",
                    detail,
                ));
            }
        }
        let addresses = interleaved(found);
        let connected = timeout_at(deadline, race(&addresses)).await;
        let stream = connected
            .map_err(|_| too_slow("connection_timeout", &format!("connecting to {addresses:?}")))??;
        // A segment held back costs latency, not correctness: no reason to give up a good connection.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// The addresses of what we depend on, asked for only where the port is the same. One whose name does not resolve
    /// has none that could be dialled.
    async fn services_at_this_port(&self, deadline: Instant) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for service in self.border.services.iter().filter(|service| service.port == self.port) {
            let found = self.resolve(&service.host, deadline).await.unwrap_or_default();
            addresses.extend(found.iter().map(|address| address.ip().to_canonical()));
        }
        addresses
    }

    async fn resolve(&self, host: &str, deadline: Instant) -> Result<Vec<SocketAddr>, SendFailure> {
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(literal, self.port)]);
        }
        let mut lookup = self.border.lookups.ask(host);
        let ended = timeout_at(deadline, lookup.wait_for(|now| matches!(now, Progress::Done(_)))).await;
        let progress = ended.map(|told| told.map(|progress| progress.clone()));
        match progress {
            Ok(Ok(Progress::Done(Ok(found)))) if found.is_empty() => Err(no_address()),
            Ok(Ok(Progress::Done(Ok(found)))) => {
                Ok(found.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect())
            }
            Ok(Ok(Progress::Done(Err(reason)))) => Err(unresolved(host, &reason)),
            Ok(_) => Err(unresolved(host, "the look-up ended early")),
            Err(_) if *lookup.borrow() == Progress::InLine => Err(no_thread(host)),
            Err(_) => Err(too_slow("dns_timeout", &format!("resolving {host:?}"))),
        }
    }
}

fn unresolved(host: &str, reason: &str) -> SendFailure {
    let detail = format!("resolving {host:?}: {reason}");
    SendFailure::unsent(SendFailureKind::Dns, "dns_error", detail)
}

/// Other names' look-ups took all the time there was: nothing is known of this upstream.
fn no_thread(host: &str) -> SendFailure {
    let detail = format!("resolving {host:?}: too many look-ups of other names are under way");
    SendFailure::unsent(SendFailureKind::Exhausted, "proxy_internal_error", detail)
}

/// The two families by turns, beginning with the resolver's first choice, each in the resolver's order
/// (RFC 8305 section 4).
fn interleaved(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let v6_first = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == v6_first);
    let mut second = second.into_iter();
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    for address in first {
        ordered.push(address);
        ordered.extend(second.next());
    }
    ordered.extend(second);
    ordered.dedup();
    ordered.truncate(MOST_ADDRESSES);
    ordered
}

/// The first address to answer wins; the next is tried when one fails, or keeps us waiting.
async fn race(addresses: &[SocketAddr]) -> Result<TcpStream, SendFailure> {
    let mut waiting = addresses.iter().copied();
    let mut under_way = FuturesUnordered::new();
    let mut last = None;
    loop {
        under_way.extend(
            waiting.next().map(|address| async move { (address, TcpStream::connect(address).await) }),
        );
        tokio::select! {
            biased;
            ended = under_way.next() => match ended {
                Some((_, Ok(stream))) => return Ok(stream),
                Some((address, Err(error))) => {
                    let detail = format!("connecting to {address}: {error}");
                    last = Some(connect_failure(&error, address, detail));
                }
                None => return Err(last.unwrap_or_else(no_address)),
            },
            () = sleep(NEXT_ADDRESS_AFTER), if waiting.len() > 0 => {}
        }
    }
}

fn no_address() -> SendFailure {
    SendFailure::unsent(SendFailureKind::Dns, "dns_error", "no address".to_owned())
}

fn too_slow(token: &'static str, what: &str) -> SendFailure {
    SendFailure::unsent(SendFailureKind::ConnectTimeout, token, format!("{what} took too long"))
}

fn connect_failure(error: &io::Error, address: SocketAddr, detail: String) -> SendFailure {
    if is_exhaustion(error, address) {
        return SendFailure::unsent(SendFailureKind::Exhausted, "proxy_internal_error", detail);
    }
    let token = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection_refused",
        io::ErrorKind::TimedOut => "connection_timeout",
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => "destination_ip_unroutable",
        _ => "connection_terminated",
    };
    SendFailure::unsent(SendFailureKind::Connect, token, detail)
}

fn is_exhaustion(error: &io::Error, address: SocketAddr) -> bool {
    // Linux: no file descriptors in the process, or the system; no memory; no buffer space.
    const EXHAUSTED: [i32; 4] = [24, 23, 12, 105];
    // No local port is left. For IPv6 the same error says that this machine has no IPv6.
    let no_port = error.kind() == io::ErrorKind::AddrNotAvailable && address.is_ipv4();
    no_port || error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code))
}

#[cfg(test)]
mod tests;
