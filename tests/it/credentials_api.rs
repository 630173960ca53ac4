//! Stored credentials over the API: added to calls, bound to an origin, never read back, wrapped anew.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::control::{Api, Deployment, K1, K2, Replica};
use crate::support::misbehaving::Misbehaving;
use crate::support::until::until;
use crate::upstreams_api::{on_both, register, spec};

const SOON: Duration = Duration::from_secs(20);
const UPSTREAM: &str = "/api/v1/upstreams/rates";
const CREDENTIALS: &str = "/api/v1/upstreams/rates/credentials";
const SECRET: &str = "s3cret-of-the-tests";

fn with_credentials(url: &str) -> Value {
    let mut spec = spec(url);
    spec["credentials"] = json!({ "header": { "name": "x-api-key", "value": "Key {secret}" } });
    spec
}

async fn prepared(deployment: &Deployment, server: &Misbehaving) -> (Replica, Api, String) {
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    register(&admin, "rates", with_credentials(&server.url())).await;
    (replica, admin, key)
}

async fn set(api: &Api) {
    let set = api.put(CREDENTIALS, json!({ "secret": SECRET })).await;
    assert_eq!((set.status.as_u16(), set.text()), (204, ""));
}

/// What the upstream saw in the header of the last call.
fn seen(server: &Misbehaving) -> Option<String> {
    server.received().last()?.header("x-api-key")
}

on_both!(
    a_secret_is_added_to_calls_and_never_read_back,
    a_secret_does_not_follow_a_changed_url,
    a_secret_cannot_be_moved_to_where_it_could_be_read,
    a_secret_is_set_for_the_document_that_was_read,
    a_secret_of_a_files_upstream_is_no_others,
    only_admins_set_secrets_and_only_where_a_document_asks_for_one,
    old_keys_can_be_retired_after_a_rotation,
);

async fn a_secret_is_added_to_calls_and_never_read_back(deployment: Deployment) {
    let server = Misbehaving::start().await;
    let (replica, admin, key) = prepared(&deployment, &server).await;
    assert_eq!(admin.get(UPSTREAM).await.json()["credentials"], "missing");
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 503, "never without it");
    assert_eq!(server.seen_in_all(), 0);
    set(&admin).await;
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    assert_eq!(seen(&server).as_deref(), Some("Key s3cret-of-the-tests"));
    assert_eq!(admin.put(CREDENTIALS, json!({ "secret": "another" })).await.status, 204);
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    assert_eq!(seen(&server).as_deref(), Some("Key another"));
    set(&admin).await;
    assert_eq!(admin.get(UPSTREAM).await.json()["credentials"], "attached");
    assert_eq!(admin.get(CREDENTIALS).await.status, 405);
    for path in [UPSTREAM, "/api/v1/upstreams", "/api/v1/upstreams/rates/revisions", "/api/v1/audit"] {
        assert!(!admin.get(path).await.text().contains(SECRET), "{path}");
    }
    assert!(!replica.status().await.to_string().contains(SECRET));
    assert!(!replica.log().iter().any(|line| line.contains(SECRET)));
    assert_eq!(admin.send(Method::DELETE, CREDENTIALS, None, None).await.status, 204);
    assert_eq!(admin.send(Method::DELETE, CREDENTIALS, None, None).await.status, 404);
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 503);
}

async fn a_secret_does_not_follow_a_changed_url(deployment: Deployment) {
    let (server, thief) = (Misbehaving::start().await, Misbehaving::start().await);
    let (replica, admin, key) = prepared(&deployment, &server).await;
    let operator = admin.user(&replica, "operator").await;
    set(&admin).await;
    let change = async |url: &str| {
        let body = Some(json!({ "spec": with_credentials(url) }));
        operator.change(Method::PUT, UPSTREAM, "*", body).await
    };
    let moved = change(&thief.url()).await;
    assert_eq!((moved.status.as_u16(), &moved.json()["credentials"]), (200, &json!("detached")));
    let refused = replica.call(&key, "/proxy/rates/ok").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["type"]),
        (503, &json!("https://levee.dev/problems/credentials-missing"))
    );
    assert_eq!(thief.seen_in_all(), 0);
    assert_eq!(change(&server.url()).await.json()["credentials"], "attached", "back where it may go");
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    assert_eq!(seen(&server).as_deref(), Some("Key s3cret-of-the-tests"));
}

/// Many upstreams send some headers back, `X-Request-Id` among them.
async fn a_secret_cannot_be_moved_to_where_it_could_be_read(deployment: Deployment) {
    let server = Misbehaving::start().await;
    let (replica, admin, key) = prepared(&deployment, &server).await;
    let operator = admin.user(&replica, "operator").await;
    set(&admin).await;
    let change = async |credentials: Value| {
        let mut document = spec(&server.url());
        document["credentials"] = credentials;
        let body = Some(json!({ "spec": document }));
        let changed = operator.change(Method::PUT, UPSTREAM, "*", body).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        changed.json()["credentials"].clone()
    };
    let before = server.seen_in_all();
    for elsewhere in [
        json!({ "header": { "name": "x-request-id", "value": "{secret}" } }),
        json!({ "basic": { "username": "a" } }),
        json!({ "oauth2": { "tokenUrl": server.url(), "clientId": "a" } }),
    ] {
        assert_eq!(change(elsewhere.clone()).await, "detached", "{elsewhere}");
        assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 503, "{elsewhere}");
    }
    assert_eq!(server.seen_in_all(), before);
    assert_eq!(
        change(json!({ "header": { "name": "X-API-Key", "value": "Token {secret}" } })).await,
        "attached"
    );
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    assert_eq!(seen(&server).as_deref(), Some("Token s3cret-of-the-tests"));
}

