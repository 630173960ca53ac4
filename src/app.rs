//! The composition root: builds everything, once, in order, and takes it down in reverse.
//!
//! Nothing else constructs a service. Listeners are bound before anything is announced; the ops port answers first
//! and closes last.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache::{self, HttpCache};
use crate::config::{Mode, Settings};
use crate::controller::Controller;
use crate::error::Failure;
use crate::fleet::{Fleet, Replicas};
use crate::gateway::Gateway;
use crate::gateway::access::{Anonymous, Gatekeeper};
use crate::gateway::endpoint::Proxy;
use crate::gateway::peers::Peers;
use crate::gateway::snapshot::Surroundings;
use crate::gateway::transport::{Network, Service};
use crate::identity::directory::Authenticator;
use crate::identity::password::Passwords;
use crate::identity::token::Tokens;
use crate::models::routes::Routes;
use crate::redis::{self, Redis};
use crate::repositories::{PoolLimits, SchemaError, Store, StoreError};
use crate::server::ops::{self, Health, OpsPort, heartbeat};
use crate::server::{Drain, Server};
use crate::services::audit::AuditService;
use crate::services::auth::{self, AuthService};
use crate::services::credentials::CredentialsService;
use crate::services::identity::IdentityService;
use crate::services::publication::kept::KeptState;
use crate::services::publication::{Parts, Publisher};
use crate::services::purges::PurgesService;
use crate::services::rate_limits::RateLimits;
use crate::services::reads::Reads;
use crate::services::registrations::RegistrationsService;
use crate::services::service_accounts::ServiceAccountsService;
use crate::services::service_accounts::last_used::LastUsed;
use crate::services::upstreams::{self, FileFaults, Source, UpstreamFiles};
use crate::services::users::{Accounts, UsersService};
use crate::telemetry::metrics::{Listener, Metrics};
use crate::{api, middleware};

mod breakers;
mod database;
mod issuers;
mod kubernetes;
mod listening;
mod observe;
mod previous_stop;
mod spans;
mod status;
mod sweeping;

use database::Beginning;
use kubernetes::Kubernetes;
use listening::{bind, cannot_bind, own_addresses, serve};
use previous_stop::StopNote;
use spans::Exporting;

/// Connections to the database.
pub(crate) const POOL: PoolLimits =
    PoolLimits { connections: 20, acquire: Duration::from_secs(2), idle: Duration::from_secs(30) };

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
    /// The database cannot be used as it is.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first admin could not be created.
    #[error("the first admin could not be created: {0}")]
    FirstAdmin(#[source] Failure),
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
    store: Store,
    redis: Option<Redis>,
    replicas: Replicas,
    last_used: LastUsed,
    note: StopNote,
    drain: Drain,
    serving: Vec<JoinHandle<()>>,
    /// Ends when the lead was given back.
    controlling: Option<JoinHandle<()>>,
    background: TaskTracker,
    flights: TaskTracker,
    stop: CancellationToken,
    exporting: Exporting,
}

