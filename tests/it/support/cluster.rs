//! A Kubernetes API server in this process: list, watch, bookmarks, versions that conflict or are forgotten, status,
//! Leases, Events, Secrets, and faults. It knows of no kind what the real one would not say of any, but for the
//! `generation` of Upstreams. It is spoken to over plain HTTP.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Fields of several managers.
mod applying;
/// Requests, and what they are answered with.
mod requests;
/// The listener and its connections.
mod serving;
/// Objects and their versions.
mod store;

use store::{Key, Store};

/// What a replica takes for its own namespace.
pub(crate) const OWN: &str = "levee";

/// A running API server. Dropping it ends it.
pub(crate) struct FakeCluster {
    address: SocketAddr,
    shared: Arc<Shared>,
    ended: CancellationToken,
}

/// What its connections share.
struct Shared {
    state: Mutex<State>,
    /// Rises with each change; watches wait for it.
    versions: watch::Sender<u64>,
}

struct State {
    store: Store,
    asked: Vec<Asked>,
    faults: Faults,
}

#[derive(Default)]
struct Faults {
    /// Connections are closed as soon as they are there.
    down: bool,
    /// Resources of which every request is refused.
    forbidden: BTreeSet<String>,
    /// Each answer comes later by so much.
    slow: Duration,
    /// Cancelled when all connections, or all watches, are to end.
    connections: CancellationToken,
    watches: CancellationToken,
}

/// One request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// As a Role names it.
    pub(crate) verb: &'static str,
    /// `""` is the core group.
    pub(crate) group: String,
    /// With the subresource.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The field selector.
    pub(crate) fields: String,
}

impl FakeCluster {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { store: Store::default(), asked: Vec::new(), faults: Faults::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), versions: watch::Sender::default() });
        let ended = CancellationToken::new();
        tokio::spawn(ended.clone().run_until_cancelled_owned(serving::accept(listener, Arc::clone(&shared))));
        Self { address, shared, ended }
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a kubeconfig that leads here.
    pub(crate) fn write_kubeconfig(&self, file: impl AsRef<Path>) {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{ "name": "fake", "cluster": { "server": self.url() } }],
            "users": [{ "name": "fake", "user": {} }],
            "contexts": [{ "name": "fake", "context": { "cluster": "fake", "user": "fake", "namespace": OWN } }],
        });
        fs::write(file, config.to_string()).unwrap();
    }

    /// Makes an Upstream, or changes its `spec`.
    pub(crate) fn apply(&self, namespace: &str, name: &str, spec: Value) {
        let key = Key::of("upstreams", namespace, name);
        let mut object = json!({ "apiVersion": "levee.dev/v1alpha1", "kind": "Upstream" });
        object["spec"] = spec;
        self.change(|store| store.apply(key, object));
    }

    /// Takes an Upstream away.
    pub(crate) fn delete(&self, namespace: &str, name: &str) {
        self.change(|store| store.delete(&Key::of("upstreams", namespace, name)));
    }

    /// Makes a Secret with one entry, or changes it.
    pub(crate) fn put_secret(&self, namespace: &str, name: &str, entry: (&str, &str), annotations: &Value) {
        use base64::Engine as _;
        let value = base64::prelude::BASE64_STANDARD.encode(entry.1);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": { entry.0: value },
            "metadata": { "annotations": annotations },
        });
        self.change(|store| store.apply(Key::of("secrets", namespace, name), secret));
    }

    /// An Upstream's `status`; null while there is none.
    pub(crate) fn status(&self, namespace: &str, name: &str) -> Value {
        let state = self.shared.state.lock().unwrap();
        let object = state.store.get(&Key::of("upstreams", namespace, name));
        object.map(|object| object["status"].clone()).unwrap_or_default()
    }

    /// `status/reason` of a condition: `True/Accepted`; empty while there is none.
    pub(crate) fn condition(&self, namespace: &str, name: &str, kind: &str) -> String {
        let status = self.status(namespace, name);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        found.map_or_else(String::new, |condition| {
            format!("{}/{}", condition["status"].as_str().unwrap(), condition["reason"].as_str().unwrap())
        })
    }

    /// A condition's message.
    pub(crate) fn message(&self, namespace: &str, name: &str, kind: &str) -> String {
        let status = self.status(namespace, name);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        found.and_then(|condition| condition["message"].as_str()).unwrap_or_default().to_owned()
    }

    /// Events on an Upstream, as `(type, reason, count)` in the order they were made.
    pub(crate) fn events(&self, namespace: &str, name: &str) -> Vec<(String, String, u64)> {
        let state = self.shared.state.lock().unwrap();
        let all = state.store.all("events", Some(namespace));
        let mut of_it: Vec<&Value> = all.filter(|event| event["involvedObject"]["name"] == name).collect();
        of_it.sort_by_key(|event| event["metadata"]["uid"].as_str().unwrap().parse::<u64>().unwrap());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let one =
            |event: &&Value| (text(&event["type"]), text(&event["reason"]), event["count"].as_u64().unwrap());
        of_it.iter().map(one).collect()
    }

    /// The `spec` of the Lease.
    pub(crate) fn lease(&self) -> Value {
        let state = self.shared.state.lock().unwrap();
        let lease = state.store.get(&Key::of("leases", OWN, "levee"));
        lease.map(|lease| lease["spec"].clone()).unwrap_or_default()
    }

    /// Everything that was asked for so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.state.lock().unwrap().asked.clone()
    }

    /// Writes of the status of one Upstream so far.
    pub(crate) fn status_writes(&self, namespace: &str, name: &str) -> usize {
        let of_it = |asked: &Asked| {
            asked.resource == "upstreams/status" && asked.namespace == namespace && asked.name == name
        };
        self.asked().into_iter().filter(of_it).count()
    }

    /// Stops answering, as if the machine were gone: connections are cut, new ones too.
    pub(crate) fn go_down(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.faults.down = true;
        std::mem::take(&mut state.faults.connections).cancel();
    }

    /// Answers again; `amnesia` has it forget every version before this moment.
    pub(crate) fn come_back(&self, memory: Memory) {
        let mut state = self.shared.state.lock().unwrap();
        state.faults.down = false;
        if memory == Memory::Forgets {
            state.store.forget();
        }
    }

    /// Cuts every watch in the middle.
    pub(crate) fn drop_watches(&self) {
        let mut state = self.shared.state.lock().unwrap();
        std::mem::take(&mut state.faults.watches).cancel();
    }

    /// Every request on a resource is refused from now on.
    pub(crate) fn forbid(&self, resource: &str) {
        self.shared.state.lock().unwrap().faults.forbidden.insert(resource.to_owned());
    }

    /// They are allowed again.
    pub(crate) fn allow(&self, resource: &str) {
        self.shared.state.lock().unwrap().faults.forbidden.remove(resource);
    }

    /// Every answer takes so long from now on.
    pub(crate) fn slow_down(&self, by: Duration) {
        self.shared.state.lock().unwrap().faults.slow = by;
    }

    fn change(&self, change: impl FnOnce(&mut Store)) {
        let mut state = self.shared.state.lock().unwrap();
        change(&mut state.store);
        self.shared.versions.send_replace(state.store.version());
    }
}

/// What a server that comes back knows of the time before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    Remembers,
    Forgets,
}

impl Drop for FakeCluster {
    fn drop(&mut self) {
        self.go_down();
        self.ended.cancel();
    }
}
