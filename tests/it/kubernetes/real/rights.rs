//! The chart's roles, as `tests/chart/golden` has them rendered, on a real API server: what they give is `helm/rights.json` and
//! nothing else, and Levee works with it.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use serde::Deserialize as _;

use super::*;
use crate::kubernetes::contract;

/// Group, resource, verb.
type Rule = (String, String, String);

/// Makes what a case of the chart renders for the account, for this namespace in place of `levee` and another of `shop`.
async fn install(real: &Real, case: &str) {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/golden");
    let text = std::fs::read_to_string(format!("{golden}/{case}.yaml")).unwrap();
    let documents = yaml_serde::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap());
    for mut document in documents {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        let (own, other) = (real.namespace.as_str(), real.other());
        move_to(&mut document, own, &other);
        let namespace = document["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let client = || real.client.clone();
        match kind.as_str() {
            "ServiceAccount" => drop(real.make::<ServiceAccount>(&real.all(), document).await),
            "Role" => drop(real.make::<Role>(&Api::namespaced(client(), &namespace), document).await),
            "RoleBinding" => {
                drop(real.make::<RoleBinding>(&Api::namespaced(client(), &namespace), document).await);
            }
            "ClusterRole" => drop(real.make::<ClusterRole>(&Api::all(client()), document).await),
            "ClusterRoleBinding" => {
                drop(real.make::<ClusterRoleBinding>(&Api::all(client()), document).await);
            }
            _ => {}
        }
    }
}

/// Namespaces, and names of what belongs to none: `levee-levee` is the release `levee` in the namespace `levee`.
fn move_to(value: &mut Value, own: &str, other: &str) {
    let Value::Object(fields) = value else {
        value.as_array_mut().into_iter().flatten().for_each(|one| move_to(one, own, other));
        return;
    };
    for (field, value) in fields {
        match (field.as_str(), value.as_str()) {
            ("namespace", Some("levee")) => *value = json!(own),
            ("namespace", Some("shop")) => *value = json!(other),
            ("name", Some("levee-levee")) => *value = json!(format!("{own}-levee")),
            _ => move_to(value, own, other),
        }
    }
}

/// What the server says that whoever asks may do in a namespace.
async fn rules(client: &Client, namespace: &str) -> BTreeSet<Rule> {
    let asked = json!({ "metadata": {}, "spec": { "namespace": namespace } });
    let reviews: Api<SelfSubjectRulesReview> = Api::all(client.clone());
    let asked = serde_json::from_value(asked).unwrap();
    let status = reviews.create(&PostParams::default(), &asked).await.unwrap().status.unwrap();
    assert!(!status.incomplete);
    let mut found = BTreeSet::new();
    for rule in status.resource_rules {
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.iter().flatten() {
                found.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
            }
        }
    }
    found
}

/// What `helm/rights.json` says of these places.
fn wanted(places: &[&str]) -> BTreeSet<Rule> {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/helm/rights.json")).unwrap();
    let table: Value = serde_json::from_str(&file).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut wanted = BTreeSet::new();
    for right in table["rights"].as_array().unwrap() {
        if places.contains(&right["where"].as_str().unwrap()) {
            let verbs = right["verbs"].as_array().unwrap();
            wanted.extend(
                verbs.iter().map(|verb| (text(&right["apiGroup"]), text(&right["resource"]), text(verb))),
            );
        }
    }
    wanted
}

/// Holds what the account of a case may do against the table, and against an account with no role.
async fn exactly(real: &Real, places: [(&str, &[&str]); 3]) -> Client {
    real.make::<ServiceAccount>(&real.all(), json!({ "metadata": { "name": "nobody" } })).await;
    let nobody = real.client_of(&real.token("nobody", &[]).await).await;
    let levee = real.client_of(&real.token("levee", &[]).await).await;
    for (namespace, places) in places {
        let everybody = rules(&nobody, namespace).await;
        let given: BTreeSet<_> = rules(&levee, namespace).await.difference(&everybody).cloned().collect();
        assert_eq!(given, wanted(places), "{namespace}");
    }
    levee
}

fn is_forbidden<T: std::fmt::Debug>(answer: &kube::Result<T>) {
    assert!(matches!(answer, Err(kube::Error::Api(status)) if status.code == 403), "{answer:?}");
}

