//! The connections: how they are made, made again, and given up.

use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike as _;
use fred::types::config::{
    ConnectionConfig, PerformanceConfig, ReconnectPolicy, TcpConfig, UnresponsiveConfig,
};
use tokio_util::sync::CancellationToken;

use super::LONGEST_BLOCK;
use super::address::Address;

/// Commands that wait for the connection; the next one is refused.
const MOST_WAITING: usize = 4096;
/// Longest wait for a connection, TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for an answer to what is said when a connection is made.
const GREETING_LIMIT: Duration = Duration::from_secs(1);
/// A connection that owes an answer for so long is given up: it may lead nowhere.
const SILENCE: Duration = Duration::from_secs(1);
/// First wait before connecting again, milliseconds, and the longest; twice as long each time.
const RECONNECT: (u32, u32) = (50, 2000);

/// For questions that are answered at once.
pub(super) fn quick(address: &Address) -> Client {
    client(address, SILENCE)
}

/// For reads that wait for news.
pub(super) fn blocking(address: &Address) -> Client {
    client(address, LONGEST_BLOCK + SILENCE)
}

fn client(address: &Address, silence: Duration) -> Client {
    let connection = ConnectionConfig {
        connection_timeout: CONNECT_LIMIT,
        internal_command_timeout: GREETING_LIMIT,
        max_command_attempts: 1,
        max_command_buffer_len: MOST_WAITING,
        unresponsive: UnresponsiveConfig { max_timeout: Some(silence), interval: silence / 4 },
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    };
    let mut again = ReconnectPolicy::new_exponential(0, RECONNECT.0, RECONNECT.1, 2);
    again.set_jitter(RECONNECT.0);
    Client::new(address.config(), Some(PerformanceConfig::default()), Some(connection), Some(again))
}

/// Keeps a client connected. It comes back by itself after most troubles; where its task ends all the same, it is
/// begun anew.
pub(super) async fn keep(client: Client, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let connecting = client.connect();
        let cut = connecting.abort_handle();
        tokio::select! {
            ended = connecting => {
                if let Ok(Err(error)) = ended {
                    tracing::debug!(%error, "a connection to Redis ended");
                }
            }
            () = stop.cancelled() => {
                // It was told to quit; what has not ended by then never will.
                tokio::time::sleep(GREETING_LIMIT / 2).await;
                cut.abort();
                return;
            }
        }
        tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(GREETING_LIMIT) => {} }
    }
}
