//! Pools and the file of SQLite.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite as Driver, SqliteConnection, Transaction};
use tokio::time::{Instant, sleep};

use super::{PoolLimits, PoolReading, StoreError};

/// Below it, a checkpoint that meets a write can damage a file in WAL mode.
const OLDEST: (u32, u32, u32) = (3, 51, 3);

/// Most connections that only read: each is a thread.
const READERS: u32 = 8;

/// How long to wait for another process to let go of the file: two commands at once queue.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// An SQLite file, used by this process alone.
#[derive(Clone)]
pub(super) struct Sqlite {
    write: SqlitePool,
    read: SqlitePool,
    readers: u32,
    _lock: Arc<File>,
}

impl Sqlite {
    /// Opens the file, which is made, readable by its owner only, where there is none.
    pub(super) async fn open(url: &str, limits: &PoolLimits) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url)?;
        let path = options.get_filename().to_owned();
        if url.contains(":memory:") || url.contains("mode=memory") || path.as_os_str().is_empty() {
            let cause = "SQLite needs a file: sqlite://path/to/levee.db";
            return Err(StoreError::Refused(sqlx::Error::Configuration(cause.into())));
        }
        let lock = lock(&path).await?;
        private(&path).map_err(|error| unusable(&path, error))?;
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true);
        let pool = || SqlitePoolOptions::new().acquire_timeout(limits.acquire).test_before_acquire(false);
        // One writer, kept open: without it the last reader to close would end WAL mode's files under the others.
        let write = pool().max_connections(1).idle_timeout(None).max_lifetime(None);
        let write = write.connect_with(options.clone()).await?;
        judge_version(&write).await?;
        let readers = limits.connections.clamp(1, READERS);
        let read = pool().max_connections(readers).idle_timeout(limits.idle);
        let read = read.connect_lazy_with(options.read_only(true));
        Ok(Self { write, read, readers, _lock: Arc::new(lock) })
    }

    /// The connection that writes.
    pub(super) async fn writer(&self) -> Result<PoolConnection<Driver>, StoreError> {
        Ok(self.write.acquire().await?)
    }

    /// For what only asks.
    pub(super) async fn reader(&self) -> Result<PoolConnection<Driver>, StoreError> {
        Ok(self.read.acquire().await?)
    }

    /// Begins a transaction that sees one state.
    pub(super) async fn begin_reading<'c>(
        &self,
        connection: &'c mut SqliteConnection,
    ) -> Result<Transaction<'c, Driver>, sqlx::Error> {
        connection.begin().await
    }

    /// Begins a transaction that writes, and takes the write lock at once rather than in its middle.
    pub(super) async fn begin_writing<'c>(
        &self,
        connection: &'c mut SqliteConnection,
    ) -> Result<Transaction<'c, Driver>, sqlx::Error> {
        connection.begin_with("BEGIN IMMEDIATE").await
    }

    /// There are no others: the file is this process's.
    #[expect(clippy::unused_async, reason = "the twin of PostgreSQL's")]
    pub(super) async fn tell_others(&self, _connection: &mut SqliteConnection) {}

    pub(super) fn pools(&self) -> Vec<PoolReading> {
        let reading = |name, pool: &SqlitePool, limit| {
            let idle = pool.num_idle() as u32;
            PoolReading { pool: name, in_use: pool.size().saturating_sub(idle), idle, limit }
        };
        vec![reading("write", &self.write, 1), reading("read", &self.read, self.readers)]
    }

    pub(super) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Locks a file beside the database for as long as this process lives.
async fn lock(path: &Path) -> Result<File, StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&beside);
    let file = file.map_err(|error| unusable(&beside, error))?;
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(Duration::from_millis(50)).await,
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(unusable(&beside, error)),
        }
    }
}

/// Makes the file, where there is none, so that only its owner can read it; SQLite gives its other files the same
/// rights.
fn private(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(|_| ())
}

fn unusable(path: &Path, error: io::Error) -> StoreError {
    let cause = io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    StoreError::Refused(sqlx::Error::Io(cause))
}

async fn judge_version(pool: &SqlitePool) -> Result<(), StoreError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await?;
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    if (next(), next(), next()) < OLDEST {
        let cause = format!("SQLite {version} can damage its file; at least 3.51.3 is needed");
        return Err(StoreError::Refused(sqlx::Error::Configuration(cause.into())));
    }
    Ok(())
}
