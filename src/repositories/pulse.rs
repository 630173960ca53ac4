//! Whether PostgreSQL is there, felt on the connection that listens for other replicas' writes.
//!
//! That connection breaks the moment the server stops, so callers need not wait to find it out, and its return is
//! seen within a quarter of a second.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::StoreError;
use super::postgres::CHANNEL;

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(250);

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// A quiet connection is asked this often: a network that swallows everything breaks no connection.
const QUIET: Duration = Duration::from_secs(10);

/// What was felt last.
#[derive(Debug, Clone)]
pub(super) enum Pulse {
    /// Nothing yet.
    Unknown,
    /// It answers.
    There,
    /// It cannot be reached, and why.
    Gone(String),
    /// It answers, but not as hoped for: a wrong password, too many connections. Callers find out for themselves.
    Odd,
}

/// Ends when the server is gone, with what was found.
pub(super) async fn gone(pulse: &mut watch::Receiver<Pulse>) -> sqlx::Error {
    let why = match pulse.wait_for(|pulse| matches!(pulse, Pulse::Gone(_))).await.as_deref() {
        Ok(Pulse::Gone(why)) => why.clone(),
        // The task that felt it has ended with the store.
        _ => return sqlx::Error::PoolClosed,
    };
    sqlx::Error::Io(io::Error::new(io::ErrorKind::NotConnected, why))
}

/// Feels and listens until it is stopped.
pub(super) async fn run(
    options: PgConnectOptions,
    feel: watch::Sender<Pulse>,
    hint: Arc<Notify>,
    stop: CancellationToken,
) {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.clone());
    let listening = async {
        loop {
            match knock(&options).await {
                Ok(()) => {
                    feel.send_replace(Pulse::There);
                    // What was raised while nobody listened.
                    hint.notify_one();
                    if let Err(error) = listen(&pool, &hint).await {
                        tracing::debug!(%error, "the connection that listens for writes ended");
                    }
                }
                Err(error) => {
                    feel.send_replace(felt(error));
                    sleep(AGAIN).await;
                }
            }
        }
    };
    stop.run_until_cancelled(listening).await;
    pool.close().await;
}

async fn knock(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let connection = timeout(CONNECT, PgConnection::connect_with(options)).await;
    connection.map_err(|_| sqlx::Error::PoolTimedOut)??.close().await
}

fn felt(error: sqlx::Error) -> Pulse {
    let crowded = |code: &str| code.starts_with("53");
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if code.is_some_and(|code| crowded(&code)) {
        return Pulse::Odd;
    }
    match StoreError::from(error) {
        StoreError::Unavailable(error) => Pulse::Gone(error.to_string()),
        _ => Pulse::Odd,
    }
}

/// Passes notifications on for as long as the connection holds.
async fn listen(pool: &PgPool, hint: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    hint.notify_one();
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(received) => match received? {
                Some(_) => hint.notify_one(),
                None => return Ok(()),
            },
            Err(_) => {
                let asked = timeout(CONNECT, sqlx::query("SELECT 1").execute(&mut listener)).await;
                asked.map_err(|_| sqlx::Error::PoolTimedOut)??;
            }
        }
    }
}
