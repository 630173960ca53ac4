//! The store on real databases: one suite, run over SQLite and over PostgreSQL.

use std::net::IpAddr;

use levee::models::principal::{Actor, Role};
use levee::models::user::{Email, NewUser, User};
use levee::repositories::Store;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::postgres::{self, Database, LIMITS};

/// What becomes of connections when callers leave.
mod aborts;
/// What the store promises, method by method.
mod behaviour;
/// What is forgotten in time, and what another upstream of the same name leaves.
mod forgetting;
/// A database that goes away and comes back, and hints of writes elsewhere.
mod outage;
/// Random operations on a model, SQLite and PostgreSQL.
mod random;
/// Migrations and the versions they leave.
mod schema;
/// Rotation of refresh tokens.
mod sessions;

/// A store with what it stands on, which goes with it.
struct Opened {
    store: Store,
    url: String,
    _folder: Option<TempDir>,
    _database: Option<Database>,
}

impl Opened {
    /// Changes rows behind its back: what lies long ago cannot be waited for.
    async fn execute(&self, sql: &str) {
        postgres::execute(&self.url, sql).await;
    }
}

impl std::ops::Deref for Opened {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// SQLite in a folder of its own.
async fn sqlite() -> Opened {
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    let store = Store::open(&sqlite_url(&folder), &LIMITS).await.unwrap();
    store.migrate().await.unwrap();
    Opened { store, url: sqlite_url(&folder), _folder: Some(folder), _database: None }
}

/// PostgreSQL in a database of its own.
async fn postgres() -> Opened {
    let database = Database::migrated().await;
    let store = Store::open(&database.url(), &LIMITS).await.unwrap();
    Opened { store, url: database.url(), _folder: None, _database: Some(database) }
}

fn sqlite_url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("levee.db").display())
}

/// The same test over both databases.
macro_rules! on_both {
    ($($(#[$doc:meta])* async fn $name:ident($store:ident) $body:block)+) => {
        $(mod $name {
            use super::*;

            async fn run($store: crate::store::Opened) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                run(crate::store::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgres() {
                run(crate::store::postgres().await).await;
            }
        })+
    };
}
use on_both;

fn actor() -> Actor {
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    Actor {
        subject: "user:root@example.com".to_owned(),
        id: Some(Uuid::from_u128(7)),
        address: Some(address),
        request: Some("request-1".to_owned()),
    }
}

fn person(email: &str, role: Role) -> NewUser {
    NewUser {
        id: Uuid::now_v7(),
        email: Email::parse(email).unwrap(),
        name: "Ada Lovelace".to_owned(),
        password_hash: Some("hash-1".to_owned()),
        role,
    }
}

async fn create(store: &Store, email: &str, role: Role) -> User {
    store.create_user(person(email, role), actor()).await.unwrap().value
}
