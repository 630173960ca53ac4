//! The schema: its migrations, and which versions of Levee can work with it.

use sqlx::{Connection as _, PgConnection, SqliteConnection};

use super::{Backend, SchemaError, Store, StoreError};

/// One step of the schema.
pub(super) struct Migration {
    version: i64,
    /// The least schema version whose Levee can still work with the schema after this step, so that a pod that is
    /// rolled back still starts.
    compatible_from: i64,
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
}

pub(super) const MIGRATIONS: [Migration; 1] = [Migration {
    version: 1,
    compatible_from: 1,
    postgres: include_str!("../../migrations/postgres/0001_control_plane.sql"),
    sqlite: include_str!("../../migrations/sqlite/0001_control_plane.sql"),
}];

/// What this version makes and needs.
pub(super) const OURS: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// The key of PostgreSQL's advisory lock: "levee" in ASCII.
const LOCK: i64 = 0x6c_65_76_65_65;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS levee_schema \
    (id INTEGER PRIMARY KEY CHECK (id = 1), version BIGINT NOT NULL, min_compatible BIGINT NOT NULL)";
const FIND: &str = "SELECT version, min_compatible FROM levee_schema WHERE id = 1";
const SET: &str = "INSERT INTO levee_schema (id, version, min_compatible) VALUES (1, $1, $2) \
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, min_compatible = excluded.min_compatible";
const EXISTS_POSTGRES: &str =
    "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'levee_schema'";
const EXISTS_SQLITE: &str =
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'levee_schema'";

/// What a database says of its schema.
#[derive(Debug, Clone, Copy)]
struct Found {
    version: i64,
    min_compatible: i64,
}

/// No migration has run.
const NONE: Found = Found { version: 0, min_compatible: 0 };

impl Found {
    fn usable(self) -> Result<(), SchemaError> {
        if self.min_compatible > OURS {
            return Err(SchemaError::Newer { minimum: self.min_compatible, ours: OURS });
        }
        if self.version < OURS {
            return Err(SchemaError::Older { found: self.version, needed: OURS });
        }
        Ok(())
    }
}

/// Applies what is missing on either database, inside a transaction.
macro_rules! apply {
    ($connection:expr, $found:expr, $dialect:ident) => {{
        let found: Found = $found;
        if found.min_compatible > OURS {
            return Err(SchemaError::Newer { minimum: found.min_compatible, ours: OURS });
        }
        for step in MIGRATIONS.iter().filter(|step| step.version > found.version) {
            sqlx::raw_sql(step.$dialect).execute(&mut *$connection).await?;
            let set = sqlx::query(SET).bind(step.version).bind(step.compatible_from);
            set.execute(&mut *$connection).await?;
        }
        Ok((found.version, found.version.max(OURS)))
    }};
}

impl Store {
    /// Brings the schema to this version; safe from several places at once. The versions before and after.
    pub async fn migrate(&self) -> Result<(i64, i64), SchemaError> {
        match &*self.backend {
            Backend::Postgres(database) => {
                let database = database.clone();
                let task = async move {
                    drop(database.acquire().await?);
                    migrate_postgres(&mut database.connect().await?).await
                };
                self.detached(Box::pin(task)).await
            }
            Backend::Sqlite(database) => {
                let database = database.clone();
                let task = async move { migrate_sqlite(&mut *database.writer().await?).await };
                self.detached(Box::pin(task)).await
            }
        }
    }

    /// Refuses a schema this version cannot work with.
    pub async fn check_schema(&self) -> Result<(), SchemaError> {
        let found = match &*self.backend {
            Backend::Postgres(database) => {
                let database = database.clone();
                let task = async move { find_postgres(&mut *database.acquire().await?).await };
                self.detached(Box::pin(task)).await
            }
            Backend::Sqlite(database) => {
                let database = database.clone();
                let task = async move { find_sqlite(&mut *database.reader().await?).await };
                self.detached(Box::pin(task)).await
            }
        };
        found?.usable()
    }
}

async fn migrate_postgres(connection: &mut PgConnection) -> Result<(i64, i64), SchemaError> {
    let mut transaction = connection.begin().await?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK);
    lock.execute(&mut *transaction).await?;
    sqlx::query(TABLE).execute(&mut *transaction).await?;
    let found = find_postgres(&mut transaction).await?;
    let versions: Result<_, SchemaError> = apply!(transaction, found, postgres);
    transaction.commit().await?;
    versions
}

async fn migrate_sqlite(connection: &mut SqliteConnection) -> Result<(i64, i64), SchemaError> {
    let mut transaction = connection.begin_with("BEGIN EXCLUSIVE").await?;
    sqlx::query(TABLE).execute(&mut *transaction).await?;
    let found = find_sqlite(&mut transaction).await?;
    let versions: Result<_, SchemaError> = apply!(transaction, found, sqlite);
    transaction.commit().await?;
    versions
}

async fn find_postgres(connection: &mut PgConnection) -> Result<Found, StoreError> {
    let tables: i64 = sqlx::query_scalar(EXISTS_POSTGRES).fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(NONE);
    }
    let row: Option<(i64, i64)> = sqlx::query_as(FIND).fetch_optional(connection).await?;
    Ok(row.map_or(NONE, |(version, min_compatible)| Found { version, min_compatible }))
}

async fn find_sqlite(connection: &mut SqliteConnection) -> Result<Found, StoreError> {
    let tables: i64 = sqlx::query_scalar(EXISTS_SQLITE).fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(NONE);
    }
    let row: Option<(i64, i64)> = sqlx::query_as(FIND).fetch_optional(connection).await?;
    Ok(row.map_or(NONE, |(version, min_compatible)| Found { version, min_compatible }))
}

impl From<sqlx::Error> for SchemaError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
