//! The same over a real API server, where `LEVEE_TEST_KUBECONFIG` names a kubeconfig for one that may be changed: the
//! definition, and objects in namespaces that begin with `levee-test-`.

#![expect(clippy::print_stdout, reason = "whoever reads the result must know what did not run")]

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::*;
use crate::support::levee::levee;

struct Real {
    client: Client,
    namespace: String,
    deployment: Deployment,
    database: Database,
}

impl Real {
    /// With the definition installed and a namespace of its own; none where no cluster is given.
    async fn start() -> Option<Self> {
        let Ok(file) = std::env::var("LEVEE_TEST_KUBECONFIG") else {
            println!("skipped: LEVEE_TEST_KUBECONFIG names no cluster");
            return None;
        };
        let mut config = Kubeconfig::read_from(&file).unwrap();
        let namespace = format!("levee-test-{:08x}", fastrand::u32(..));
        for context in config.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
            context.namespace = Some(namespace.clone());
        }
        let database = Database::empty().await;
        let mut deployment = Deployment::on_postgres(database.url());
        deployment.migrate().await;
        let own = deployment.path("kubeconfig");
        std::fs::write(&own, serde_json::to_string(&config).unwrap()).unwrap();
        deployment.env("KUBECONFIG", own);
        deployment.env("LEVEE_KUBERNETES", "on");
        deployment.env("LEVEE_KUBERNETES_NAMESPACES", &namespace);
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(config, &options).await.unwrap();
        let real = Self { client: Client::try_from(config).unwrap(), namespace, deployment, database };
        real.install().await;
        Some(real)
    }

    async fn install(&self) {
        let printed = levee().arg("crds").output().unwrap();
        let definition: Value = yaml_serde::from_slice(&printed.stdout).unwrap();
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let apply = PatchParams::apply("levee-test").force();
        definitions.patch("upstreams.levee.dev", &apply, &Patch::Apply(definition)).await.unwrap();
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = json!({ "metadata": { "name": self.namespace } });
        namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
        until("the definition is served", SOON, async || {
            self.upstreams().list(&ListParams::default()).await.is_ok()
        })
        .await;
    }

    fn upstreams(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("levee.dev", "v1alpha1", "Upstream");
        let kind = ApiResource::from_gvk_with_plural(&kind, "upstreams");
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind)
    }

    async fn apply(&self, name: &str, spec: Value) -> kube::Result<DynamicObject> {
        let object = json!({
            "apiVersion": "levee.dev/v1alpha1", "kind": "Upstream", "metadata": { "name": name }, "spec": spec,
        });
        let apply = PatchParams::apply("levee-test").force();
        self.upstreams().patch(name, &apply, &Patch::Apply(object)).await
    }

    async fn condition(&self, name: &str, kind: &str) -> String {
        let object = self.upstreams().get(name).await.unwrap();
        let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        found.map_or_else(String::new, |condition| {
            format!("{}/{}", condition["status"].as_str().unwrap(), condition["reason"].as_str().unwrap())
        })
    }

    async fn end(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
        drop(self.database);
    }
}

#[tokio::test]
async fn definition_status_events_and_secrets_work_against_a_real_api_server() {
    let Some(real) = Real::start().await else { return };
    let server = Misbehaving::start().await;
    let replica = real.deployment.replica().await;
    let key = replica.admin().await.key("caller").await;
    real.apply("rates", spec(&server.url())).await.unwrap();
    until_answered(&replica, &key, "/proxy/rates/ok", 200).await;
    until("it is accepted", SOON, async || real.condition("rates", "Accepted").await == "True/Accepted")
        .await;

    let mut both = spec(&server.url());
    both["fallback"] = json!([{ "stale": { "maxAge": "1h" }, "static": { "body": "x" } }]);
    let refused = real.apply("rates", both).await.unwrap_err();
    assert!(refused.to_string().contains("exactly one of"), "{refused}");
    let unknown = real.apply("rates", json!({ "url": 1 })).await.unwrap_err();
    assert!(unknown.to_string().contains("spec.url"), "{unknown}");
    let mut contradicting = spec(&server.url());
    contradicting["timeout"] = json!({ "total": "1s", "attempt": "2s" });
    real.apply("rates", contradicting).await.unwrap();
    until("it is refused", SOON, async || real.condition("rates", "Accepted").await == "False/Invalid").await;
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);

    let events: Api<Event> = Api::namespaced(real.client.clone(), &real.namespace);
    until("Events tell of it", SOON, async || {
        let told = events.list(&ListParams::default()).await.unwrap();
        let reasons: Vec<_> = told.items.iter().filter_map(|event| event.reason.clone()).collect();
        reasons.contains(&"Accepted".to_owned()) && reasons.contains(&"Refused".to_owned())
    })
    .await;

    let mut with_secret = spec(&server.url());
    with_secret["credentials"] = json!({
        "header": { "name": "x-api-key", "value": "{secret}" }, "secretRef": { "name": "stripe", "key": "token" },
    });
    real.apply("rates", with_secret).await.unwrap();
    until("it lacks its Secret", SOON, async || {
        real.condition("rates", "Ready").await == "False/SecretMissing"
    })
    .await;
    let secrets: Api<Secret> = Api::namespaced(real.client.clone(), &real.namespace);
    let secret = json!({
        "metadata": { "name": "stripe", "annotations": { "levee.dev/origin": server.url() } },
        "stringData": { "token": "of-the-cluster" },
    });
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    until_answered(&replica, &key, "/proxy/rates/ok", 200).await;
    let sent = server.received().last().and_then(|request| request.header("x-api-key"));
    assert_eq!(sent.as_deref(), Some("of-the-cluster"));
    real.end().await;
}

#[tokio::test]
async fn the_lease_fails_over_against_a_real_api_server() {
    let Some(real) = Real::start().await else { return };
    let (first, second) = (real.deployment.replica().await, real.deployment.replica().await);
    let leads = async |replica: &Replica| replica.metric("levee_leader").await == Some(1.0);
    until("one leads", SOON, async || leads(&first).await || leads(&second).await).await;
    let (leader, other) = if leads(&first).await { (first, second) } else { (second, first) };
    drop(leader);
    let began = Instant::now();
    until("the other leads", SOON, async || leads(&other).await).await;
    println!("the lease failed over after {:?}", began.elapsed());
    let leases: Api<Lease> = Api::namespaced(real.client.clone(), &real.namespace);
    let lease = leases.get("levee").await.unwrap().spec.unwrap();
    assert_eq!(lease.lease_transitions, Some(1));
    real.end().await;
}
