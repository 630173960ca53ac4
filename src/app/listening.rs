//! Listeners: bound before anything is announced, and what stands behind each.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use poem::{Endpoint, Response};
use tokio::task::JoinHandle;

use super::StartError;
use crate::gateway::endpoint::Proxy;
use crate::server::planes::Planes;
use crate::server::{Drain, Limits, Server};

/// Serves calls and the control plane, on one listener or on one each.
pub(super) fn serve(
    proxy: Proxy,
    control: impl Endpoint<Output = Response> + 'static,
    drain: &Drain,
    data: Server,
    api: Option<Server>,
) -> Vec<JoinHandle<()>> {
    match api {
        Some(api) => vec![
            tokio::spawn(data.run(Planes::calls_only(proxy), drain.clone())),
            tokio::spawn(api.run(control, drain.clone())),
        ],
        None => vec![tokio::spawn(data.run(Planes::both(proxy, control), drain.clone()))],
    }
}

/// Binds what a setting names.
pub(super) fn bind(address: SocketAddr, setting: &'static str) -> Result<Server, StartError> {
    Server::bind(address, Limits::default()).map_err(|source| cannot_bind(address, setting, source))
}

/// The setting to look at.
pub(super) fn cannot_bind(address: SocketAddr, setting: &'static str, source: io::Error) -> StartError {
    StartError::Bind { setting, address, source }
}

/// Every address these can be reached at from this machine, as far as they are known: a call to one of our listeners
/// would come back to us.
pub(super) fn own_addresses(listeners: &[SocketAddr]) -> Vec<SocketAddr> {
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    listeners
        .iter()
        .flat_map(|listener| {
            let unspecified = listener.ip().is_unspecified();
            let also = loopback.into_iter().filter(move |_| unspecified);
            also.chain([listener.ip()]).map(|ip| SocketAddr::new(ip, listener.port()))
        })
        .collect()
}
