//! Levee as a deployment: replicas of `levee serve` over one database, and its API as who signed in sees it.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use levee::repositories::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{self, Answer};
use super::levee::{TestApp, levee, ready_addresses};
use super::postgres::LIMITS;
use super::process::Process;
use super::watchdog::Watchdog;

/// A start that takes longer is a fault.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The first admin.
const ADMIN: (&str, &str) = ("ada@example.com", "the tests' own long password");

/// A ring of one key.
pub(crate) const K1: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The key that comes after it.
pub(crate) const K2: &str = "k2:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// What replicas share.
pub(crate) struct Deployment {
    database: String,
    secret_keys: String,
    environment: Vec<(String, String)>,
    folder: TempDir,
}

/// One process.
pub(crate) struct Replica {
    /// Data plane.
    pub(crate) data: SocketAddr,
    /// Control plane.
    pub(crate) api: SocketAddr,
    /// Health and metrics.
    pub(crate) ops: SocketAddr,
    process: Process,
}

/// The API of one replica.
#[derive(Clone)]
pub(crate) struct Api {
    address: SocketAddr,
    bearer: Option<String>,
}

impl Deployment {
    /// Over SQLite, on a file of its own.
    pub(crate) fn on_sqlite() -> Self {
        let folder = folder();
        let database = format!("sqlite://{}", folder.path().join("levee.db").display());
        Self::over(database, folder)
    }

    /// Over the PostgreSQL at this URL, whose database is this deployment's alone.
    pub(crate) fn on_postgres(url: impl Into<String>) -> Self {
        Self::over(url.into(), folder())
    }

    fn over(database: String, folder: TempDir) -> Self {
        fs::write(folder.path().join("password"), ADMIN.1).unwrap();
        fs::write(folder.path().join("upstreams.yaml"), "").unwrap();
        Self { database, secret_keys: K1.to_owned(), environment: Vec::new(), folder }
    }

    /// Brings the schema up to date, as an operator does before the first start.
    pub(crate) async fn migrate(&self) {
        let store = Store::open(&self.database, &LIMITS).await.unwrap();
        store.migrate().await.unwrap();
        store.close().await;
    }

    /// Replicas that start from now on have this key ring.
    pub(crate) fn secret_keys(&mut self, ring: &[&str]) {
        self.secret_keys = ring.join(",");
    }

    /// Replicas that start from now on have this variable.
    pub(crate) fn env(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// A path in this deployment's own folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Replaces the upstream file in one step.
    pub(crate) fn write_upstreams(&self, documents: &str) {
        fs::write(self.path("upstreams.new"), documents).unwrap();
        fs::rename(self.path("upstreams.new"), self.path("upstreams.yaml")).unwrap();
    }

    /// Starts one and waits until it is ready.
    pub(crate) async fn replica(&self) -> Replica {
        let mut process = self.begin();
        let [data, api, ops] = process.logged(READY_WITHIN, ready_addresses).await;
        Replica { data, api, ops, process }
    }

    /// Starts one that may never be ready, with its ops port at a given address.
    pub(crate) fn begin_with_ops(&self, ops: SocketAddr) -> Process {
        self.process(&ops.to_string())
    }

    fn begin(&self) -> Process {
        self.process("127.0.0.1:0")
    }

    fn process(&self, ops: &str) -> Process {
        let any = "127.0.0.1:0";
        let arguments = [
            "serve",
            "--upstreams",
            "upstreams.yaml",
            "--listen",
            any,
            "--api-listen",
            any,
            "--ops-listen",
            ops,
        ];
        Process::start("levee", self.command(&arguments))
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = levee();
        command
            .args(arguments)
            .env("LEVEE_DATABASE_URL", &self.database)
            .env("LEVEE_SECRET_KEYS", &self.secret_keys)
            .env("LEVEE_BOOTSTRAP_ADMIN_EMAIL", ADMIN.0)
            .env("LEVEE_BOOTSTRAP_ADMIN_PASSWORD_FILE", self.path("password"))
            .env("LEVEE_ALLOWED_CIDRS", "127.0.0.0/8")
            .env("LEVEE_DRAIN_DELAY", "0s")
            .env("LEVEE_LOG_FORMAT", "json")
            .envs(self.environment.iter().cloned())
            .current_dir(self.folder.path());
        command
    }
}

fn folder() -> TempDir {
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    Watchdog::of_this_process().remove(folder.path());
    folder
}

impl Replica {
    /// The API as the first admin sees it.
    pub(crate) async fn admin(&self) -> Api {
        self.sign_in(ADMIN.0, ADMIN.1).await
    }

