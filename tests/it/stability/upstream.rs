//! The rows of an upstream.

use super::*;
use crate::support::ports::ClosedPort;

/// A document that falls back on a stale copy, then on a prepared answer.
fn falling_back(url: &str) -> Value {
    json!({
        "url": url,
        "access": { "allow": ["any_authenticated"] },
        "retry": { "attempts": 1 },
        "fallback": [{ "stale": { "maxAge": "1h" } }, { "static": { "status": 200, "body": "prepared" } }],
    })
}

#[tokio::test]
async fn while_running() {
    let (server, other) = (Misbehaving::start().await, Misbehaving::start().await);
    server.script("/fresh", [Reply::ok("fresh").header("Cache-Control", "max-age=600").into()]);
    let once: Behaviour =
        Reply::ok("old").header("Cache-Control", "max-age=0").header("ETag", "\"1\"").into();
    server.script("/old", [once]);
    let deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    register_both(&admin, &other.url()).await;
    let made =
        admin.post("/api/v1/upstreams", json!({ "name": "away", "spec": falling_back(&server.url()) })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    for path in ["/proxy/away/fresh", "/proxy/away/old"] {
        assert_eq!(replica.call(&key, path).await.header("levee-answer"), "upstream");
    }
    drop(server);
    let answer = async |path: &str| {
        let answer = replica.call(&key, path).await;
        (answer.text().to_owned(), answer.header("levee-answer").to_owned())
    };
    until("its connections are gone", SOON, async || answer("/proxy/away/never-asked").await.0 == "prepared")
        .await;
    assert_eq!(answer("/proxy/away/fresh").await, ("fresh".to_owned(), "cache".to_owned()), "cached calls");
    assert_eq!(answer("/proxy/away/old").await, ("old".to_owned(), "fallback".to_owned()), "stale copies");
    assert_eq!(replica.call(&key, "/proxy/plain/ok").await.status, 200, "others are not touched");
    control_plane_as_ever(&replica, &admin).await;
}

#[tokio::test]
async fn at_start() {
    let (nobody, other) = (ClosedPort::take(), Misbehaving::start().await);
    let deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    register_both(&admin, &other.url()).await;
    let url = format!("http://{}", nobody.address);
    for (name, spec) in [("away", falling_back(&url)), ("bare", without_fallback(&url))] {
        let made = admin.post("/api/v1/upstreams", json!({ "name": name, "spec": spec })).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    replica.stop().await;
    let replica = deployment.replica().await;
    assert_eq!(replica.call(&key, "/proxy/away/old").await.text(), "prepared", "nothing is kept yet");
    assert_eq!(problem(&replica.call(&key, "/proxy/bare/x").await), (502, "upstream-unreachable".to_owned()));
    assert_eq!(replica.call(&key, "/proxy/plain/ok").await.status, 200, "others are not touched");
    control_plane_as_ever(&replica, &admin.at(&replica)).await;
}

fn without_fallback(url: &str) -> Value {
    json!({ "url": url, "access": { "allow": ["any_authenticated"] }, "retry": { "attempts": 1 } })
}
