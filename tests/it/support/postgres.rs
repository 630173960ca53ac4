//! PostgreSQL: a database of one's own on the server that `tests/with-servers.sh` started, or a private server that a
//! test may stop and start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use levee::repositories::{PoolLimits, Store};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::ports::KeptPort;
use super::process::Process;
use super::until::until;
use super::watchdog::Watchdog;

/// Pools as the service has them.
pub(crate) const LIMITS: PoolLimits =
    PoolLimits { connections: 20, acquire: Duration::from_secs(2), idle: Duration::from_secs(30) };

/// The lock under which the template is made: "template" in ASCII, cut to 32 bits.
const TEMPLATE_LOCK: i64 = 0x74_65_6d_70;
const TEMPLATE: &str = "levee_template";

/// A database of one test, dropped with it.
pub(crate) struct Database {
    name: String,
}

impl Database {
    /// One that holds the schema and nothing else.
    pub(crate) async fn migrated() -> Self {
        let mut server = connect_to_server().await;
        make_template(&mut server).await;
        Self::create(&mut server, &format!("TEMPLATE {TEMPLATE}")).await
    }

    /// One that holds nothing.
    pub(crate) async fn empty() -> Self {
        Self::create(&mut connect_to_server().await, "").await
    }

    /// `postgres://…`
    pub(crate) fn url(&self) -> String {
        url_of(&self.name)
    }

    async fn create(server: &mut PgConnection, from: &str) -> Self {
        let name = format!("levee_test_{}", Uuid::now_v7().simple());
        server.execute(AssertSqlSafe(format!("CREATE DATABASE {name} {from}"))).await.unwrap();
        Self { name }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.name.clone();
        // A thread with a runtime of its own: the test's may be at its end.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
                connect_to_server().await.execute(drop).await.unwrap();
            });
        });
        // A database that is left goes with the server.
        let _ = dropping.join();
    }
}

/// Changes rows of any database behind the back of whoever uses it.
pub(crate) async fn execute(url: &str, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    if url.starts_with("sqlite:") {
        SqliteConnection::connect(url).await.unwrap().execute(sql).await.unwrap();
    } else {
        PgConnection::connect(url).await.unwrap().execute(sql).await.unwrap();
    }
}

/// Makes the template once per server, whichever test process comes first.
async fn make_template(server: &mut PgConnection) {
    sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut *server).await.unwrap();
    let exists = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(TEMPLATE);
    if exists.fetch_optional(&mut *server).await.unwrap().is_none() {
        let making = format!("{TEMPLATE}_{}", Uuid::now_v7().simple());
        server.execute(AssertSqlSafe(format!("CREATE DATABASE {making}"))).await.unwrap();
        let store = Store::open(&url_of(&making), &LIMITS).await.unwrap();
        store.migrate().await.unwrap();
        store.close().await;
        // Refused for as long as the server has not seen the last connection go.
        until("the template is nobody's", Duration::from_secs(10), async || {
            let done = AssertSqlSafe(format!("ALTER DATABASE {making} RENAME TO {TEMPLATE}"));
            server.execute(done).await.is_ok()
        })
        .await;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(TEMPLATE_LOCK).execute(server).await.unwrap();
}

async fn connect_to_server() -> PgConnection {
    PgConnection::connect(&server_url()).await.unwrap()
}

/// Tests that need PostgreSQL fail without it: one that is skipped shows nothing.
fn server_url() -> String {
    std::env::var("LEVEE_TEST_POSTGRES").expect(
        "LEVEE_TEST_POSTGRES is not set: run this as tests/with-servers.sh cargo nextest run …, or `make it`",
    )
}

fn url_of(database: &str) -> String {
    let server = server_url();
    let (server, _) = server.rsplit_once('/').expect("the URL ends with a database");
    format!("{server}/{database}")
}

/// A server of one test, on a port that stays its own while it is stopped.
pub(crate) struct Cluster {
    address: SocketAddr,
    process: Option<Process>,
    folder: TempDir,
    _port: KeptPort,
}

impl Cluster {
    /// Starts one with an empty database.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::with_prefix("levee-postgres-").unwrap();
        Watchdog::of_this_process().remove(folder.path());
        if rustix::process::getuid().is_root() {
            let given = Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap();
            assert!(given.success());
        }
        let made = as_server("initdb")
            .arg("-D")
            .arg(folder.path().join("data"))
            .args(["-U", "levee", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = KeptPort::take();
        let mut cluster = Self { address: port.address, process: None, folder, _port: port };
        cluster.start_again().await;
        cluster
    }

    /// `postgres://…`
    pub(crate) fn url(&self) -> String {
        format!("postgres://levee@{}/postgres", self.address)
    }

    /// Starts it after it was stopped, and waits until it answers.
    pub(crate) async fn start_again(&mut self) {
        let mut command = as_server("postgres");
        command.arg("-D").arg(self.folder.path().join("data")).args(["-p", &self.address.port().to_string()]);
        for setting in
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=32MB"]
        {
            command.args(["-c", setting]);
        }
        self.process = Some(Process::start("postgres", command));
        let url = self.url();
        until("PostgreSQL answers", Duration::from_secs(20), async || {
            PgConnection::connect(&url).await.is_ok()
        })
        .await;
    }

    /// Stops it as an operator does (`SIGINT`, fast shutdown): connections are ended, the port refuses.
    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::INT);
        process.wait_exit(Duration::from_secs(20)).await;
    }

    /// Ends every process of it at once, as a power cut does. Each child of PostgreSQL's is in a session of its own, so
    /// killing the group is not enough: a child that outlived the first process could still answer a commit that the
    /// next server, already up, never sees.
    pub(crate) fn kill(&mut self) {
        let server = self.process.take().expect("it runs");
        // Stopped first: it must not start another child while the ones there are counted.
        server.signal(Signal::STOP);
        let children = children_of(server.id());
        for child in &children {
            // An error means that it has ended already.
            let _ = kill_process(*child, Signal::KILL);
        }
        while children.iter().any(|child| is_running(*child)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(server);
    }
}

/// The processes whose parent this one is.
fn children_of(parent: u32) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pids = numbers.filter_map(Pid::from_raw);
    pids.filter(|pid| state_and_parent(*pid).is_some_and(|(_, of)| of == parent)).collect()
}

/// Whether it can still do something: one that ended may stay in the table until its parent has noticed.
fn is_running(pid: Pid) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// What `/proc/PID/stat` says behind the name, which may hold anything.
fn state_and_parent(pid: Pid) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// A program of PostgreSQL, which refuses to run as root.
fn as_server(program: &str) -> Command {
    let file = installed(program);
    if !rustix::process::getuid().is_root() {
        return Command::new(file);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(file);
    command
}

fn installed(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let debian = versions.map(|version| version.path().join("bin"));
    let path = std::env::var("PATH").unwrap_or_default();
    let places = debian.chain(path.split(':').map(|place| Path::new(place).to_owned()));
    let found = places.map(|place| place.join(program)).filter(|file| file.exists()).max();
    found.expect("PostgreSQL is not installed: run `make test` or `tests/setup.sh` once")
}
