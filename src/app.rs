//! The composition root: builds everything, once, in order, and takes it down in reverse.
//!
//! Nothing else constructs a service. Listeners are bound before anything is announced; the ops port answers first
//! and closes last.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache::{self, HttpCache};
use crate::config::Settings;
use crate::gateway::Gateway;
use crate::gateway::endpoint::Proxy;
use crate::gateway::snapshot::Surroundings;
use crate::gateway::transport::Network;
use crate::models::document::Rules;
use crate::server::ops::{self, Health, OpsPort, heartbeat};
use crate::server::planes::{LocalOnly, Planes};
use crate::server::{Drain, Limits, Server};
use crate::services::upstreams::{self, FileFaults, Source, UpstreamsService};
use crate::telemetry::metrics::Metrics;
use crate::{api, middleware};

mod observe;

/// How often connections that idled too long and cached answers past use are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong: every fault.
    #[error("{}", .0.join("\n"))]
    Configuration(Vec<String>),
    /// An address could not be bound.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Bind {
        /// Which setting names it.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Signals could not be listened for.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
}

/// A running process.
pub struct App {
    settings: Settings,
    data: SocketAddr,
    api: SocketAddr,
    ops: OpsPort,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    gateway: Arc<Gateway>,
    drain: Drain,
    serving: Vec<JoinHandle<()>>,
    background: TaskTracker,
    flights: TaskTracker,
    stop: CancellationToken,
}

impl App {
    /// Builds and starts everything. The configuration is judged before anything is bound.
    pub fn start(settings: Settings, source: Source) -> Result<Self, StartError> {
        let rules = Rules { allowed_cidrs: settings.allowed_cidrs.clone() };
        let faults = |faults: Vec<_>| faults.iter().map(ToString::to_string).collect();
        upstreams::read(&source, &rules).map_err(|found| StartError::Configuration(faults(found)))?;
        let data = bind(settings.listen, "LEVEE_LISTEN")?;
        let api = settings.api_listen.map(|address| bind(address, "LEVEE_API_LISTEN")).transpose()?;
        let data_address = data.local_addr();
        let api_address = api.as_ref().map_or(data_address, Server::local_addr);

        let health = Health::new(LIVENESS);
        let metrics = Arc::new(Metrics::new(crate::VERSION, crate::REVISION));
        let drain = Drain::new();
        let (background, flights, stop) = (TaskTracker::new(), TaskTracker::new(), CancellationToken::new());
        let gateway = Gateway::new(HttpCache::new(cache::default_capacity()), flights.clone());
        let file_faults = FileFaults::default();
        let open = observe::OpenConnections { proxy: data.open(), api: api.as_ref().map(Server::open) };
        let sources = observe::ops_sources(&metrics, &gateway, open, &file_faults);
        let ops = ops::start(settings.ops_listen, Arc::clone(&health), sources)
            .map_err(|source| cannot_bind(settings.ops_listen, "LEVEE_OPS_LISTEN", source))?;
        health.set_started();

        let listeners = [data_address, api_address, ops.local_addr()];
        let network =
            Network::new(settings.allowed_cidrs.clone(), own_addresses(&listeners), background.clone());
        let around = Surroundings { network, metrics: Arc::clone(&metrics) };
        let upstreams = UpstreamsService::new(source, rules, Arc::clone(&gateway), around, file_faults);
        upstreams.load().map_err(StartError::Configuration)?;

        let serving = serve(&gateway, Arc::clone(&metrics), &drain, data, api);
        background.spawn(heartbeat(Arc::clone(&health), stop.clone()));
        background.spawn(Arc::new(upstreams).watch(stop.clone()));
        background.spawn(sweep(Arc::clone(&gateway), stop.clone()));
        health.set_ready();
        let (data, api) = (data_address, api_address);
        let app = Self {
            settings,
            data,
            api,
            ops,
            health,
            metrics,
            gateway,
            drain,
            serving,
            background,
            flights,
            stop,
        };
        tracing::info!(data = %app.data, api = %app.api, ops = %app.ops.local_addr(), "ready");
        Ok(app)
    }

    /// The data plane's address, with the port that was picked.
    pub fn data_address(&self) -> SocketAddr {
        self.data
    }

    /// The control plane's address.
    pub fn api_address(&self) -> SocketAddr {
        self.api
    }

    /// The ops port's address.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops.local_addr()
    }

    /// Runs the stopping sequence to its end: announce, serve on for a while, stop accepting, finish what is in
    /// flight, close the ops port last.
    pub async fn stop(self) {
        self.health.set_draining();
        self.metrics.draining();
        self.gateway.stop_retrying();
        let began = Instant::now();
        let limit = self.settings.drain_timeout;
        tracing::info!(delay = ?self.settings.drain_delay, timeout = ?limit, "draining");
        let cut = self.drain.run_to_end(self.settings.drain_delay, limit).await;
        for server in self.serving {
            if let Err(panicked) = server.await {
                tracing::error!(%panicked, "a listener ended badly");
            }
        }
        self.flights.close();
        let left = (self.settings.drain_delay + limit).saturating_sub(began.elapsed());
        let flights_cut = tokio::time::timeout(left, self.flights.wait()).await.is_err();
        if cut > 0 || flights_cut {
            tracing::warn!(
                connections = cut,
                flights = self.flights.len(),
                "the drain overran; the rest was cut"
            );
        }
        self.stop.cancel();
        self.background.close();
        self.ops.close().await;
        tracing::info!(took = ?began.elapsed(), "stopped");
    }
}

/// Liveness fails when the main runtime has not run its heartbeat for this long.
const LIVENESS: Duration = Duration::from_secs(10);

fn serve(
    gateway: &Arc<Gateway>,
    metrics: Arc<Metrics>,
    drain: &Drain,
    data: Server,
    api: Option<Server>,
) -> Vec<JoinHandle<()>> {
    let services = api::Services { breakers: observe::breakers(gateway), health: observe::health(gateway) };
    let control = LocalOnly::new(middleware::control_plane(api::routes(services), metrics));
    let proxy = Proxy::new(Arc::clone(gateway));
    match api {
        Some(api) => vec![
            tokio::spawn(data.run(Planes::calls_only(proxy), drain.clone())),
            tokio::spawn(api.run(control, drain.clone())),
        ],
        None => vec![tokio::spawn(data.run(Planes::both(proxy, control), drain.clone()))],
    }
}

fn bind(address: SocketAddr, setting: &'static str) -> Result<Server, StartError> {
    Server::bind(address, Limits::default()).map_err(|source| cannot_bind(address, setting, source))
}

fn cannot_bind(address: SocketAddr, setting: &'static str, source: io::Error) -> StartError {
    StartError::Bind { setting, address, source }
}

/// Every address our listeners can be reached at on this machine, as far as they are known: a call to one of them
/// would come back to us.
fn own_addresses(listeners: &[SocketAddr]) -> Vec<SocketAddr> {
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

/// Drops what nobody will use: connections that idled too long, cached answers past their last use.
async fn sweep(gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! { () = stop.cancelled() => return, _ = ticks.tick() => {} }
        let now = Instant::now();
        for live in gateway.snapshot().all() {
            live.transport.sweep(now);
        }
        gateway.cache().sweep(now);
    }
}

#[cfg(test)]
mod control_plane_tests;
