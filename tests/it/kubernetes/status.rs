//! What the leader writes back: conditions, breakers, Events, and never too often.

use super::*;

/// A breaker that opens at once and probes soon.
fn touchy(scene: &Scene) -> Value {
    let mut spec = scene.spec();
    spec["breaker"] = json!({
        "minimumCalls": 2, "failStatuses": [500], "open": { "base": "1s", "cap": "1s" }, "halfOpen": { "probes": 1 },
    });
    spec
}

#[tokio::test]
async fn a_breaker_that_trips_and_recovers_is_seen_in_status_and_events() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply("shop", "rates", touchy(&scene));
    let (replica, key) = replica(&scene).await;
    until_condition(&scene.cluster, ("shop", "rates"), "Healthy", "True/BreakerClosed").await;
    let status = scene.cluster.status("shop", "rates");
    assert_eq!((&status["name"], &status["breaker"]), (&json!("shop.rates"), &json!("closed")));
    assert_eq!(status["breakers"], json!([{ "operation": "", "state": "closed", "mode": "auto" }]));
    let accepted = &status["conditions"][0];
    assert_eq!((&accepted["type"], &accepted["observedGeneration"]), (&json!("Accepted"), &json!(1)));
    assert!(accepted["lastTransitionTime"].as_str().unwrap().ends_with('Z'));
    let forced = json!({ "mode": "forced_open", "reason": "a test" });
    let admin = replica.admin().await;
    assert_eq!(admin.put("/api/v1/breakers/shop.rates", forced).await.status, 200);
    until_condition(&scene.cluster, ("shop", "rates"), "Healthy", "False/BreakerForcedOpen").await;
    assert_eq!(scene.cluster.status("shop", "rates")["breaker"], "open");
    assert_eq!(scene.cluster.status("shop", "rates")["conditions"][0], *accepted, "it stands as it stood");
    let freed = json!({ "mode": "auto", "reason": "a test" });
    assert_eq!(admin.put("/api/v1/breakers/shop.rates", freed).await.status, 200);
    until("it recovers", SOON, async || {
        replica.call(&key, "/proxy/shop.rates/ok").await;
        scene.cluster.condition("shop", "rates", "Healthy") == "True/BreakerClosed"
    })
    .await;
    until("it is told", SOON, async || scene.cluster.events("shop", "rates").len() >= 3).await;
    let events = scene.cluster.events("shop", "rates");
    let told: Vec<(&str, &str)> =
        events.iter().map(|(kind, reason, _)| (kind.as_str(), reason.as_str())).collect();
    assert_eq!(told, [("Normal", "Accepted"), ("Warning", "BreakerOpened"), ("Normal", "BreakerClosed")]);
}

#[tokio::test]
async fn what_does_not_change_is_not_written_again() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.apply("shop", "rates", scene.spec());
    let (_replica, _) = replica(&scene).await;
    until_condition(&scene.cluster, ("shop", "rates"), "Accepted", "True/Accepted").await;
    // The pause between two writes of one object, and two more looks.
    tokio::time::sleep(Duration::from_secs(13)).await;
    assert_eq!(scene.cluster.status_writes("shop", "rates"), 1);
}

#[tokio::test]
async fn a_missing_right_to_write_is_told_once_and_calls_go_on() {
    let scene = Scene::on_sqlite().await;
    scene.cluster.forbid("upstreams/status");
    scene.cluster.forbid("events");
    scene.cluster.apply("shop", "rates", scene.spec());
    let (replica, key) = replica(&scene).await;
    until("it was tried", SOON, async || scene.cluster.status_writes("shop", "rates") >= 2).await;
    assert_eq!(replica.call(&key, "/proxy/shop.rates/ok").await.status, 200);
    let log = replica.log().join("\n");
    let told = log.matches("upstreams/status is forbidden").count();
    assert!((1..=2).contains(&told), "{told} times: {log}");
    scene.cluster.allow("upstreams/status");
    until_condition(&scene.cluster, ("shop", "rates"), "Accepted", "True/Accepted").await;
}