impl App {
    /// Builds and starts everything. The configuration is judged before anything is bound. With a database that cannot
    /// be reached it waits for it: the ops port answers meanwhile that this process is alive and not ready.
    #[expect(
        clippy::too_many_lines,
        reason = "the composition root is one flat list, in the order of what needs what"
    )]
    pub async fn start(settings: Settings, source: Source) -> Result<Self, StartError> {
        let (Some(database_url), Some(ring)) = (settings.database_url.clone(), settings.secret_keys.clone())
        else {
            let needed = "LEVEE_DATABASE_URL and LEVEE_SECRET_KEYS must be given".to_owned();
            return Err(StartError::Configuration(vec![needed]));
        };
        let rules = settings.rules();
        let faults = |faults: Vec<_>| faults.iter().map(ToString::to_string).collect();
        upstreams::read(&source, &rules).map_err(|found| StartError::Configuration(faults(found)))?;
        let kubernetes = kubernetes::find(&settings).await?;
        let data = bind(settings.listen, "LEVEE_LISTEN")?;
        let api = settings.api_listen.map(|address| bind(address, "LEVEE_API_LISTEN")).transpose()?;
        let data_address = data.local_addr();
        let api_address = api.as_ref().map_or(data_address, Server::local_addr);

        let health = Health::new(LIVENESS);
        let metrics = Arc::new(Metrics::new(crate::VERSION, crate::REVISION));
        let (traces, exporting) = spans::start(settings.traces.as_ref(), &metrics)
            .map_err(|fault| StartError::Configuration(vec![fault]))?;
        let drain = Drain::new();
        let (background, flights, stop) = (TaskTracker::new(), TaskTracker::new(), CancellationToken::new());
        let redis = settings.redis.as_ref().map(|address| Redis::connect(address, &settings.redis_prefix));
        let fleet = Fleet::new(redis.clone(), background.clone());
        let tokens = Tokens::new(&ring);
        let authenticator = Authenticator::new(tokens.clone());
        let client = kubernetes.as_ref().map(Kubernetes::client);
        let (authenticator, issuers) = issuers::trusting(authenticator, client, &settings, &ring, &metrics);
        let anonymous = match settings.mode {
            Mode::Dev => Anonymous::FromThisMachine,
            Mode::Serve => Anonymous::Refused,
        };
        let gatekeeper = Gatekeeper::new(Arc::clone(&authenticator), anonymous, Arc::clone(&metrics));
        let http_cache = HttpCache::shared(cache::default_capacity(), &ring.cache_secret(), redis.clone());
        let gateway = Gateway::new(gatekeeper, http_cache, flights.clone());
        gateway.cache().share_with_the_fleet(&background, &stop);
        let file_faults = FileFaults::default();
        let mut connections = vec![(Listener::Proxy, data.open_connections())];
        connections.extend(api.as_ref().map(|api| (Listener::Api, api.open_connections())));
        let (mut note, previous_stop) = StopNote::open(settings.snapshot_dir.as_deref());
        let publishing = observe::Publishing::default();
        let peers = Peers::new(fleet.replicas.id(), Arc::clone(&metrics));
        let sources = observe::ops_sources(observe::Observed {
            metrics: Arc::clone(&metrics),
            gateway: Arc::clone(&gateway),
            health: Arc::clone(&health),
            connections,
            faults: file_faults.clone(),
            publishing: Arc::clone(&publishing),
            previous_stop,
            redis: redis.clone(),
            peers: Arc::clone(&peers),
            issuers: issuers.keys(),
            kubernetes: kubernetes.as_ref().map(Kubernetes::standing),
            replicas: fleet.replicas.clone(),
        });
        let ops = ops::start(settings.ops_listen, Arc::clone(&health), sources)
            .map_err(|source| cannot_bind(settings.ops_listen, "LEVEE_OPS_LISTEN", source))?;
        health.set_started();

        let controller = kubernetes.map(|kubernetes| kubernetes.start(&background, &stop));
        let store = Store::open(database_url.expose_secret(), &POOL).await?;
        let kept = settings.snapshot_dir.clone().map(|folder| KeptState::new(folder, ring.clone()));
        let last_kept = kept.as_ref().and_then(database::read_kept);
        let beginning = database::beginning(&store, settings.mode, last_kept.as_ref()).await?;
        let passwords = Passwords::new();
        let accounts = Accounts::new(store.clone(), passwords.clone());
        if matches!(beginning, Beginning::Database) {
            database::first_admin(&store, &accounts, &settings).await?;
        }

        let mut listeners = vec![data_address, api_address, ops.local_addr()];
        listeners.extend(controller.as_ref().and_then(Controller::api_server));
        let depended =
            store.server().into_iter().chain(settings.redis.iter().flat_map(redis::Address::servers));
        let network = Network::beside(
            depended.map(|(host, port)| Service { host, port }).collect(),
            settings.allowed_cidrs.clone(),
            own_addresses(&listeners),
            background.clone(),
        );
        let around = Surroundings {
            network,
            metrics: Arc::clone(&metrics),
            fleet: fleet.clone(),
            cache: Arc::clone(gateway.cache()),
        };
        let publisher = Publisher::new(Parts {
            store: store.clone(),
            ring: ring.clone(),
            gateway: Arc::clone(&gateway),
            authenticator: Arc::clone(&authenticator),
            around,
            files: UpstreamFiles::new(source, rules, file_faults, Arc::clone(&metrics)),
            kept,
        });
        if let Some(controller) = &controller {
            controller.begin(&publisher, last_kept.and_then(|kept| kept.resources)).await;
        }
        let publishing = publishing.get_or_init(|| Arc::clone(&publisher));
        match beginning {
            Beginning::Database => publishing.load().await,
            Beginning::Kept(stored) => publishing.load_kept(stored).await,
        }
        .map_err(StartError::Configuration)?;

        let limits = match settings.mode {
            Mode::Serve => RateLimits::shared(Arc::clone(&metrics), ring.clone(), redis.clone()),
            Mode::Dev => {
                tracing::info!("there are no rate limits in dev");
                RateLimits::off()
            }
        };
        let credentials = CredentialsService::new(store.clone(), Arc::clone(&publisher), ring.clone());
        let auth = AuthService::new(auth::Parts {
            store: store.clone(),
            publisher: Arc::clone(&publisher),
            passwords,
            ring,
            tokens,
            limits: limits.clone(),
            metrics: Arc::clone(&metrics),
        });
        let heard = redis.as_ref().map(|_| Arc::clone(&peers));
        let reads = Reads::new(Arc::clone(gateway.cache()), Arc::clone(&publisher), &store);
        let services = api::Services {
            auth: auth.clone(),
            users: UsersService::new(store.clone(), accounts, Arc::clone(&publisher), reads.clone()),
            service_accounts: ServiceAccountsService::new(
                store.clone(),
                Arc::clone(&publisher),
                reads.clone(),
            ),
            registrations: RegistrationsService::new(store.clone(), Arc::clone(&publisher)),
            credentials: credentials.clone(),
            breakers: breakers::service(&gateway, heard, &store, &publisher),
            purges: PurgesService::new(Arc::clone(&gateway), store.clone()),
            audit: AuditService::new(store.clone(), reads),
            health: observe::health(&gateway),
        };
        let identity = IdentityService::new(Arc::clone(&authenticator), Arc::clone(&metrics));
        let last_used = LastUsed::new(store.clone(), authenticator);
        let control = middleware::control_plane(
            api::routes(services),
            middleware::Around {
                identity,
                limits,
                metrics: Arc::clone(&metrics),
                traces: traces.clone(),
                routes: Routes::new(api::templates()),
                trusted_proxies: settings.trusted_proxies.clone(),
                cors_origins: settings.cors_origins.clone(),
            },
        );
        let serving = serve(Proxy::new(Arc::clone(&gateway), traces), control, &drain, data, api);
        background.spawn(fleet.replicas.clone().keep_announcing(stop.clone()));
        background.spawn(heartbeat(Arc::clone(&health), stop.clone()));
        background.spawn(Arc::clone(&publisher).watch(stop.clone()));
        background.spawn(credentials.keep_rewrapping(stop.clone()));
        background.spawn(auth.keep_forgetting(stop.clone()));
        background.spawn(last_used.clone().keep_writing(stop.clone()));
        background.spawn(peers.keep_in_touch(Arc::clone(&gateway), redis.clone(), stop.clone()));
        background.spawn(sweeping::sweep(Arc::clone(&gateway), stop.clone()));
        let breakers = breakers::reports(&gateway);
        let controlling = controller
            .map(|controller| background.spawn(controller.run(Arc::clone(&publisher), Box::new(breakers))));
        issuers.begin(&background, stop.clone()).await;
        health.set_ready();
        note.running();
        let (data, api) = (data_address, api_address);
        let app = Self {
            settings,
            data,
            api,
            ops,
            health,
            metrics,
            gateway,
            store,
            redis,
            replicas: fleet.replicas,
            last_used,
            note,
            drain,
            serving,
            controlling,
            background,
            flights,
            stop,
            exporting,
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
    pub async fn stop(mut self) {
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
            self.note.cut();
        } else {
            self.note.clean();
        }
        self.stop.cancel();
        self.background.close();
        kubernetes::ended(self.controlling).await;
        self.last_used.write().await;
        self.exporting.finish().await;
        self.replicas.leave().await;
        if let Some(redis) = &self.redis {
            redis.close().await;
        }
        self.store.close().await;
        self.ops.close().await;
        tracing::info!(took = ?began.elapsed(), "stopped");
    }
}

/// Liveness fails when the main runtime has not run its heartbeat for this long.
const LIVENESS: Duration = Duration::from_secs(10);
