//! Breakers over the API: read, forced, given back, on every replica.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client;
use crate::support::control::{Api, Deployment, Replica};
use crate::support::misbehaving::Misbehaving;
use crate::support::postgres::fresh_database;
use crate::support::until::until;
use crate::upstreams_api::{on_both, register, spec};

const SOON: Duration = Duration::from_secs(20);
const BREAKER: &str = "/api/v1/breakers/rates";

/// An operation with a breaker of its own, and one without.
fn with_operations(url: &str) -> Value {
    let mut spec = spec(url);
    spec["operations"] = json!([
        { "name": "quote", "match": { "path": "/quotes/**" }, "breaker": { "minimumCalls": 5 } },
        { "name": "plain", "match": { "path": "/plain/**" } },
    ]);
    spec
}

fn decision(mode: &str, expires_in: Option<&str>) -> Value {
    let mut decision = json!({ "mode": mode, "reason": "game day" });
    if let Some(expires_in) = expires_in {
        decision["expiresIn"] = expires_in.into();
    }
    decision
}

async fn prepared(deployment: &Deployment, server: &Misbehaving) -> (Replica, Api, String) {
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    register(&admin, "rates", with_operations(&server.url())).await;
    (replica, admin, key)
}

on_both!(
    a_breaker_is_forced_and_given_back_at_once,
    a_decision_ends_by_itself,
    a_decision_outlives_a_restart_and_a_change_of_the_document,
    what_is_wrong_with_a_decision_is_told,
    breakers_are_plain_json_in_pages,
);

async fn a_breaker_is_forced_and_given_back_at_once(deployment: Deployment) {
    let server = Misbehaving::start().await;
    let (replica, admin, key) = prepared(&deployment, &server).await;
    let forced = admin.put(BREAKER, decision("forced_open", None)).await;
    assert_eq!(forced.status, 200, "{}", forced.text());
    let body = forced.json();
    assert_eq!((&body["mode"], &body["state"]), (&json!("forced_open"), &json!("open")));
    assert_eq!(
        (&body["forced"]["reason"], &body["forced"]["by"]),
        (&json!("game day"), &json!("user:ada@example.com"))
    );
    let (since, until) =
        (body["forced"]["since"].as_str().unwrap(), body["forced"]["expiresAt"].as_str().unwrap());
    assert!(since < until, "an hour: {body}");
    let refused = replica.call(&key, "/proxy/rates/ok").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["type"]),
        (503, &json!("https://levee.dev/problems/circuit-open"))
    );
    assert_eq!(replica.call(&key, "/proxy/rates/quotes/status/404").await.status, 404, "it has its own");
    let own = admin.put(&format!("{BREAKER}?operation=quote"), decision("forced_open", Some("never"))).await;
    assert_eq!((own.status.as_u16(), own.json()["forced"].get("expiresAt")), (200, None));
    assert_eq!(replica.call(&key, "/proxy/rates/quotes/x").await.status, 503);
    for path in [BREAKER.to_owned(), format!("{BREAKER}?operation=quote")] {
        let released = admin.put(&path, decision("auto", None)).await.json();
        assert_eq!(
            (&released["mode"], &released["state"], released.get("forced")),
            (&json!("auto"), &json!("closed"), None)
        );
    }
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    let audit = admin.get("/api/v1/audit?action=breaker.").await.json();
    let actions: Vec<_> =
        audit["items"].as_array().unwrap().iter().map(|item| item["action"].clone()).collect();
    assert_eq!(actions, ["breaker.released", "breaker.released", "breaker.forced", "breaker.forced"]);
    assert!(audit.to_string().contains("game day"), "{audit}");
}

async fn a_decision_ends_by_itself(deployment: Deployment) {
    let server = Misbehaving::start().await;
    let (replica, admin, key) = prepared(&deployment, &server).await;
    assert_eq!(admin.put(BREAKER, decision("forced_open", Some("2s"))).await.status, 200);
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 503);
    until("its time is over", SOON, async || replica.call(&key, "/proxy/rates/ok").await.status == 200).await;
    let after = admin.get(BREAKER).await.json();
    assert_eq!((&after["mode"], after.get("forced")), (&json!("auto"), None));
}

