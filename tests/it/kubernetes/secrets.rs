//! Credentials out of Secrets: only the named one, only where it may be read, only where its owner lets it go.

use super::*;

const SECRET: &str = "a-secret-of-the-cluster";

fn with_secret(scene: &Scene) -> Value {
    let mut spec = scene.spec();
    spec["credentials"] = json!({
        "header": { "name": "x-api-key", "value": "{secret}" }, "secretRef": { "name": "stripe", "key": "token" },
    });
    spec
}

fn sent(scene: &Scene) -> String {
    scene.server.received().last().and_then(|request| request.header("x-api-key")).unwrap_or_default()
}

#[tokio::test]
async fn a_secret_that_is_missing_and_then_created_goes_into_calls_and_follows_its_changes() {
    let scene = Scene::on_sqlite().await;
    let origin = may_go_to(&scene.server.url());
    scene.cluster.apply("shop", "rates", with_secret(&scene));
    let (replica, key) = replica(&scene).await;
    until_condition(&scene.cluster, ("shop", "rates"), "Ready", "False/SecretMissing").await;
    let refused = replica.call(&key, "/proxy/shop.rates/ok").await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("credentials-missing"), "{}", refused.text());
    scene.cluster.put_secret("shop", "stripe", ("token", &format!("{SECRET}\n")), &origin);
    until_answered(&replica, &key, "/proxy/shop.rates/ok", 200).await;
    assert_eq!(sent(&scene), SECRET, "without the end of its line");
    until_condition(&scene.cluster, ("shop", "rates"), "Ready", "True/Ready").await;
    scene.cluster.put_secret("shop", "stripe", ("token", "another"), &origin);
    until("the new one goes into calls", SOON, async || {
        replica.call(&key, "/proxy/shop.rates/ok").await;
        sent(&scene) == "another"
    })
    .await;
    scene.cluster.put_secret("shop", "stripe", ("other", "x"), &origin);
    until_condition(&scene.cluster, ("shop", "rates"), "Ready", "False/SecretKeyMissing").await;
    assert!(!replica.log().join("\n").contains(SECRET));
    let asked = scene.cluster.asked();
    let of_secrets: Vec<_> = asked.iter().filter(|asked| asked.resource == "secrets").collect();
    assert!(!of_secrets.is_empty());
    assert!(of_secrets.iter().all(|asked| asked.fields == "metadata.name=stripe"), "{of_secrets:?}");
}

#[tokio::test]
async fn a_secret_goes_nowhere_its_owner_has_not_named() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.put_secret("shop", "stripe", ("token", SECRET), &json!({}));
    scene.cluster.apply("shop", "rates", with_secret(&scene));
    let (replica, key) = replica(&scene).await;
    until_condition(&scene.cluster, ("shop", "rates"), "Ready", "False/SecretNotBound").await;
    let message = scene.cluster.message("shop", "rates", "Ready");
    let annotations = format!("levee.dev/origin: {}, levee.dev/header: x-api-key", scene.server.url());
    assert!(message.contains(&annotations), "{message}");
    assert_eq!(replica.call(&key, "/proxy/shop.rates/ok").await.status, 503);
    scene.cluster.put_secret("shop", "stripe", ("token", SECRET), &may_go_to(&scene.server.url()));
    until_answered(&replica, &key, "/proxy/shop.rates/ok", 200).await;
    let mut echoed = with_secret(&scene);
    echoed["credentials"]["header"]["name"] = json!("x-request-id");
    scene.cluster.apply("shop", "rates", echoed);
    until_answered(&replica, &key, "/proxy/shop.rates/ok", 503).await;
    let sent = scene.server.received();
    assert!(sent.iter().all(|request| request.header("x-request-id").as_deref() != Some(SECRET)));
    let elsewhere = Misbehaving::start().await;
    let mut moved = with_secret(&scene);
    moved["url"] = json!(elsewhere.url());
    scene.cluster.apply("shop", "rates", moved);
    until_answered(&replica, &key, "/proxy/shop.rates/ok", 503).await;
    assert_eq!(elsewhere.seen_in_all(), 0);
}

#[tokio::test]
async fn secrets_of_other_namespaces_are_not_even_asked_for() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.put_secret("private", "stripe", ("token", SECRET), &may_go_to(&scene.server.url()));
    scene.cluster.apply("private", "rates", with_secret(&scene));
    let (_replica, _) = replica(&scene).await;
    until_condition(&scene.cluster, ("private", "rates"), "Ready", "False/SecretNotReadable").await;
    assert!(scene.cluster.asked().iter().all(|asked| asked.resource != "secrets"));
}

#[tokio::test]
async fn a_missing_right_to_a_secret_is_told_and_the_rest_goes_on() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.forbid("secrets");
    scene.cluster.put_secret("shop", "stripe", ("token", SECRET), &may_go_to(&scene.server.url()));
    scene.cluster.apply("shop", "rates", with_secret(&scene));
    scene.cluster.apply("shop", "plain", scene.spec());
    let (replica, key) = replica(&scene).await;
    assert_eq!(replica.call(&key, "/proxy/shop.plain/ok").await.status, 200);
    until_condition(&scene.cluster, ("shop", "rates"), "Ready", "False/SecretNotReadable").await;
    assert!(scene.cluster.message("shop", "rates", "Ready").contains("secrets is forbidden"));
    scene.cluster.allow("secrets");
    until_answered(&replica, &key, "/proxy/shop.rates/ok", 200).await;
}

#[tokio::test]
async fn the_api_cannot_set_what_a_secret_gives() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.put_secret("shop", "stripe", ("token", SECRET), &may_go_to(&scene.server.url()));
    scene.cluster.apply("shop", "rates", with_secret(&scene));
    let (replica, _) = replica(&scene).await;
    let admin = replica.admin().await;
    let refused = admin.put("/api/v1/upstreams/shop.rates/credentials", json!({ "secret": "mine" })).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    let shown = admin.get("/api/v1/upstreams/shop.rates").await;
    assert_eq!(shown.json()["credentials"], "attached");
    assert!(!shown.text().contains(SECRET));
}
