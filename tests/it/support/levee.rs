//! The real binary: started on free ports with the upstream documents of a test, watched, signalled, ended.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::client::{self, Answer};
use super::process::Process;
use super::watchdog::Watchdog;

/// A start that takes longer is a fault.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// `levee dev` with its own folder, ports and upstream file. Dropping it kills it.
pub(crate) struct TestApp {
    /// Data plane.
    pub(crate) data: SocketAddr,
    /// Control plane.
    pub(crate) api: SocketAddr,
    /// Health and metrics.
    pub(crate) ops: SocketAddr,
    process: Process,
    folder: TempDir,
    token: OnceCell<String>,
}

/// What a test may change before the start.
pub(crate) struct Setup {
    upstreams: String,
    environment: Vec<(String, String)>,
}

impl TestApp {
    /// Starts with these upstream documents (YAML) and waits until it is ready.
    pub(crate) async fn start(upstreams: impl Into<String>) -> Self {
        Self::with(upstreams).start().await
    }

    /// The same, with a chance to set its environment.
    pub(crate) fn with(upstreams: impl Into<String>) -> Setup {
        Setup { upstreams: upstreams.into(), environment: Vec::new() }
    }

    /// GET on the data plane, on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        client::get(self.data, path).await
    }

    /// One metric's value by its full series (`name{label="value"}`); `None` when the series is missing.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let metrics = client::get(self.ops, "/metrics").await;
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a metric's value is a number"))
    }

    /// What `/status` says.
    pub(crate) async fn status(&self) -> serde_json::Value {
        client::get(self.ops, "/status").await.json()
    }

    /// Everything `/metrics` says.
    pub(crate) async fn metrics(&self) -> String {
        client::get(self.ops, "/metrics").await.text().to_owned()
    }

    /// The password of `admin@localhost`, from the file that it is told to be in.
    pub(crate) fn admin_password(&self) -> String {
        fs::read_to_string(self.folder.path().join(".levee/admin-password")).unwrap()
    }

    /// GET on the control plane, as the first admin; signed in once.
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        let token = self.token.get_or_init(async || {
            let login =
                serde_json::json!({ "email": "admin@localhost", "password": self.admin_password().trim() });
            let mut request = client::request("/api/v1/auth/login");
            *request.method_mut() = http::Method::POST;
            request.headers_mut().insert("content-type", "application/json".parse().unwrap());
            *request.body_mut() = login.to_string().into();
            let answer = client::send(self.api, request).await.expect("the API answers");
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json()["accessToken"].as_str().unwrap().to_owned()
        });
        let mut request = client::request(path);
        let bearer = format!("Bearer {}", token.await);
        request.headers_mut().insert("authorization", bearer.parse().unwrap());
        client::send(self.api, request).await.expect("the API answers")
    }

    /// Replaces the upstream file in one step, as an editor or a mounted volume does.
    pub(crate) fn rewrite_upstreams(&self, upstreams: &str) {
        let fresh = self.folder.path().join("upstreams.yaml.new");
        fs::write(&fresh, upstreams).unwrap();
        fs::rename(fresh, upstreams_file(&self.folder)).unwrap();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end; panics after `limit`.
    pub(crate) async fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        self.process.wait_exit(limit).await
    }

    /// All it has printed so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.process.log()
    }

    /// Resident memory, bytes, as the kernel counts it.
    pub(crate) fn resident_memory(&self) -> u64 {
        self.process.resident_memory()
    }
}

impl Setup {
    /// Sets an environment variable; of the caller's own no `LEVEE_…` is passed on.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Starts and waits until it is ready.
    pub(crate) async fn start(self) -> TestApp {
        let folder = TempDir::with_prefix("levee-test-").unwrap();
        Watchdog::of_this_process().remove(folder.path());
        fs::write(upstreams_file(&folder), &self.upstreams).unwrap();
        let mut command = levee();
        command
            .args([
                "dev",
                "--listen",
                "127.0.0.1:0",
                "--api-listen",
                "127.0.0.1:0",
                "--ops-listen",
                "127.0.0.1:0",
                "--flaky-listen",
                "127.0.0.1:0",
            ])
            .arg("--upstreams")
            .arg(upstreams_file(&folder))
            .env("LEVEE_LOG_FORMAT", "json")
            .envs(self.environment)
            .current_dir(folder.path());
        let mut process = Process::start("levee", command);
        let [data, api, ops] = process.logged(READY_WITHIN, ready_addresses).await;
        TestApp { data, api, ops, process, folder, token: OnceCell::new() }
    }
}

/// The binary, with none of the developer's own settings in its environment.
pub(crate) fn levee() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_levee"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LEVEE_") || name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

fn upstreams_file(folder: &TempDir) -> PathBuf {
    folder.path().join("upstreams.yaml")
}

/// The log line that says `ready` and carries every address, in either format.
pub(crate) fn ready_addresses(line: &str) -> Option<[SocketAddr; 3]> {
    let json: Option<serde_json::Value> = serde_json::from_str(line).ok();
    let fields = json.as_ref().map(|line| line.get("fields").unwrap_or(line));
    let is_ready = match fields {
        Some(fields) => fields["message"] == "ready",
        None => line.contains(" ready "),
    };
    let address = |name: &str| match fields {
        Some(fields) => fields[name].as_str()?.parse().ok(),
        None => line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?.parse().ok(),
    };
    is_ready.then_some([address("data")?, address("api")?, address("ops")?])
}
