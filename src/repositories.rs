//! What is kept: one layer over SQLite (embedded, one process) and PostgreSQL, with the same behaviour on both.
//!
//! One method is one transaction, and runs in a task of its own: a caller who leaves cannot leave a connection in the
//! middle of one. Every write notes its audit entry in the same transaction, raises the revision where the data plane
//! has to learn of it, and answers with that revision.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::postgres::Postgres;
use self::sqlite::Sqlite;
use crate::error::Failure;
use crate::models::principal::Actor;

// One body for both databases.
mod macros;
// How values stand in rows.
mod rows;
// What the databases say.
mod error;
// The two databases.
mod postgres;
mod pulse;
mod sqlite;
// What holds it together.
mod revision;
mod schema;
// What is kept.
mod audit;
mod breakers;
mod credentials;
mod service_accounts;
mod sessions;
mod snapshot;
mod upstreams;
mod users;

/// How many connections, and how long to wait for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLimits {
    /// Most connections of the control plane's pool.
    pub connections: u32,
    /// Longest wait for one.
    pub acquire: Duration,
    /// An unused one is closed after this.
    pub idle: Duration,
}

/// What a write made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<T> {
    /// The state after it.
    pub value: T,
    /// The revision it made; a replica that has applied it knows of this write.
    pub revision: u64,
}

/// What two writers cannot both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Another user has this e-mail address.
    Email,
    /// Another service account has this name.
    ServiceAccountName,
    /// Another upstream has this name.
    UpstreamName,
    /// There would be no enabled admin left.
    LastAdmin,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What was named does not exist.
    #[error("not found")]
    NotFound,
    /// Something else stands in its place.
    #[error("conflict: {0:?}")]
    Conflict(Conflict),
    /// It is in another state than the writer believed.
    #[error("the state is another one than expected")]
    Stale,
    /// Another process has locked this SQLite file.
    #[error("{} is used by another process: SQLite serves one at a time", .0.display())]
    InUse(PathBuf),
    /// The database cannot be reached, or not in time.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database refused what we asked.
    #[error("the database refused: {0}")]
    Refused(#[source] sqlx::Error),
}

/// What is wrong with the schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It is older than this version needs.
    #[error(
        "the database's schema is version {found}, this version of Levee needs {needed}: run `levee migrate`"
    )]
    Older {
        /// The database's.
        found: i64,
        /// Ours.
        needed: i64,
    },
    /// It was made by a newer version that this one cannot work with.
    #[error(
        "the database's schema was changed by a newer Levee and cannot be used by versions below schema {minimum}; this one has {ours}"
    )]
    Newer {
        /// The least schema version that may use it.
        minimum: i64,
        /// Ours.
        ours: i64,
    },
    /// It could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One pool at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolReading {
    /// `control`, `read`, `write`: the label value.
    pub pool: &'static str,
    /// Connections in use.
    pub in_use: u32,
    /// Connections waiting to be used.
    pub idle: u32,
    /// Most there may be.
    pub limit: u32,
}

/// The database.
#[derive(Clone)]
pub struct Store {
    backend: Arc<Backend>,
    hint: Arc<Notify>,
    written: Arc<Written>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Who is told of what this process has written and noted.
#[derive(Default)]
struct Written(OnceLock<Box<dyn Fn() + Send + Sync>>);

/// A store call under way.
type Task<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

enum Backend {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

/// What the body of a write did.
enum Done<T> {
    /// It wrote, and this is noted with it.
    Noted(T, Note),
    /// It wrote what nobody needs to hear of.
    Silent(T),
    /// It wrote nothing that should stay.
    Nothing(T),
}

/// What the audit list is told.
struct Note {
    action: &'static str,
    target: String,
    details: Value,
    actor: Actor,
}

impl Written {
    fn tell(&self) {
        if let Some(tell) = self.0.get() {
            tell();
        }
    }
}

impl Store {
    /// Opens pools over `sqlite://path` or `postgres://…`. A PostgreSQL that is away is no error here: connections are
    /// made when they are needed. SQLite locks its file for this process.
    pub async fn open(url: &str, limits: &PoolLimits) -> Result<Self, StoreError> {
        let (hint, tasks, stop) = (Arc::default(), TaskTracker::new(), CancellationToken::new());
        let backend = if url.starts_with("sqlite:") {
            Backend::Sqlite(Sqlite::open(url, limits).await?)
        } else {
            let (hint, stop) = (Arc::clone(&hint), stop.clone());
            Backend::Postgres(Postgres::open(url, limits, hint, &tasks, stop)?)
        };
        Ok(Self { backend: Arc::new(backend), hint, written: Arc::default(), tasks, stop })
    }

    /// Ends when somebody, here or on another replica, may have raised the revision since the last call. It is a hint:
    /// it may come for nothing, and with a broken connection it does not come, so callers also ask once a second. One
    /// task waits at a time.
    pub async fn hinted(&self) {
        self.hint.notified().await;
    }

    /// From now on calls `tell` after each noted write of this process, once it is committed and before the writer goes on.
    /// One is told; a second call changes nothing.
    pub fn on_write(&self, tell: impl Fn() + Send + Sync + 'static) {
        // The error would be that somebody is told already.
        let _ = self.written.0.set(Box::new(tell));
    }

    /// Whether the database answered when it was last asked.
    pub fn reachable(&self) -> bool {
        match &*self.backend {
            Backend::Postgres(database) => database.reachable(),
            Backend::Sqlite(_) => true,
        }
    }

    /// Host and port of the database server; none where it is a file or a socket.
    pub fn server(&self) -> Option<(String, u16)> {
        match &*self.backend {
            Backend::Postgres(database) => database.server(),
            Backend::Sqlite(_) => None,
        }
    }

    /// The pools now.
    pub fn pools(&self) -> Vec<PoolReading> {
        match &*self.backend {
            Backend::Postgres(database) => database.pools(),
            Backend::Sqlite(database) => database.pools(),
        }
    }

    /// Waits for what is under way and closes every connection.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        match &*self.backend {
            Backend::Postgres(database) => database.close().await,
            Backend::Sqlite(database) => database.close().await,
        }
    }

    /// Runs a task to its end, whether or not the caller stays for it. Boxed, it adds nothing to the depth of its
    /// caller's type.
    async fn detached<T, E>(&self, task: Task<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match self.tasks.spawn(task).await {
            Ok(done) => done,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime cancels a task.
                Err(_) => Err(StoreError::Unavailable(sqlx::Error::PoolClosed).into()),
            },
        }
    }
}

impl From<StoreError> for Failure {
    /// Not found and stale are for the service to word; it matches them before it comes to this.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found("What the request names does not exist."),
            StoreError::Conflict(conflict) => Self::conflict(match conflict {
                Conflict::Email => "Another user has this e-mail address.",
                Conflict::ServiceAccountName => "Another service account has this name.",
                Conflict::UpstreamName => "Another upstream has this name.",
                Conflict::LastAdmin => "This would leave no enabled admin; make another user admin first.",
            }),
            StoreError::Stale => Self::precondition_failed(
                "It was changed since you read it. Read it again, and send its new ETag as If-Match.",
            ),
            StoreError::Unavailable(cause) => Self::unavailable(cause),
            in_use @ StoreError::InUse(_) => Self::internal(in_use),
            StoreError::Refused(cause) => Self::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests;
