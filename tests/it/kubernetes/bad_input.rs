//! What is wrong is refused with its field, told where it was made, and takes nothing down.

use super::*;

#[tokio::test]
async fn a_bad_version_is_refused_with_its_field_while_the_last_good_one_serves() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply("shop", "rates", scene.spec());
    let (replica, key) = replica(&scene).await;
    until_condition(&scene.cluster, ("shop", "rates"), "Accepted", "True/Accepted").await;
    let mut bad = scene.spec();
    bad["timeout"] = json!({ "total": "10 parsecs" });
    bad["retri"] = json!({});
    scene.cluster.apply("shop", "rates", bad);
    until_condition(&scene.cluster, ("shop", "rates"), "Accepted", "False/Invalid").await;
    let message = scene.cluster.message("shop", "rates", "Accepted");
    assert!(
        message.contains("spec.timeout.total: ") && message.contains("did you mean `retry`"),
        "{message}"
    );
    assert!(message.contains("the last good version stays in force"), "{message}");
    assert_eq!(scene.cluster.status("shop", "rates")["observedGeneration"], 2);
    assert_eq!(replica.call(&key, "/proxy/shop.rates/ok").await.status, 200);
    let faults = replica.status().await["kubernetes"]["customResourceFaults"].clone();
    assert_eq!(
        (&faults[0]["resource"], &faults[0]["inForce"]),
        (&json!("Upstream shop/rates"), &json!(true))
    );
    scene.cluster.apply("shop", "rates", scene.spec());
    until_condition(&scene.cluster, ("shop", "rates"), "Accepted", "True/Accepted").await;
    until("all of it was told", SOON, async || scene.cluster.events("shop", "rates").len() >= 2).await;
    let events = scene.cluster.events("shop", "rates");
    let reasons: Vec<&str> = events.iter().map(|(_, reason, _)| reason.as_str()).collect();
    assert_eq!(reasons, ["Accepted", "Refused"], "the second acceptance raises a count, later");
    assert_eq!(events[1].0, "Warning");
}

#[tokio::test]
async fn one_that_never_was_good_serves_nothing_and_takes_nobody_down() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply("shop", "bad", json!({ "url": "ftp://example.com" }));
    scene.cluster.apply("shop", "none", Value::Null);
    scene.cluster.apply("shop", "rates", scene.spec());
    let (replica, key) = replica(&scene).await;
    assert_eq!(replica.call(&key, "/proxy/shop.rates/ok").await.status, 200);
    assert_eq!(replica.call(&key, "/proxy/shop.bad/ok").await.status, 404);
    for name in ["bad", "none"] {
        until_condition(&scene.cluster, ("shop", name), "Accepted", "False/Invalid").await;
        until_condition(&scene.cluster, ("shop", name), "Ready", "False/NotAccepted").await;
        until_condition(&scene.cluster, ("shop", name), "Healthy", "Unknown/NotInForce").await;
    }
}

#[tokio::test]
async fn a_private_address_needs_the_deployers_leave() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply("shop", "inside", json!({ "url": "http://10.0.0.1" }));
    scene.cluster.apply("shop", "metadata", json!({ "url": "http://169.254.169.254" }));
    let (_replica, _) = replica(&scene).await;
    for name in ["inside", "metadata"] {
        until_condition(&scene.cluster, ("shop", name), "Accepted", "False/Invalid").await;
        let message = scene.cluster.message("shop", name, "Accepted");
        assert!(message.starts_with("spec.url: "), "{message}");
    }
}

#[tokio::test]
async fn what_closes_a_circle_is_refused_and_what_was_there_goes_on() {
    let scene = Scene::on_sqlite().await;
    let leaning = |name: &str| {
        let mut leaning = scene.spec();
        leaning["fallback"] = json!([{ "upstream": { "name": name } }]);
        leaning
    };
    scene.cluster.apply("shop", "a", leaning("b"));
    scene.cluster.apply("shop", "b", scene.spec());
    let (replica, key) = replica(&scene).await;
    scene.cluster.apply("shop", "b", leaning("a"));
    until_condition(&scene.cluster, ("shop", "b"), "Accepted", "False/Invalid").await;
    assert!(scene.cluster.message("shop", "b", "Accepted").contains("circle"));
    assert_eq!(replica.call(&key, "/proxy/shop.a/ok").await.status, 200);
    assert_eq!(replica.call(&key, "/proxy/shop.b/ok").await.status, 200);
}

#[tokio::test]
async fn no_upstream_leads_to_the_api_server() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply("shop", "rates", spec(&scene.cluster.url()));
    let (replica, key) = replica(&scene).await;
    let refused = replica.call(&key, "/proxy/shop.rates/api/v1/secrets").await;
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert!(refused.text().contains("destination-refused"), "{}", refused.text());
    assert!(scene.cluster.asked().iter().all(|asked| asked.resource != "secrets"));
}
