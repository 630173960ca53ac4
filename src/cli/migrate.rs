//! `levee migrate`: brings the database to this version's schema. Several may run at once: one works, the others wait
//! and find it done.

use std::process::ExitCode;

use secrecy::ExposeSecret as _;

use super::database::DatabaseArguments;
use super::refused;
use crate::app;
use crate::repositories::{SchemaError, Store};
use crate::telemetry::logs;

/// Exit 0 when the schema is this version's, 1 when it could not be brought there, 64 when the database is not named.
pub(super) fn run(arguments: &DatabaseArguments) -> ExitCode {
    let (format, url) = match arguments.find() {
        Ok(found) => found,
        Err(faults) => return refused(&faults),
    };
    if let Err(error) = logs::start("warn", format) {
        return refused(&[error.to_string()]);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the runtime cannot start: {error}")),
    };
    match runtime.block_on(migrate(url.expose_secret())) {
        Ok(versions) => told(versions),
        Err(error) => failed(&error.to_string()),
    }
}

async fn migrate(url: &str) -> Result<(i64, i64), SchemaError> {
    let store = Store::open(url, &app::POOL).await?;
    let migrated = store.migrate().await;
    store.close().await;
    migrated
}

#[expect(clippy::print_stdout, reason = "the versions are the command's output")]
fn told((before, after): (i64, i64)) -> ExitCode {
    if before == after {
        println!("the database's schema is version {after} already");
    } else {
        println!("the database's schema was version {before} and is version {after} now");
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "the command line speaks to a person")]
fn failed(error: &str) -> ExitCode {
    eprintln!("levee: {error}");
    ExitCode::FAILURE
}
