//! The API server goes, refuses, forgets, is slow: what was in force stays, and everything comes back by itself.

use std::net::SocketAddr;

use super::*;

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const UP: &str = r#"levee_dependency_up{dependency="kubernetes"}"#;

#[tokio::test]
async fn while_the_api_server_is_away_calls_go_on_and_its_changes_come_when_it_is_back() {
    for memory in [Memory::Remembers, Memory::Forgets] {
        let scene = Scene::on_sqlite().await;
        scene.cluster.apply("shop", "rates", scene.spec());
        let (replica, key) = replica(&scene).await;
        assert_eq!(replica.metric(UP).await, Some(1.0));
        scene.cluster.go_down();
        until("it is told", SOON, async || replica.metric(UP).await == Some(0.0)).await;
        scene.cluster.delete("shop", "rates");
        scene.cluster.apply("shop", "later", scene.spec());
        assert_eq!(replica.call(&key, "/proxy/shop.rates/ok").await.status, 200);
        assert_eq!(client::get(replica.ops, "/readyz").await.status, 200);
        assert_eq!(replica.status().await["kubernetes"]["up"], false);
        scene.cluster.come_back(memory);
        until_answered(&replica, &key, "/proxy/shop.later/ok", 200).await;
        until_answered(&replica, &key, "/proxy/shop.rates/ok", 404).await;
        until("it is told", SOON, async || replica.metric(UP).await == Some(1.0)).await;
    }
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_from_where_it_was() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply("shop", "rates", scene.spec());
    let (replica, key) = replica(&scene).await;
    let lists = || {
        let asked = scene.cluster.asked();
        asked.iter().filter(|asked| asked.resource == "upstreams" && asked.verb == "list").count()
    };
    let before = lists();
    for round in 0..3 {
        scene.cluster.drop_watches();
        let name = format!("more-{round}");
        scene.cluster.apply("shop", &name, scene.spec());
        until_answered(&replica, &key, &format!("/proxy/shop.{name}/ok"), 200).await;
    }
    assert_eq!(lists(), before, "nothing is listed again");
}

#[tokio::test]
async fn a_slow_api_server_slows_no_call() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply("shop", "rates", scene.spec());
    let (replica, key) = replica(&scene).await;
    scene.cluster.slow_down(Duration::from_secs(3));
    scene.cluster.drop_watches();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(replica.call(&key, "/proxy/shop.rates/ok").await.status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    scene.cluster.apply("shop", "later", scene.spec());
    until_answered(&replica, &key, "/proxy/shop.later/ok", 200).await;
}

#[tokio::test]
async fn without_rights_it_is_not_ready_says_so_once_and_begins_when_they_are_given() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply("shop", "rates", scene.spec());
    scene.cluster.forbid("upstreams");
    let ops = free_address();
    let mut process = scene.deployment.begin_with_ops(ops);
    process
        .logged(SOON, |line| line.contains("not ready before the Kubernetes API can be asked").then_some(()))
        .await;
    until("it has tried again", SOON, async || {
        let asked = scene.cluster.asked();
        asked.iter().filter(|asked| asked.resource == "upstreams").count() >= 3
    })
    .await;
    assert_eq!(client::get(ops, "/livez").await.status, 200);
    assert_eq!(client::get(ops, "/readyz").await.status, 503);
    let status = client::get(ops, "/status").await.json();
    let trouble = status["kubernetes"]["troubles"][0].as_str().unwrap().to_owned();
    assert!(trouble.contains("upstreams is forbidden: cannot list resource"), "{trouble}");
    let log = process.log().join("\n");
    assert_eq!(log.matches("the Kubernetes API refuses").count(), 1, "{log}");
    scene.cluster.allow("upstreams");
    process.logged(SOON, |line| line.contains("\"ready\"").then_some(())).await;
    assert_eq!(client::get(ops, "/readyz").await.status, 200);
}

#[tokio::test]
async fn a_cold_start_without_the_api_server_waits_for_it() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply("shop", "rates", scene.spec());
    scene.cluster.go_down();
    let ops = free_address();
    let mut process = scene.deployment.begin_with_ops(ops);
    process
        .logged(SOON, |line| line.contains("not ready before the Kubernetes API can be asked").then_some(()))
        .await;
    assert_eq!(client::get(ops, "/livez").await.status, 200);
    assert_eq!(client::get(ops, "/startupz").await.status, 200);
    assert_eq!(client::get(ops, "/readyz").await.status, 503);
    scene.cluster.come_back(Memory::Remembers);
    process.logged(SOON, |line| line.contains("\"ready\"").then_some(())).await;
}

#[tokio::test]
async fn a_cold_start_without_the_api_server_begins_with_the_kept_snapshot_credentials_included() {
    let mut scene = Scene::on_sqlite().await;
    scene.deployment.env("LEVEE_SNAPSHOT_DIR", scene.deployment.path("kept"));
    let mut spec = scene.spec();
    spec["credentials"] = json!({
        "header": { "name": "x-api-key", "value": "{secret}" }, "secretRef": { "name": "stripe", "key": "token" },
    });
    scene.cluster.put_secret("shop", "stripe", ("token", "kept-secret"), &may_go_to(&scene.server.url()));
    scene.cluster.apply("shop", "rates", spec);
    let (first, key) = replica(&scene).await;
    assert_eq!(first.call(&key, "/proxy/shop.rates/ok").await.status, 200);
    until("all is on disk", SOON, async || first.status().await["snapshot"]["wholeOnDisk"] == true).await;
    first.stop().await;
    let file = std::fs::read(scene.deployment.path("kept/levee-snapshot")).unwrap();
    assert!(!String::from_utf8_lossy(&file).contains("shop.rates"), "it is sealed");

    scene.cluster.go_down();
    let second = scene.deployment.replica().await;
    assert_eq!(client::get(second.ops, "/readyz").await.status, 200);
    assert_eq!(second.call(&key, "/proxy/shop.rates/ok").await.status, 200);
    let last = scene.server.received().pop().unwrap();
    assert_eq!(last.header("x-api-key").as_deref(), Some("kept-secret"));
    scene.cluster.apply("shop", "later", scene.spec());
    scene.cluster.come_back(Memory::Forgets);
    until_answered(&second, &key, "/proxy/shop.later/ok", 200).await;
    assert_eq!(second.call(&key, "/proxy/shop.rates/ok").await.status, 200);
}

#[tokio::test]
async fn a_cluster_that_cannot_be_found_is_refused_at_the_start() {
    let mut scene = Scene::on_sqlite().await;
    scene.deployment.env("KUBECONFIG", "nothing-there");
    scene.deployment.env("HOME", scene.deployment.path("no-home"));
    let mut process = scene.deployment.begin_with_ops(free_address());
    let status = process.wait_exit(SOON).await;
    assert_eq!(status.code(), Some(64));
    let log = process.log().join("\n");
    assert!(log.contains("LEVEE_KUBERNETES: there is neither a kubeconfig nor a cluster"), "{log}");
}
