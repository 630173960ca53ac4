//! PostgreSQL: fresh databases on the tests' own server, and servers that a test may stop.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use super::process::Process;
use super::until::until;
use super::watchdog::Watchdog;

const SOON: Duration = Duration::from_secs(30);

/// The URL of a new, empty database on the server that `tests/with-servers.sh` started.
pub(crate) async fn fresh_database() -> String {
    let server = std::env::var("LEVEE_TEST_POSTGRES").expect("run the tests under tests/with-servers.sh");
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let mut connection = PgConnection::connect(&server).await.expect("the tests' server answers");
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut connection).await.expect("it may make databases");
    let (server, _) = server.rsplit_once('/').expect("the URL names a database");
    format!("{server}/{name}")
}

/// A server of a test's own.
pub(crate) struct Cluster {
    port: u16,
    folder: TempDir,
    running: Option<Process>,
}

impl Cluster {
    /// Makes one and starts it.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::with_prefix("levee-postgres-").unwrap();
        Watchdog::of_this_process().remove(folder.path());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        if rustix::process::geteuid().is_root() {
            let owned = Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap();
            assert!(owned.success());
        }
        let mut cluster = Self { port, folder, running: None };
        let made = cluster
            .as_server("initdb")
            .args(["-U", "levee", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(cluster.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        cluster.start_again().await;
        cluster
    }

    /// Its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://levee@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it at once, cutting every connection.
    pub(crate) async fn stop(&mut self) {
        let mut running = self.running.take().expect("it runs");
        running.signal(Signal::INT);
        running.wait_exit(SOON).await;
    }

    /// Starts it where it was.
    pub(crate) async fn start_again(&mut self) {
        let mut command = self.as_server("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"] {
            command.args(["-c", setting]);
        }
        self.running = Some(Process::start("postgres", command));
        let url = self.url();
        until("PostgreSQL answers", SOON, async || PgConnection::connect(&url).await.is_ok()).await;
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// PostgreSQL refuses to run as root.
    fn as_server(&self, program: &str) -> Command {
        let program = bin().join(program);
        if !rustix::process::geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
        command.current_dir(self.folder.path());
        command
    }
}

/// Debian keeps the server's programs out of the path.
fn bin() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    found.retain(|bin| bin.join("initdb").exists());
    found.sort();
    found.pop().unwrap_or_default()
}