    /// The API as this user sees it.
    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Api {
        self.anonymous().sign_in(email, password).await
    }

    /// The API as a stranger sees it.
    pub(crate) fn anonymous(&self) -> Api {
        Api { address: self.api, bearer: None }
    }

    /// One call on a connection of its own.
    pub(crate) async fn call(&self, key: &str, path: &str) -> Answer {
        let mut request = client::request(path);
        request.headers_mut().insert("levee-key", key.parse().unwrap());
        client::send(self.data, request).await.expect("the replica answers")
    }

    /// What the ops port says.
    pub(crate) async fn status(&self) -> Value {
        client::get(self.ops, "/status").await.json()
    }

    /// One metric's value by its full series.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let metrics = client::get(self.ops, "/metrics").await;
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a metric's value is a number"))
    }

    /// All it has printed so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.process.log()
    }

    /// Resident memory, bytes, as the kernel counts it.
    pub(crate) fn resident_memory(&self) -> u64 {
        self.process.resident_memory()
    }

    /// Stops it and waits for its end; answers with all that it has printed.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        self.process.signal(rustix::process::Signal::TERM);
        assert_eq!(self.process.wait_exit(READY_WITHIN).await.code(), Some(0));
        self.process.log()
    }
}

impl TestApp {
    /// The API as a stranger sees it.
    pub(crate) fn anonymous(&self) -> Api {
        Api { address: self.api, bearer: None }
    }

    /// The API as the account that `levee dev` makes sees it.
    pub(crate) async fn admin(&self) -> Api {
        self.anonymous().sign_in("admin@localhost", &self.admin_password()).await
    }
}

impl Api {
    /// The same as whoever this credential belongs to.
    pub(crate) fn bearer(&self, credential: &str) -> Self {
        Self { bearer: Some(credential.to_owned()), ..self.clone() }
    }

    /// The same as this user.
    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Self {
        let body = json!({ "email": email, "password": password });
        let answer = self.post("/api/v1/auth/login", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.bearer(answer.json()["accessToken"].as_str().unwrap())
    }

    /// The same on another port.
    pub(crate) fn on(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// The same rights on another replica.
    pub(crate) fn at(&self, replica: &Replica) -> Self {
        Self { address: replica.api, bearer: self.bearer.clone() }
    }

    /// The access token it shows.
    pub(crate) fn token(&self) -> &str {
        self.bearer.as_deref().expect("it is signed in")
    }

    /// A new service account's key, of no role.
    pub(crate) async fn key(&self, account: &str) -> String {
        let made = self.post("/api/v1/service-accounts", json!({ "name": account, "class": "normal" })).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let keys = format!("/api/v1/service-accounts/{}/keys", made.json()["id"].as_str().unwrap());
        let key = self.post(&keys, json!({ "name": "tests" })).await;
        assert_eq!(key.status, 201, "{}", key.text());
        key.json()["key"].as_str().unwrap().to_owned()
    }

    /// A new user of this role, signed in.
    pub(crate) async fn user(&self, replica: &Replica, role: &str) -> Self {
        let email = format!("{role}@example.com");
        let password = "another long password of the tests";
        let body = json!({ "email": email, "name": role, "password": password, "role": role });
        let made = self.post("/api/v1/users", body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        replica.sign_in(&email, password).await
    }

    /// The head of a JSON request with one more header line, for what no proper client would send.
    pub(crate) fn head(&self, method: &str, path: &str, more: &str) -> String {
        let bearer = self.bearer.as_deref().unwrap_or_default();
        let host = self.address;
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {bearer}\r\n\
             content-type: application/json\r\n{more}\r\n\r\n"
        )
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, None).await
    }

    /// POST.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body.to_string()), None).await
    }

    /// PUT.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body.to_string()), None).await
    }

    /// Any method on a state the caller read.
    pub(crate) async fn change(&self, method: Method, path: &str, tag: &str, body: Option<Value>) -> Answer {
        self.send(method, path, body.map(|body| body.to_string()), Some(tag)).await
    }

    /// Anything.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        if_match: Option<&str>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        client::send(self.address, request.body(body).unwrap()).await.expect("the replica answers")
    }
}
