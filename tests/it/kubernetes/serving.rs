//! From the cluster to the data plane: names, changes, and who counts when two sources have one name.

use super::*;
use crate::support::ports::ClosedPort;

#[tokio::test]
async fn an_upstream_of_the_cluster_is_called_by_its_name_and_follows_every_change() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply(OWN, "rates", scene.spec());
    scene.cluster.apply("shop", "rates", scene.spec());
    let (replica, key) = replica(&scene).await;
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    assert_eq!(replica.call(&key, "/proxy/shop.rates/ok").await.status, 200);
    assert_eq!(replica.call(&key, "/proxy/levee.rates/ok").await.status, 404);
    let mut closed = scene.spec();
    closed["access"] = json!({ "allow": [] });
    scene.cluster.apply("shop", "rates", closed);
    until_answered(&replica, &key, "/proxy/shop.rates/ok", 403).await;
    scene.cluster.delete(OWN, "rates");
    until_answered(&replica, &key, "/proxy/rates/ok", 404).await;
}

#[tokio::test]
async fn only_the_listed_namespaces_count_where_some_are_listed() {
    let mut scene = Scene::on_sqlite().await;
    scene.deployment.env("LEVEE_KUBERNETES_NAMESPACES", "shop,pay");
    for namespace in [OWN, "shop", "pay", "other"] {
        scene.cluster.apply(namespace, "rates", scene.spec());
    }
    let (replica, key) = replica(&scene).await;
    for (name, status) in [("rates", 404), ("shop.rates", 200), ("pay.rates", 200), ("other.rates", 404)] {
        assert_eq!(replica.call(&key, &format!("/proxy/{name}/ok")).await.status, status, "{name}");
    }
    let watched = scene.cluster.asked();
    assert!(watched.iter().all(|asked| !asked.namespace.is_empty()), "nothing is asked of the whole cluster");
}

#[tokio::test]
async fn the_custom_resource_counts_and_the_others_are_told_where_to_change_it() {
    let scene = Scene::on_sqlite().await;
    let (replica, key) = replica(&scene).await;
    let admin = replica.admin().await;
    register(&admin, "rates", scene.spec()).await;
    scene.cluster.apply(OWN, "rates", json!({ "url": scene.server.url(), "owner": "cluster" }));
    until_answered(&replica, &key, "/proxy/rates/ok", 403).await;
    let shown = admin.get("/api/v1/upstreams/rates").await.json();
    assert_eq!((&shown["source"], &shown["editable"]), (&json!("custom_resource"), &json!(false)));
    assert_eq!(
        (&shown["customResource"], &shown["spec"]["owner"]),
        (&json!("Upstream levee/rates"), &json!("cluster"))
    );
    assert!(shown["hiddenRevision"].is_u64(), "{shown}");
    let place = "Upstream levee/rates";
    for refused in [
        admin.post("/api/v1/upstreams", json!({ "name": "rates", "spec": scene.spec() })).await,
        admin
            .change(http::Method::PUT, "/api/v1/upstreams/rates", "*", Some(json!({ "spec": scene.spec() })))
            .await,
        admin.change(http::Method::DELETE, "/api/v1/upstreams/rates", "*", None).await,
    ] {
        assert_eq!(refused.status, 409, "{}", refused.text());
        assert!(refused.text().contains(place), "{}", refused.text());
    }
    until("its status names what it hides", SOON, async || {
        scene
            .cluster
            .message(OWN, "rates", "Accepted")
            .contains("in place of the document of that name at the API")
    })
    .await;
    let log = replica.log().join("\n");
    assert_eq!(log.matches("two sources of one name").count(), 1, "{log}");
    scene.cluster.delete(OWN, "rates");
    until_answered(&replica, &key, "/proxy/rates/ok", 200).await;
}

#[tokio::test]
async fn a_file_of_the_same_name_comes_back_when_the_custom_resource_goes() {
    let scene = Scene::on_sqlite().await;
    let file = format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: rates }}\nspec: {}\n",
        scene.spec()
    );
    scene.deployment.write_upstreams(&file);
    scene.cluster.apply(OWN, "rates", json!({ "url": scene.server.url() }));
    let (replica, key) = replica(&scene).await;
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 403);
    until_condition(&scene.cluster, (OWN, "rates"), "Accepted", "True/Accepted").await;
    assert!(scene.cluster.message(OWN, "rates", "Accepted").contains("upstreams.yaml:"));
    scene.cluster.delete(OWN, "rates");
    until_answered(&replica, &key, "/proxy/rates/ok", 200).await;
}

#[tokio::test]
async fn a_fallback_leads_to_the_same_namespace() {
    let scene = Scene::on_sqlite().await;
    let nobody = ClosedPort::take();
    let mut failing = spec(&format!("http://{}", nobody.address));
    failing["fallback"] = json!([{ "upstream": { "name": "backup" } }]);
    scene.cluster.apply("shop", "rates", failing);
    let (replica, key) = replica(&scene).await;
    until_condition(&scene.cluster, ("shop", "rates"), "Ready", "False/FallbackMissing").await;
    assert_eq!(replica.call(&key, "/proxy/shop.rates/ok").await.status, 502);
    scene.cluster.apply("shop", "backup", scene.spec());
    until_answered(&replica, &key, "/proxy/shop.backup/ok", 200).await;
    let answer = replica.call(&key, "/proxy/shop.rates/ok").await;
    assert_eq!(answer.header("levee-fallback"), "upstream:shop.backup", "{answer:?}");
    until_condition(&scene.cluster, ("shop", "rates"), "Ready", "True/Ready").await;
}

#[tokio::test]
async fn a_list_of_several_pages_comes_whole() {
    let scene = Scene::on_sqlite().await;
    for number in 0..300 {
        scene.cluster.apply("shop", &format!("upstream-{number:03}"), scene.spec());
    }
    let (replica, key) = replica(&scene).await;
    for number in ["000", "249", "250", "299"] {
        assert_eq!(
            replica.call(&key, &format!("/proxy/shop.upstream-{number}/ok")).await.status,
            200,
            "{number}"
        );
    }
    let asked = scene.cluster.asked();
    assert_eq!(asked.iter().filter(|asked| asked.resource == "upstreams" && asked.verb == "list").count(), 2);
}