async fn a_decision_outlives_a_restart_and_a_change_of_the_document(deployment: Deployment) {
    let server = Misbehaving::start().await;
    let (replica, admin, key) = prepared(&deployment, &server).await;
    assert_eq!(admin.put(BREAKER, decision("forced_open", None)).await.status, 200);
    let mut changed = with_operations(&server.url());
    changed["breaker"] = json!({ "minimumCalls": 7 });
    let body = Some(json!({ "spec": changed }));
    assert_eq!(admin.change(http::Method::PUT, "/api/v1/upstreams/rates", "*", body).await.status, 200);
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 503);
    replica.stop().await;
    let replica = deployment.replica().await;
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 503);
    let admin = replica.admin().await;
    assert_eq!(admin.get(BREAKER).await.json()["forced"]["reason"], "game day");
    // Taken away with its upstream: one of the same name begins anew.
    assert_eq!(admin.change(http::Method::DELETE, "/api/v1/upstreams/rates", "*", None).await.status, 204);
    register(&admin, "rates", with_operations(&server.url())).await;
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
}

async fn what_is_wrong_with_a_decision_is_told(deployment: Deployment) {
    let server = Misbehaving::start().await;
    let (replica, admin, _) = prepared(&deployment, &server).await;
    for (body, pointer) in [
        (json!({ "mode": "open", "reason": "x" }), "/mode"),
        (json!({ "mode": "auto", "reason": "" }), "/reason"),
        (json!({ "mode": "auto", "reason": "x".repeat(501) }), "/reason"),
        (decision("forced_open", Some("soon")), "/expiresIn"),
        (decision("forced_open", Some("0s")), "/expiresIn"),
        (decision("forced_open", Some("31d")), "/expiresIn"),
        (json!({ "mode": "auto", "reason": "x", "urk": 1 }), "/urk"),
    ] {
        let refused = admin.put(BREAKER, body.clone()).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]),
            (400, &json!(pointer)),
            "{body}"
        );
    }
    for path in [
        "/api/v1/breakers/nobody",
        "/api/v1/breakers/rates?operation=plain",
        "/api/v1/breakers/rates?operation=no",
    ] {
        assert_eq!(admin.put(path, decision("forced_open", None)).await.status, 404, "{path}");
        assert_eq!(admin.get(path).await.status, 404, "{path}");
    }
    let viewer = admin.user(&replica, "viewer").await;
    assert_eq!(viewer.get(BREAKER).await.status, 200);
    assert_eq!(viewer.put(BREAKER, decision("forced_open", None)).await.status, 403);
    assert_eq!(replica.anonymous().get(BREAKER).await.status, 401);
    assert_eq!(admin.get(BREAKER).await.json()["mode"], "auto");
}

async fn breakers_are_plain_json_in_pages(deployment: Deployment) {
    let server = Misbehaving::start().await;
    let (_replica, admin, _) = prepared(&deployment, &server).await;
    register(&admin, "mail", spec(&server.url())).await;
    let (mut keys, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/api/v1/breakers?limit=1{cursor}")).await.json();
        let item = &page["items"][0];
        keys.push((item["upstream"].as_str().unwrap().to_owned(), item.get("operation").cloned()));
        let Some(next) = page.get("next") else { break };
        cursor = format!("&cursor={}", next.as_str().unwrap());
    }
    let expected = [("mail", None), ("rates", None), ("rates", Some(json!("quote")))];
    assert_eq!(keys, expected.map(|(upstream, operation)| (upstream.to_owned(), operation)));
    let fields: Vec<String> = admin.get(BREAKER).await.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["upstream", "mode", "state", "since", "failureRate", "calls", "failures", "slow"]);
    for (query, name) in
        [("limit=0", "limit"), ("limit=x", "limit"), ("limit=-1", "limit"), ("cursor=x", "cursor")]
    {
        let refused = admin.get(&format!("/api/v1/breakers?{query}")).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]),
            (400, &json!(name)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_decision_on_one_replica_counts_on_the_other_within_a_second() {
    let server = Misbehaving::start().await;
    let deployment = Deployment::on_postgres(fresh_database().await);
    deployment.migrate();
    let (one, admin, key) = prepared(&deployment, &server).await;
    let two = deployment.replica().await;
    let mut took = Vec::new();
    for _ in 0..3 {
        for (mode, status) in [("forced_open", 503), ("auto", 200)] {
            assert_eq!(admin.at(&one).put(BREAKER, decision(mode, None)).await.status, 200);
            let decided = Instant::now();
            until("it counts there", SOON, async || two.call(&key, "/proxy/rates/ok").await.status == status)
                .await;
            took.push(decided.elapsed());
        }
    }
    took.sort();
    assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
    let shown = client::get(two.ops, "/status").await.json();
    assert_eq!(shown["upstreams"][0]["breakers"][0]["mode"], "auto");
}
