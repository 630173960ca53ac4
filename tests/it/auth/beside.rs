//! `levee user` beside a server that runs on the same database.

use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::{PASSWORD, create, login, refresh, signed_in};
use crate::support::levee::{TestApp, levee};
use crate::support::postgres::Database;
use crate::support::until::until;

/// What the command promises: a running server learns of it within a second.
const SOON: Duration = Duration::from_secs(1);

/// Exit code and both outputs.
async fn user(database: &str, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::from(levee());
    command.arg("user").args(arguments).env("LEVEE_DATABASE_URL", database);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().expect("it is piped");
    // An error means that the command ended without reading.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), text.concat())
}

#[tokio::test]
async fn what_the_command_changes_counts_on_a_running_server_within_a_second() {
    let database = Database::migrated().await;
    let app = TestApp::with("").env("LEVEE_DATABASE_URL", database.url()).start().await;
    let admin = app.admin().await;
    let (ada, grace) = (create(&admin, "ada", "operator").await, create(&admin, "grace", "viewer").await);
    let ((ada_api, ada_refresh), (grace_api, grace_refresh)) =
        (signed_in(&app, &ada).await, signed_in(&app, &grace).await);
    let (code, told) = user(&database.url(), &["disable", "--email", &ada.email], "").await;
    assert_eq!(code, Some(0), "{told}");
    let me = "/api/v1/auth/me";
    until("ada is out", SOON, async || ada_api.get(me).await.status == 401).await;
    assert_eq!(refresh(&app, &ada_refresh).await.status, 401);
    let set = ["set-password", "--email", &grace.email, "--password-stdin"];
    let (code, told) = user(&database.url(), &set, "another rain in another Spain").await;
    assert_eq!(code, Some(0), "{told}");
    until("grace is out", SOON, async || grace_api.get(me).await.status == 401).await;
    assert_eq!(refresh(&app, &grace_refresh).await.status, 401);
    let new =
        ["create", "--email", "joan@example.com", "--name", "Joan", "--role", "viewer", "--password-stdin"];
    let (code, told) = user(&database.url(), &new, PASSWORD).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(login(&app, "joan@example.com", PASSWORD).await.status, 200, "sessions are the database's");
    let (_, list) = user(&database.url(), &["list"], "").await;
    assert!(list.contains("ada@example.com\toperator\tdisabled"), "{list}");
}

#[tokio::test]
async fn the_file_of_a_running_server_is_its_own() {
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    let database = format!("sqlite://{}", folder.path().join("levee.db").display());
    let _app = TestApp::with("").env("LEVEE_DATABASE_URL", &database).start().await;
    let (code, told) = user(&database, &["list"], "").await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("used by another process"), "{told}");
}
