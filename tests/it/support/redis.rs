//! Redis: a private server that a test may stop, pause, empty and start again; a proxy in front of one that breaks the
//! connection in every way; a cluster of three.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::ports::KeptPort;
use super::process::Process;
use super::until::until;
use super::watchdog::Watchdog;

pub(crate) use super::faults::{Fault, FaultProxy};

/// A server that takes longer is a fault.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A server of one test, on a port that stays its own while it is stopped. It keeps nothing on disk.
pub(crate) struct RedisServer {
    pub(crate) address: SocketAddr,
    process: Option<Process>,
    arguments: Vec<String>,
    folder: TempDir,
    _port: KeptPort,
}

impl RedisServer {
    /// Starts one that is empty.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with more of Redis's own arguments.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let mut server = Self::stopped(arguments);
        server.start_again().await;
        server
    }

    /// One that has yet to be started: its port refuses.
    pub(crate) fn stopped(arguments: &[&str]) -> Self {
        let folder = TempDir::with_prefix("levee-redis-").unwrap();
        Watchdog::of_this_process().remove(folder.path());
        let port = KeptPort::take();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { address: port.address, process: None, arguments, folder, _port: port }
    }

    /// `redis://…`
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Starts it, empty, and waits until it answers.
    pub(crate) async fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.address.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--loglevel", "warning", "--dir"])
            .arg(self.folder.path())
            .args(&self.arguments);
        self.process = Some(Process::start("redis-server", command));
        until("Redis answers", READY_WITHIN, async || self.try_command(&["PING"]).as_deref() == Some("PONG"))
            .await;
    }

    /// Ends it at once, as a power cut does: connections break, the port refuses, all it held is lost.
    pub(crate) fn stop(&mut self) {
        drop(self.process.take());
    }

    /// It goes on accepting connections in the kernel and answers nothing.
    pub(crate) fn pause(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::STOP);
    }

    /// Ends a pause.
    pub(crate) fn resume(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::CONT);
    }

    /// Runs a command and answers with what `redis-cli` prints. Panics on an error.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        self.try_command(words).unwrap_or_else(|| panic!("Redis refused {words:?}"))
    }

    fn try_command(&self, words: &[&str]) -> Option<String> {
        cli(self.address, words)
    }
}

/// Three masters of one cluster, all slots served.
pub(crate) struct RedisCluster {
    nodes: Vec<RedisServer>,
    _bus: Vec<KeptPort>,
}

impl RedisCluster {
    /// Starts them and waits until they agree.
    pub(crate) async fn start() -> Self {
        let bus: Vec<KeptPort> = (0..3).map(|_| KeptPort::take()).collect();
        let mut nodes = Vec::new();
        for port in &bus {
            let port = port.address.port().to_string();
            nodes.push(RedisServer::with(&["--cluster-enabled", "yes", "--cluster-port", &port]).await);
        }
        let addresses = nodes.iter().map(|node| node.address.to_string());
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        for node in &nodes {
            until("the cluster serves", READY_WITHIN, async || {
                node.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            })
            .await;
        }
        Self { nodes, _bus: bus }
    }

    /// `redis-cluster://…`, naming all nodes.
    pub(crate) fn url(&self) -> String {
        let [first, others @ ..] = &self.nodes[..] else { unreachable!("it has three nodes") };
        let others: Vec<String> = others.iter().map(|node| format!("node={}", node.address)).collect();
        format!("redis-cluster://{}?{}", first.address, others.join("&"))
    }

    /// The sum of all nodes' keys.
    pub(crate) fn keys(&self) -> u64 {
        self.nodes.iter().map(|node| node.command(&["DBSIZE"]).parse::<u64>().unwrap()).sum()
    }
}

fn cli(address: SocketAddr, words: &[&str]) -> Option<String> {
    let asked = Command::new("redis-cli")
        .args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-e"])
        .args(words)
        .output()
        .expect("redis-tools comes with redis-server: run `make test` or `tests/setup.sh` once");
    asked.status.success().then(|| String::from_utf8_lossy(&asked.stdout).trim_end().to_owned())
}
