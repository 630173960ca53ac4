//! What Levee depends on in an API server. The one in this process answers as the real one does, or tests over it would show
//! nothing: so the same questions are put to both.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams, WatchEvent, WatchParams,
};
use kube::{Client, Config};

use super::*;

/// Upstreams of a namespace, as any client sees them.
pub(super) fn upstreams(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("levee.dev", "v1alpha1", "Upstream");
    let kind = ApiResource::from_gvk_with_plural(&kind, "upstreams");
    Api::namespaced_with(client.clone(), namespace, &kind)
}

#[tokio::test]
async fn the_api_server_of_these_tests_answers_as_a_real_one() {
    let cluster = FakeCluster::start().await;
    let client = Client::try_from(Config::new(cluster.url().parse().unwrap())).unwrap();
    cluster.apply("elsewhere", "anything", json!({}));
    cluster.come_back(Memory::Forgets);
    is_kept(&client, "contract").await;
}

/// Asks everything. The server has forgotten its first versions.
pub(super) async fn is_kept(client: &Client, namespace: &str) {
    let leases = Api::namespaced(client.clone(), namespace);
    let upstreams = upstreams(client, namespace);
    two_writers_conflict(&leases).await;
    what_is_missing_is_not_found(&upstreams).await;
    lists_have_pages(&upstreams).await;
    an_old_version_is_gone(&upstreams).await;
    a_watch_tells_of_one_object(&upstreams).await;
    managers_apply_their_own_fields(&upstreams).await;
}

fn code<T: std::fmt::Debug>(answer: kube::Result<T>) -> (u16, String) {
    match answer.unwrap_err() {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("{other}"),
    }
}