/// Somebody changes the URL while an admin is about to set the secret: it must not be bound to what nobody looked at.
async fn a_secret_is_set_for_the_document_that_was_read(deployment: Deployment) {
    let (server, thief) = (Misbehaving::start().await, Misbehaving::start().await);
    let (replica, admin, key) = prepared(&deployment, &server).await;
    let read = admin.get(UPSTREAM).await.header("etag").to_owned();
    let moved = Some(json!({ "spec": with_credentials(&thief.url()) }));
    assert_eq!(admin.change(Method::PUT, UPSTREAM, &read, moved).await.status, 200);
    let secret = || Some(json!({ "secret": SECRET }));
    let late = admin.change(Method::PUT, CREDENTIALS, &read, secret()).await;
    assert_eq!(late.status, 412, "{}", late.text());
    assert_eq!(admin.change(Method::PUT, CREDENTIALS, "nonsense", secret()).await.status, 400);
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 503);
    assert_eq!(thief.seen_in_all(), 0);
    let now = admin.get(UPSTREAM).await.header("etag").to_owned();
    for tag in [now.as_str(), "*"] {
        assert_eq!(admin.change(Method::PUT, CREDENTIALS, tag, secret()).await.status, 204, "{tag}");
    }
}

/// Whoever registers an upstream under the name of one that a file had is not given its secret.
async fn a_secret_of_a_files_upstream_is_no_others(deployment: Deployment) {
    let server = Misbehaving::start().await;
    let document = with_credentials(&server.url());
    deployment.write_upstreams(&format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: rates }}\nspec: {document}\n"
    ));
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    set(&admin).await;
    assert_eq!(admin.get(UPSTREAM).await.json()["credentials"], "attached");
    deployment.write_upstreams("");
    until("the file is gone", SOON, async || admin.get(UPSTREAM).await.status == 404).await;
    let operator = admin.user(&replica, "operator").await;
    register(&operator, "rates", document).await;
    assert_eq!(admin.get(UPSTREAM).await.json()["credentials"], "missing");
}

async fn only_admins_set_secrets_and_only_where_a_document_asks_for_one(deployment: Deployment) {
    let server = Misbehaving::start().await;
    let document = with_credentials(&server.url());
    deployment.write_upstreams(&format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: filed }}\nspec: {document}\n"
    ));
    let (replica, admin, key) = prepared(&deployment, &server).await;
    let operator = admin.user(&replica, "operator").await;
    assert_eq!(operator.put(CREDENTIALS, json!({ "secret": SECRET })).await.status, 403);
    assert_eq!(operator.send(Method::DELETE, CREDENTIALS, None, None).await.status, 403);
    register(&admin, "open", spec(&server.url())).await;
    let refused = admin.put("/api/v1/upstreams/open/credentials", json!({ "secret": SECRET })).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(
        admin.put("/api/v1/upstreams/nobody/credentials", json!({ "secret": SECRET })).await.status,
        404
    );
    for (secret, pointer) in [
        (json!(""), "/secret"),
        (json!("x".repeat(8193)), "/secret"),
        (json!(7), "/secret"),
        (json!("a\nb"), "/secret"),
    ] {
        let refused = admin.put(CREDENTIALS, json!({ "secret": secret })).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]),
            (400, &json!(pointer))
        );
        assert!(!refused.text().contains("xxx"), "{}", refused.text());
    }
    let filed = admin.put("/api/v1/upstreams/filed/credentials", json!({ "secret": SECRET })).await;
    assert_eq!(filed.status, 204, "an upstream of a file can have one: {}", filed.text());
    assert_eq!(replica.call(&key, "/proxy/filed/ok").await.status, 200);
    assert_eq!(seen(&server).as_deref(), Some("Key s3cret-of-the-tests"));
}

async fn old_keys_can_be_retired_after_a_rotation(mut deployment: Deployment) {
    let server = Misbehaving::start().await;
    let (replica, admin, key) = prepared(&deployment, &server).await;
    set(&admin).await;
    replica.stop().await;
    for ring in [&[K2, K1][..], &[K2]] {
        deployment.secret_keys(ring);
        let replica = deployment.replica().await;
        assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200, "{ring:?}");
        assert_eq!(seen(&server).as_deref(), Some("Key s3cret-of-the-tests"));
        if ring.len() == 2 {
            let wrapped = |line: &String| line.contains("wrapped anew") && line.contains("\"k2\"");
            until("it is wrapped anew", SOON, async || replica.log().iter().any(wrapped)).await;
            until("no key but the new one is needed", SOON, async || {
                replica.status().await["credentialsByKey"] == json!({ "k2": 1 })
            })
            .await;
        }
        replica.stop().await;
    }
}