/// An Upstream with a Secret does all of its work, and one without a Secret in another namespace can be called too.
async fn works(real: &Real, namespace: &str, called: [&str; 2]) {
    let mut spec = real.spec();
    spec["credentials"] =
        json!({ "basic": { "username": "a" }, "secretRef": { "name": "stripe", "key": "token" } });
    let secret = json!({
        "metadata": { "name": "stripe", "annotations": may_go_to(&real.server.url()) },
        "stringData": { "token": "x" },
    });
    real.make(&Api::<Secret>::namespaced(real.client.clone(), namespace), secret).await;
    let upstreams = contract::upstreams(&real.client, namespace);
    apply_in(&upstreams, "rates", spec).await.unwrap();
    let (replica, key) = real.replica().await;
    for name in called {
        until_answered(&replica, &key, &format!("/proxy/{name}/ok"), 200).await;
    }
    until("it leads", SOON, async || leads(&replica).await).await;
    for kind in ["Accepted", "Ready", "Healthy"] {
        until(kind, SOON, async || condition_in(&upstreams, "rates", kind).await.starts_with("True/")).await;
    }
    let events: Api<Event> = Api::namespaced(real.client.clone(), namespace);
    until("it is told", SOON, async || !events.list(&ListParams::default()).await.unwrap().items.is_empty())
        .await;
    let status = replica.status().await;
    assert_eq!(
        (&status["kubernetes"]["troubles"], &status["issuers"][0]["failing"]),
        (&json!([]), &Value::Null)
    );
    assert!(status["issuers"][0]["keys"].as_u64() >= Some(1), "{status}");
    replica.stop().await;
    let lease = real.all::<Lease>().get("levee").await.unwrap().spec.unwrap();
    assert_eq!(lease.holder_identity.as_deref(), Some(""), "it was given back");
}

#[tokio::test]
async fn the_charts_roles_in_two_namespaces_are_what_levee_needs_and_no_more() {
    with_cluster(async |real| {
        let other = real.other();
        real.make_namespace(&other).await;
        install(real, "namespaced").await;
        let namespace = real.namespace.clone();
        let levee = exactly(
            real,
            [
                (&namespace, &["own_namespace", "watched_namespaces", "secret_namespaces"]),
                (&other, &["watched_namespaces", "secret_namespaces"]),
                ("default", &[]),
            ],
        )
        .await;
        let (all, apply) = (ListParams::default(), PatchParams::apply("levee").force());
        is_forbidden(&contract::upstreams(&levee, "default").list(&all).await);
        is_forbidden(&Api::<Secret>::namespaced(levee.clone(), "default").list(&all).await);
        is_forbidden(&Api::<Secret>::namespaced(levee.clone(), &other).get("stripe").await);
        is_forbidden(&Api::<Lease>::namespaced(levee.clone(), &other).get("levee").await);
        let document = Patch::Apply(document("mine", real.spec()));
        is_forbidden(&contract::upstreams(&levee, &namespace).patch("mine", &apply, &document).await);
        real.become_user(Some(real.token("levee", &[]).await));
        real.deployment.env("LEVEE_KUBERNETES_NAMESPACES", format!("{namespace},{other}"));
        real.deployment.env("LEVEE_KUBERNETES_SECRET_NAMESPACES", &other);
        real.apply("plain", real.spec()).await.unwrap();
        works(real, &other, [&format!("{other}.rates"), "plain"]).await;
    })
    .await;
}

#[tokio::test]
async fn the_charts_roles_in_the_whole_cluster_are_what_levee_needs_and_no_more() {
    with_cluster(async |real| {
        let other = real.other();
        real.make_namespace(&other).await;
        install(real, "restricted-network").await;
        let namespace = real.namespace.clone();
        let levee = exactly(
            real,
            [
                (&namespace, &["own_namespace", "watched_namespaces", "secret_namespaces"]),
                (&other, &["watched_namespaces"]),
                ("default", &["watched_namespaces"]),
            ],
        )
        .await;
        is_forbidden(&Api::<Secret>::namespaced(levee.clone(), "default").list(&ListParams::default()).await);
        is_forbidden(&Api::<Secret>::all(levee.clone()).list(&ListParams::default()).await);
        real.become_user(Some(real.token("levee", &[]).await));
        real.deployment.env("LEVEE_KUBERNETES_NAMESPACES", "");
        apply_in(&contract::upstreams(&real.client, &other), "plain", real.spec()).await.unwrap();
        works(real, &namespace, ["rates", &format!("{other}.plain")]).await;
    })
    .await;
}
