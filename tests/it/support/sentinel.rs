//! A Redis master, its replica, and the Sentinel that puts the one in the other's place.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::ports::KeptPort;
use super::process::Process;
use super::redis::RedisServer;
use super::watchdog::Watchdog;

/// A pair of servers under one Sentinel.
pub(crate) struct Watched {
    /// The first master.
    pub(crate) master: RedisServer,
    /// Its replica.
    pub(crate) replica: RedisServer,
    /// Dropped before its folder.
    _sentinel: Process,
    _folder: TempDir,
    port: KeptPort,
}

impl Watched {
    /// Starts all three. The Sentinel takes a master for dead that was silent for half a second.
    pub(crate) async fn start() -> Self {
        let master = RedisServer::start().await;
        let replica_of = format!("127.0.0.1 {}", master.address.port());
        let replica =
            RedisServer::with(&["--replicaof", &replica_of, "--repl-diskless-sync-delay", "0"]).await;
        let (folder, port) = (TempDir::with_prefix("levee-sentinel-").unwrap(), KeptPort::take());
        Watchdog::of_this_process().remove(folder.path());
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {}\nbind 127.0.0.1\ndir {}\nsentinel monitor main {replica_of} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 5000\n",
            port.address.port(),
            folder.path().display(),
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel");
        let sentinel = Process::start("redis-server", command);
        Self { master, replica, _sentinel: sentinel, _folder: folder, port }
    }

    /// `redis-sentinel://…`
    pub(crate) fn url(&self) -> String {
        format!("redis-sentinel://{}?sentinelServiceName=main", self.port.address)
    }
}
