//! Pools and connections of PostgreSQL.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, Postgres as Driver, Transaction};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pulse::{self, Pulse};
use super::{PoolLimits, PoolReading, StoreError};

/// The channel on which replicas tell each other that the revision was raised.
pub(super) const CHANNEL: &str = "levee revision";

/// A connection that was used within this time is taken to be whole.
const FRESH: Duration = Duration::from_secs(1);

/// The time limits of one statement are the server's, for nothing here may be cut short.
const LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "10s"), ("lock_timeout", "5s"), ("idle_in_transaction_session_timeout", "10s")];

/// A PostgreSQL.
#[derive(Clone)]
pub(super) struct Postgres {
    pool: PgPool,
    plain: Arc<PgConnectOptions>,
    limit: u32,
    pulse: watch::Receiver<Pulse>,
}

impl Postgres {
    /// Connections are made when they are needed; a task watches whether the server is there.
    pub(super) fn open(
        url: &str,
        limits: &PoolLimits,
        hint: Arc<Notify>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, StoreError> {
        let plain = PgConnectOptions::from_str(url)?.application_name("levee");
        let options = plain.clone().options(LIMITS);
        let pool = PgPoolOptions::new()
            .max_connections(limits.connections)
            .acquire_timeout(limits.acquire)
            .idle_timeout(limits.idle)
            // A ping before each use would double the round trips of a read.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > FRESH {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.clone());
        let (feel, pulse) = watch::channel(Pulse::Unknown);
        tasks.spawn(pulse::run(options, feel, hint, stop));
        Ok(Self { pool, plain: Arc::new(plain), limit: limits.connections, pulse })
    }

    /// A connection. The pool knocks at a closed door for as long as it may wait at all; here waiting ends as soon as
    /// the pulse finds that nobody is there. Nothing was begun on a connection then, so none is left half used.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Driver>, StoreError> {
        let mut pulse = self.pulse.clone();
        tokio::select! {
            biased;
            acquired = self.pool.acquire() => Ok(acquired?),
            gone = pulse::gone(&mut pulse) => Err(StoreError::Unavailable(gone)),
        }
    }

    /// Begins a transaction that sees one state.
    pub(super) async fn begin_reading<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Driver>, sqlx::Error> {
        connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin_writing<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Driver>, sqlx::Error> {
        connection.begin().await
    }

    /// Tells the other replicas to look. They look by themselves as well, so nothing depends on it.
    pub(super) async fn tell_others(&self, connection: &mut PgConnection) {
        let told = sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(connection).await;
        if let Err(error) = told {
            tracing::debug!(%error, "the other replicas could not be told of a write");
        }
    }

    /// A connection outside the pool and without its time limits, for migrations.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.plain).await
    }

    pub(super) fn server(&self) -> Option<(String, u16)> {
        let by_network = self.plain.get_socket().is_none() && !self.plain.get_host().starts_with('/');
        by_network.then(|| (self.plain.get_host().to_owned(), self.plain.get_port()))
    }

    pub(super) fn reachable(&self) -> bool {
        matches!(*self.pulse.borrow(), Pulse::There)
    }

    pub(super) fn pools(&self) -> Vec<PoolReading> {
        let idle = self.pool.num_idle() as u32;
        let in_use = self.pool.size().saturating_sub(idle);
        vec![PoolReading { pool: "control", in_use, idle, limit: self.limit }]
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
