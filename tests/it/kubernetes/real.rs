//! The same over a real API server, where `LEVEE_TEST_KUBECONFIG` names a kubeconfig for one that may be changed: the
//! definition, objects in namespaces that begin with `levee-test-`, and roles called like those. What a test makes it takes
//! away again. No kubelet and no controllers are needed. No other Levee may work in the cluster meanwhile, and the tests
//! run one after the other.

#![expect(
    clippy::print_stdout,
    reason = "whoever reads the result must know what did not run, and how fast the rest was"
)]

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Client, Config, Resource};
use serde::de::DeserializeOwned;

use super::contract::upstreams;
use super::*;
use crate::support::faults::FaultProxy;
use crate::support::levee::levee;

/// What the server takes, and what it refuses.
mod definition;
/// Who leads.
mod leader;
/// The server goes and comes back.
mod outage;
/// Status, Events and Secrets.
mod reporting;
/// What the chart's roles give.
mod rights;
/// Service accounts call.
mod tokens;

const DEFINITION: &str = "upstreams.levee.dev";

/// Who writes objects here.
const MANAGER: &str = "levee-test";

/// One at a time: replicas that watch the whole cluster would write on each other's Upstreams.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A cluster with the definition installed, and a namespace of one's own.
struct Real {
    /// As the kubeconfig says.
    client: Client,
    namespace: String,
    /// Between replicas and the API server.
    proxy: FaultProxy,
    /// The kubeconfig, through the proxy and into the namespace.
    config: Kubeconfig,
    deployment: Deployment,
    server: Misbehaving,
    _database: Database,
}

