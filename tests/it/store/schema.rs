//! Migrations: from nothing, at once from several processes, and what other versions left.

use std::process::{Command, Stdio};
use std::time::Duration;

use levee::repositories::{SchemaError, Store, StoreError};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use super::sqlite_url;
use crate::support::levee::levee;
use crate::support::postgres::{Database, LIMITS};

fn migrate(url: &str) -> Command {
    let mut command = levee();
    command.arg("migrate").env("LEVEE_DATABASE_URL", url).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs eight at once; how many of them said that they changed something.
fn eight_migrations(url: &str) -> usize {
    let running: Vec<_> = (0..8).map(|_| migrate(url).spawn().unwrap()).collect();
    let said = running.into_iter().map(|child| {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}{errors}");
        text
    });
    said.filter(|text| text == "the database's schema was version 0 and is version 1 now\n").count()
}

#[tokio::test]
async fn eight_processes_migrate_postgres_once() {
    let database = Database::empty().await;
    assert_eq!(eight_migrations(&database.url()), 1);
    let store = Store::open(&database.url(), &LIMITS).await.unwrap();
    store.check_schema().await.unwrap();
    assert_eq!(store.revision().await.unwrap(), 0);
}

#[tokio::test]
async fn eight_processes_migrate_sqlite_once() {
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    assert_eq!(eight_migrations(&sqlite_url(&folder)), 1);
}

#[test]
fn migrate_says_what_is_wrong_and_exits_with_the_contracts_code() {
    let run = |url: &str| {
        let output = migrate(url).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run("");
    assert_eq!((code, said.contains("LEVEE_DATABASE_URL: must be given")), (Some(64), true), "{said}");
    let (code, said) = run("mysql://x");
    assert_eq!((code, said.contains("neither sqlite://")), (Some(64), true), "{said}");
    let (code, said) = run("sqlite:///nowhere/levee.db");
    assert_eq!((code, said.contains("/nowhere/levee.db")), (Some(1), true), "{said}");
    let refusing = crate::support::ports::ClosedPort::take();
    let (code, said) = run(&format!("postgres://levee@{}/levee", refusing.address));
    assert_eq!((code, said.contains("not available")), (Some(1), true), "{said}");
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused_with_what_to_do() {
    let database = Database::migrated().await;
    let store = Store::open(&database.url(), &LIMITS).await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();

    connection.execute("UPDATE levee_schema SET version = 0").await.unwrap();
    let older = store.check_schema().await.unwrap_err();
    assert!(matches!(older, SchemaError::Older { found: 0, needed: 1 }));
    assert!(older.to_string().contains("run `levee migrate`"), "{older}");

    connection.execute("UPDATE levee_schema SET version = 9, min_compatible = 1").await.unwrap();
    store.check_schema().await.expect("a newer schema that suits this version too");
    assert_eq!(store.migrate().await.unwrap(), (9, 9));

    connection.execute("UPDATE levee_schema SET min_compatible = 9").await.unwrap();
    let newer = store.check_schema().await.unwrap_err();
    assert!(matches!(newer, SchemaError::Newer { minimum: 9, ours: 1 }), "{newer}");
    assert!(matches!(store.migrate().await, Err(SchemaError::Newer { .. })));

    connection.execute("DROP TABLE levee_schema").await.unwrap();
    assert!(matches!(store.check_schema().await, Err(SchemaError::Older { found: 0, .. })));
}

#[tokio::test]
async fn a_file_that_another_process_uses_is_refused() {
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    let store = Store::open(&sqlite_url(&folder), &LIMITS).await.unwrap();
    let Err(refused) = Store::open(&sqlite_url(&folder), &LIMITS).await else { panic!("two opened it") };
    assert!(matches!(refused, StoreError::InUse(_)));
    assert!(refused.to_string().contains("levee.db is used by another process"), "{refused}");
    store.close().await;
    drop(store);
    Store::open(&sqlite_url(&folder), &LIMITS).await.unwrap().close().await;
}

#[tokio::test]
async fn only_its_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    let store = Store::open(&sqlite_url(&folder), &LIMITS).await.unwrap();
    store.migrate().await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.path().display());
    }
}

#[tokio::test]
async fn sqlite_in_memory_is_refused() {
    let Err(refused) = Store::open("sqlite::memory:", &LIMITS).await else { panic!("it was opened") };
    assert!(refused.to_string().contains("SQLite needs a file"), "{refused}");
}

#[tokio::test]
async fn what_is_written_outlives_the_process_that_wrote_it() {
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    let store = Store::open(&sqlite_url(&folder), &LIMITS).await.unwrap();
    store.migrate().await.unwrap();
    let user = super::create(&store, "ada@example.com", levee::models::principal::Role::Viewer).await;
    tokio::time::timeout(Duration::from_secs(5), store.close()).await.unwrap();
    drop(store);
    let store = Store::open(&sqlite_url(&folder), &LIMITS).await.unwrap();
    assert_eq!(store.user(user.id).await.unwrap(), user);
}