fn refused(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

fn version(object: &DynamicObject) -> String {
    object.metadata.resource_version.clone().unwrap()
}

async fn two_writers_conflict(leases: &Api<Lease>) {
    let lease = json!({ "metadata": { "name": "contract" }, "spec": { "holderIdentity": "first" } });
    let lease: Lease = serde_json::from_value(lease).unwrap();
    let made = leases.create(&PostParams::default(), &lease).await.unwrap();
    let again = leases.create(&PostParams::default(), &lease).await;
    assert_eq!(code(again), refused(409, "AlreadyExists"));
    let held_by = |holder: &str| {
        let mut next = made.clone();
        next.spec.as_mut().unwrap().holder_identity = Some(holder.to_owned());
        next
    };
    leases.replace("contract", &PostParams::default(), &held_by("second")).await.unwrap();
    let late = leases.replace("contract", &PostParams::default(), &held_by("third")).await;
    assert_eq!(code(late), refused(409, "Conflict"));
    let found = leases.get("contract").await.unwrap();
    assert_eq!(found.spec.unwrap().holder_identity.as_deref(), Some("second"));
}

async fn what_is_missing_is_not_found(upstreams: &Api<DynamicObject>) {
    assert_eq!(code(upstreams.get("nobody").await), refused(404, "NotFound"));
    let written = apply_status(upstreams, "nobody", "levee", json!({ "name": "nobody" })).await;
    assert_eq!(code(written), refused(404, "NotFound"));
}

async fn lists_have_pages(upstreams: &Api<DynamicObject>) {
    for number in 0..3 {
        create(upstreams, &format!("page-{number}")).await;
    }
    let first = ListParams::default().limit(2);
    let page = upstreams.list(&first).await.unwrap();
    let token = page.metadata.continue_.clone().unwrap();
    let rest = upstreams.list(&first.continue_token(&token)).await.unwrap();
    assert!(rest.metadata.continue_.is_none_or(|token| token.is_empty()));
    assert!(rest.metadata.resource_version.is_some());
    let names: BTreeSet<_> = page.items.into_iter().chain(rest.items).map(|one| one.metadata.name).collect();
    assert_eq!(names.len(), 3);
}

async fn an_old_version_is_gone(upstreams: &Api<DynamicObject>) {
    let told: Vec<_> =
        upstreams.watch(&WatchParams::default().timeout(5), "1").await.unwrap().try_collect().await.unwrap();
    let [WatchEvent::Error(status)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}

async fn a_watch_tells_of_one_object(upstreams: &Api<DynamicObject>) {
    let listed = upstreams.list(&ListParams::default().fields("metadata.name=watched")).await.unwrap();
    assert_eq!(listed.items.len(), 0);
    let from = listed.metadata.resource_version.unwrap();
    let parameters = WatchParams::default().fields("metadata.name=watched").timeout(6);
    let watching = upstreams.watch(&parameters, &from).await.unwrap();
    let mut made = create(upstreams, "watched").await;
    create(upstreams, "unwatched").await;
    made.data["spec"]["owner"] = json!("somebody");
    upstreams.replace("watched", &PostParams::default(), &made).await.unwrap();
    apply_status(upstreams, "watched", "levee", json!({ "name": "watched" })).await.unwrap();
    upstreams.delete("watched", &DeleteParams::default()).await.unwrap();
    // It ends by itself when its time is over, and tells before that how far it has come.
    let told: Vec<_> = watching.try_collect().await.unwrap();
    let (mut changes, mut bookmarks) = (Vec::new(), 0);
    for event in told {
        let (kind, one) = match event {
            WatchEvent::Added(one) => ("added", one),
            WatchEvent::Modified(one) => ("modified", one),
            WatchEvent::Deleted(one) => ("deleted", one),
            WatchEvent::Bookmark(bookmark) => {
                assert!(!bookmark.metadata.resource_version.is_empty());
                bookmarks += 1;
                continue;
            }
            WatchEvent::Error(status) => panic!("{status:?}"),
        };
        assert_eq!(one.metadata.name.as_deref(), Some("watched"));
        changes.push((kind, one.metadata.generation.unwrap(), one.data["status"]["name"].is_string()));
    }
    assert_eq!(
        changes,
        [("added", 1, false), ("modified", 2, false), ("modified", 2, true), ("deleted", 2, true)]
    );
    assert!(bookmarks > 0, "no bookmark came");
}

async fn managers_apply_their_own_fields(upstreams: &Api<DynamicObject>) {
    create(upstreams, "applied").await;
    let condition = |kind: &str, status: &str| {
        json!({ "type": kind, "status": status, "reason": "R", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z" })
    };
    let breaker = json!({ "operation": "", "state": "closed", "mode": "auto" });
    let ours = json!({ "observedGeneration": 1, "breaker": "closed", "breakers": [breaker],
        "conditions": [condition("Accepted", "True"), condition("Ready", "True")] });
    let first = apply_status(upstreams, "applied", "levee", ours.clone()).await.unwrap();
    assert_eq!(first.metadata.generation, Some(1), "a status is no new generation");
    let again = apply_status(upstreams, "applied", "levee", ours).await.unwrap();
    assert_eq!(version(&again), version(&first), "what changes nothing makes no version");
    let theirs = json!({ "conditions": [condition("Theirs", "Unknown")] });
    apply_status(upstreams, "applied", "somebody", theirs).await.unwrap();
    let fewer = json!({ "breaker": "", "breakers": [], "conditions": [condition("Accepted", "False")] });
    let merged = apply_status(upstreams, "applied", "levee", fewer).await.unwrap();
    let status = &merged.data["status"];
    let mut conditions: Vec<_> = status["conditions"].as_array().unwrap().iter().collect();
    conditions.sort_by_key(|condition| condition["type"].as_str());
    assert_eq!(conditions, [&condition("Accepted", "False"), &condition("Theirs", "Unknown")]);
    assert_eq!(status.get("breakers"), None, "a list that loses its last entry goes");
    assert_eq!(status.get("observedGeneration"), None, "what is applied no more goes");

    let mut changed = upstreams.get("applied").await.unwrap();
    changed.data["spec"]["owner"] = json!("somebody");
    changed.data["status"] = json!({ "name": "forged" });
    let changed = upstreams.replace("applied", &PostParams::default(), &changed).await.unwrap();
    assert_eq!(changed.metadata.generation, Some(2));
    assert_eq!(&changed.data["status"], status, "a status is written on its own path only");
}

async fn create(upstreams: &Api<DynamicObject>, name: &str) -> DynamicObject {
    let object = json!({
        "apiVersion": "levee.dev/v1alpha1", "kind": "Upstream", "metadata": { "name": name },
        "spec": { "url": "https://api.example.com" },
    });
    upstreams.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

/// As Levee writes it, and others do.
pub(super) async fn apply_status(
    upstreams: &Api<DynamicObject>,
    name: &str,
    manager: &str,
    status: Value,
) -> kube::Result<DynamicObject> {
    let applied = json!({
        "apiVersion": "levee.dev/v1alpha1", "kind": "Upstream", "metadata": { "name": name }, "status": status,
    });
    upstreams.patch_status(name, &PatchParams::apply(manager).force(), &Patch::Apply(applied)).await
}
