//! Every statement on both databases, before anything runs it.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection, SqlSafeStr as _, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::models::principal::Role;
use crate::models::user::{Email, NewUser};

const LIMITS: PoolLimits =
    PoolLimits { connections: 4, acquire: Duration::from_secs(2), idle: Duration::from_secs(30) };

/// Every statement of every file.
fn statements() -> Vec<(&'static str, &'static str)> {
    let files = [
        audit::STATEMENTS,
        breakers::STATEMENTS,
        credentials::STATEMENTS,
        revision::STATEMENTS,
        service_accounts::STATEMENTS,
        sessions::STATEMENTS,
        upstreams::STATEMENTS,
        users::STATEMENTS,
    ];
    files.concat()
}

/// The server that `tests/with-servers.sh` starts.
fn postgres_url() -> String {
    std::env::var("LEVEE_TEST_POSTGRES").expect("run it through tests/with-servers.sh, as `make unit` does")
}

#[tokio::test]
async fn postgres_prepares_every_statement() {
    let mut connection = PgConnection::connect(&postgres_url()).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("CREATE SCHEMA prepared; SET LOCAL search_path = prepared").await.unwrap();
    for migration in &schema::MIGRATIONS {
        transaction.execute(migration.postgres).await.unwrap();
    }
    for (name, sql) in statements() {
        let prepared = transaction.prepare(sql.into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {}\n{sql}", prepared.err().unwrap());
    }
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn sqlite_prepares_every_statement() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    for migration in &schema::MIGRATIONS {
        connection.execute(migration.sqlite).await.unwrap();
    }
    for (name, sql) in statements() {
        let prepared = connection.prepare(sql.into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {}\n{sql}", prepared.err().unwrap());
    }
}

#[test]
fn every_statement_has_a_name_of_its_own_in_its_file() {
    let all = statements();
    let texts: HashSet<_> = all.iter().collect();
    assert_eq!(texts.len(), all.len());
    assert!(all.len() > 50, "{}", all.len());
}

#[tokio::test]
async fn a_file_of_sqlite_is_migrated_written_and_read() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}", folder.path().join("levee.db").display());
    let store = Store::open(&url, &LIMITS).await.unwrap();
    assert!(matches!(store.check_schema().await, Err(SchemaError::Older { found: 0, .. })));
    assert_eq!(store.migrate().await.unwrap(), (0, schema::OURS));
    assert_eq!(store.migrate().await.unwrap(), (schema::OURS, schema::OURS));
    store.check_schema().await.unwrap();
    let email = Email::parse("ada@example.com").unwrap();
    let new = NewUser {
        id: uuid::Uuid::now_v7(),
        email,
        name: "Ada".to_owned(),
        password_hash: None,
        role: Role::Admin,
    };
    let made = store.create_user(new, Actor::system("test")).await.unwrap();
    assert_eq!(made.revision, 1);
    let stored = store.stored().await.unwrap();
    assert_eq!((stored.revision, stored.users), (1, vec![made.value]));
    store.close().await;
}