/// Runs a test over a cluster where one is given, and cleans up after it, however it ends.
async fn with_cluster(test: impl AsyncFnOnce(&mut Real)) {
    let Ok(file) = std::env::var("LEVEE_TEST_KUBECONFIG") else {
        println!("skipped: LEVEE_TEST_KUBECONFIG names no cluster");
        return;
    };
    let _turn = TURN.lock().await;
    let mut real = Real::over(&file).await;
    let found = real.definition().await.is_some();
    let ended = AssertUnwindSafe(async {
        real.install().await;
        test(&mut real).await;
    });
    let ended = ended.catch_unwind().await;
    real.clean_up().await;
    if !found {
        real.undefine().await;
    }
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

impl Real {
    async fn over(file: &str) -> Self {
        let given = Kubeconfig::read_from(file).unwrap();
        let options = KubeConfigOptions::default();
        let direct = Config::from_custom_kubeconfig(given.clone(), &options).await.unwrap();
        let namespace = format!("levee-test-{:08x}", fastrand::u32(..));
        let (host, port) = (direct.cluster_url.host().unwrap(), direct.cluster_url.port_u16().unwrap_or(443));
        let host = host.trim_matches(['[', ']']).to_owned();
        let behind = tokio::net::lookup_host((host.as_str(), port)).await.unwrap().next().unwrap();
        let proxy = FaultProxy::in_front_of(behind);
        let path = direct.cluster_url.path().to_owned();
        let mut config = given;
        for context in config.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
            context.namespace = Some(namespace.clone());
        }
        for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
            cluster.server = Some(format!("https://{}{path}", proxy.address));
            cluster.tls_server_name.get_or_insert(host.clone());
        }
        let database = Database::empty().await;
        let mut deployment = Deployment::on_postgres(database.url());
        deployment.migrate().await;
        deployment.env("LEVEE_KUBERNETES", "on");
        deployment.env("LEVEE_KUBERNETES_NAMESPACES", &namespace);
        let client = Client::try_from(direct).unwrap();
        let server = Misbehaving::start().await;
        let mut real = Self { client, namespace, proxy, config, deployment, server, _database: database };
        real.become_user(None);
        real
    }

    /// Replicas that start from now on show this token, or what the kubeconfig has.
    fn become_user(&mut self, token: Option<String>) {
        let mut config = self.config.clone();
        if let Some(token) = token {
            for user in &mut config.auth_infos {
                let token = Some(token.clone().into());
                user.auth_info = Some(AuthInfo { token, ..AuthInfo::default() });
            }
        }
        let file = self.deployment.path("kubeconfig");
        std::fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
        self.deployment.env("KUBECONFIG", file);
    }

    /// A client that shows this token and nothing else.
    async fn client_of(&self, token: &str) -> Client {
        let mut config = self.config.clone();
        for user in &mut config.auth_infos {
            user.auth_info = Some(AuthInfo { token: Some(token.into()), ..AuthInfo::default() });
        }
        let options = KubeConfigOptions::default();
        Client::try_from(Config::from_custom_kubeconfig(config, &options).await.unwrap()).unwrap()
    }

    fn definitions(&self) -> Api<CustomResourceDefinition> {
        Api::all(self.client.clone())
    }

    async fn definition(&self) -> Option<CustomResourceDefinition> {
        self.definitions().get_opt(DEFINITION).await.unwrap()
    }

    async fn install(&self) {
        let apply = PatchParams::apply(MANAGER).force();
        self.definitions().patch(DEFINITION, &apply, &Patch::Apply(printed())).await.unwrap();
        self.make_namespace(&self.namespace).await;
        until("the definition is served", SOON, async || {
            self.upstreams().list(&ListParams::default()).await.is_ok()
        })
        .await;
    }

    async fn make_namespace(&self, name: &str) {
        self.make(&Api::<Namespace>::all(self.client.clone()), json!({ "metadata": { "name": name } })).await;
    }

    /// Creates an object of any kind.
    async fn make<K>(&self, api: &Api<K>, object: Value) -> K
    where
        K: Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
    {
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    fn all<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn upstreams(&self) -> Api<DynamicObject> {
        upstreams(&self.client, &self.namespace)
    }

    async fn apply(&self, name: &str, spec: Value) -> kube::Result<DynamicObject> {
        apply_in(&self.upstreams(), name, spec).await
    }

    /// A document that any key may call.
    fn spec(&self) -> Value {
        spec(&self.server.url())
    }

    /// `status/reason` of a condition: `True/Accepted`; empty while there is none.
    async fn condition(&self, name: &str, kind: &str) -> String {
        condition_in(&self.upstreams(), name, kind).await
    }

    async fn until_condition(&self, name: &str, kind: &str, wanted: &str) {
        until(&format!("{name} is {kind} {wanted}"), SOON, async || {
            self.condition(name, kind).await == wanted
        })
        .await;
    }

    /// A token of a service account of the namespace, as `kubectl create token` makes them.
    async fn token(&self, account: &str, audiences: &[&str]) -> String {
        let asked = json!({ "metadata": {}, "spec": { "audiences": audiences, "expirationSeconds": 3600 } });
        let accounts: Api<ServiceAccount> = self.all();
        let asked = serde_json::from_value(asked).unwrap();
        let made = accounts.create_token_request(account, &PostParams::default(), &asked).await.unwrap();
        made.status.unwrap().token
    }

    async fn replica(&self) -> (Replica, String) {
        let replica = self.deployment.replica().await;
        let key = replica.admin().await.key("caller").await;
        (replica, key)
    }

    /// A second namespace, where a test makes one.
    fn other(&self) -> String {
        format!("{}-other", self.namespace)
    }

    async fn clean_up(&self) {
        for namespace in [&self.namespace, &self.other()] {
            self.remove(namespace).await;
        }
        let (role, now) = (format!("{}-levee", self.namespace), DeleteParams::default());
        Api::<ClusterRoleBinding>::all(self.client.clone()).delete(&role, &now).await.ok();
        Api::<ClusterRole>::all(self.client.clone()).delete(&role, &now).await.ok();
    }

    /// Where nothing runs that empties a namespace which is deleted, what lies in it would stay for ever.
    async fn remove(&self, namespace: &str) {
        let (all, now) = (ListParams::default(), DeleteParams::background().grace_period(0));
        let namespaces = Api::<Namespace>::all(self.client.clone());
        if namespaces.get_opt(namespace).await.unwrap().is_none() {
            return;
        }
        upstreams(&self.client, namespace).delete_collection(&now, &all).await.ok();
        let client = || self.client.clone();
        Api::<Event>::namespaced(client(), namespace).delete_collection(&now, &all).await.ok();
        Api::<Lease>::namespaced(client(), namespace).delete_collection(&now, &all).await.ok();
        Api::<Secret>::namespaced(client(), namespace).delete_collection(&now, &all).await.ok();
        Api::<RoleBinding>::namespaced(client(), namespace).delete_collection(&now, &all).await.ok();
        Api::<Role>::namespaced(client(), namespace).delete_collection(&now, &all).await.ok();
        Api::<ServiceAccount>::namespaced(client(), namespace).delete_collection(&now, &all).await.ok();
        namespaces.delete(namespace, &now).await.unwrap();
    }

    async fn undefine(&self) {
        self.definitions().delete(DEFINITION, &DeleteParams::default()).await.unwrap();
        until("the definition is gone", SOON, async || self.definition().await.is_none()).await;
    }
}

/// What `levee crds` prints.
fn printed() -> Value {
    let printed = levee().arg("crds").output().unwrap();
    yaml_serde::from_slice(&printed.stdout).unwrap()
}

fn document(name: &str, spec: Value) -> Value {
    let mut document =
        json!({ "apiVersion": "levee.dev/v1alpha1", "kind": "Upstream", "metadata": { "name": name } });
    document["spec"] = spec;
    document
}

/// As `kubectl apply --server-side` does it, unknown fields refused.
async fn apply_in(upstreams: &Api<DynamicObject>, name: &str, spec: Value) -> kube::Result<DynamicObject> {
    let apply = PatchParams::apply(MANAGER).force().validation_strict();
    upstreams.patch(name, &apply, &Patch::Apply(document(name, spec))).await
}

async fn condition_in(upstreams: &Api<DynamicObject>, name: &str, kind: &str) -> String {
    let object = upstreams.get(name).await.unwrap();
    let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found.map_or_else(String::new, |condition| {
        format!("{}/{}", condition["status"].as_str().unwrap(), condition["reason"].as_str().unwrap())
    })
}

async fn leads(replica: &Replica) -> bool {
    replica.metric("levee_leader").await == Some(1.0)
}
