//! Stored credentials at work: what upstreams and token servers receive, and where a secret never goes.

use std::time::Duration;

use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::client::{self, Answer, burst};
use crate::support::control::{Api, Deployment, Replica};
use crate::support::misbehaving::{Behaviour, Gate, Misbehaving, Reply};
use crate::support::until::until;

/// Tokens that a secret is exchanged for.
mod oauth2;

const SOON: Duration = Duration::from_secs(20);
const SECRET: &str = "s3cret-of-the-tests";

/// One replica with upstreams from a file, its admin, and a key that may call them all.
struct World {
    deployment: Deployment,
    replica: Replica,
    admin: Api,
    key: String,
}

/// The documents of these upstreams: name, url, further fields.
fn documents(upstreams: &[(&str, &str, &str)]) -> String {
    let document = |(name, url, fields): &(&str, &str, &str)| {
        format!(
            "---\n{{ apiVersion: levee.dev/v1alpha1, kind: Upstream, metadata: {{ name: {name} }},\n\
             spec: {{ url: '{url}', access: {{ allow: [any_authenticated] }}, {fields} }} }}\n"
        )
    };
    upstreams.iter().map(document).collect()
}

impl World {
    async fn with(upstreams: &[(&str, &str, &str)]) -> Self {
        let deployment = Deployment::on_sqlite();
        deployment.migrate().await;
        deployment.write_upstreams(&documents(upstreams));
        let replica = deployment.replica().await;
        let admin = replica.admin().await;
        let key = admin.key("caller").await;
        Self { deployment, replica, admin, key }
    }

    async fn set_secret(&self, upstream: &str, secret: &str) {
        let path = format!("/api/v1/upstreams/{upstream}/credentials");
        let set = self.admin.put(&path, json!({ "secret": secret })).await;
        assert_eq!(set.status, 204, "{}", set.text());
    }

    async fn get(&self, path: &str) -> Answer {
        self.replica.call(&self.key, path).await
    }

    async fn get_with(&self, path: &str, name: &'static str, value: &str) -> Answer {
        let mut request: Request<_> = client::request(path);
        request.headers_mut().insert("levee-key", self.key.parse().unwrap());
        request.headers_mut().insert(name, value.parse().unwrap());
        client::send(self.replica.data, request).await.unwrap()
    }

    /// What `/status` says of an upstream's credentials.
    async fn state(&self, upstream: &str) -> Value {
        let status = self.replica.status().await;
        let found = status["upstreams"].as_array().unwrap().iter().find(|live| live["name"] == upstream);
        found.unwrap()["credentials"].clone()
    }

    /// Everything that is shown to people and machines.
    async fn everything_shown(&self) -> String {
        let mut shown = self.replica.log().join("\n");
        for path in ["/metrics", "/status"] {
            shown.push_str(client::get(self.replica.ops, path).await.text());
        }
        for path in ["/api/v1/upstreams", "/api/v1/breakers", "/api/v1/audit"] {
            shown.push_str(self.admin.get(path).await.text());
        }
        shown
    }
}

fn is_missing(answer: &Answer) -> bool {
    answer.status == 503 && answer.json()["type"].as_str().unwrap().ends_with("/credentials-missing")
}

/// A header of the last request that arrived.
fn last(server: &Misbehaving, name: &str) -> Option<String> {
    server.received().last().and_then(|request| request.header(name))
}

#[tokio::test]
async fn every_attempt_and_every_revalidation_carries_it_in_place_of_the_callers_own() {
    let server = Misbehaving::start().await;
    let basic =
        "credentials: { basic: { username: levee } }, retry: { backoff: { base: 1ms, throttledBase: 1ms } }";
    let world = World::with(&[("api", &server.url(), basic)]).await;
    world.set_secret("api", SECRET).await;
    // The base64 of `levee:s3cret-of-the-tests`.
    let expected = Some("Basic bGV2ZWU6czNjcmV0LW9mLXRoZS10ZXN0cw==".to_owned());
    server.script("/x", [Behaviour::from(Reply::status(503)), Reply::ok("x").into()]);
    let answer = world.get_with("/proxy/api/x", "authorization", "Bearer theirs").await;
    assert_eq!((answer.text(), answer.header("levee-attempts")), ("x", "2"));
    let validated = Reply::ok("v").header("ETag", "\"1\"").header("Cache-Control", "no-cache");
    server.script("/v", [Behaviour::from(validated), Reply::status(304).header("ETag", "\"1\"").into()]);
    for _ in 0..2 {
        assert_eq!(world.get("/proxy/api/v").await.text(), "v");
    }
    assert_eq!(last(&server, "if-none-match").as_deref(), Some("\"1\""), "asked again by the cache");
    let received = server.received();
    assert_eq!(received.len(), 4);
    for request in received {
        assert_eq!(request.header("authorization"), expected, "{request:?}");
    }
}

/// What the caller put where the credential goes is nothing the upstream sees, so no answer depends on it.
#[tokio::test]
async fn what_is_replaced_tells_no_cached_answers_apart() {
    let server = Misbehaving::start().await;
    let world =
        World::with(&[("api", &server.url(), "credentials: { header: { name: X-Key, value: '{secret}' } }")])
            .await;
    world.set_secret("api", SECRET).await;
    server.script("/x", [Behaviour::from(Reply::ok("x").header("Cache-Control", "max-age=60"))]);
    for own in ["a", "b"] {
        assert_eq!(world.get_with("/proxy/api/x", "x-key", own).await.text(), "x");
    }
    assert_eq!(server.seen("/x"), 1);
    assert_eq!(last(&server, "x-key").as_deref(), Some(SECRET));
}

#[tokio::test]
async fn an_edited_origin_detaches_and_the_edit_taken_back_attaches_again() {
    let (server, thief) = (Misbehaving::start().await, Misbehaving::start().await);
    let fields = "credentials: { header: { name: x-key, value: '{secret}' } }";
    let world = World::with(&[("api", &server.url(), fields)]).await;
    assert_eq!(world.state("api").await, "no secret has been set");
    assert!(is_missing(&world.get("/proxy/api/ok").await));
    world.set_secret("api", SECRET).await;
    assert_eq!(world.get("/proxy/api/ok").await.status, 200);
    assert_eq!(world.state("api").await, "attached");
    let gauge = "levee_credentials_attached{upstream=\"api\"}";
    assert_eq!(world.replica.metric(gauge).await, Some(1.0));
    world.deployment.write_upstreams(&documents(&[("api", &thief.url(), fields)]));
    until("it is detached", SOON, async || world.replica.metric(gauge).await == Some(0.0)).await;
    let refused = world.get("/proxy/api/ok").await;
    assert!(is_missing(&refused), "{}", refused.text());
    assert_eq!((refused.header("retry-after"), refused.header("levee-attempts")), ("60", "0"));
    assert!(refused.text().contains("set for another origin or header"), "{}", refused.text());
    world.deployment.write_upstreams(&documents(&[("api", &format!("{}/v2", server.url()), fields)]));
    until("it is attached again", SOON, async || world.replica.metric(gauge).await == Some(1.0)).await;
    world.get("/proxy/api/ok").await;
    assert_eq!(server.received().last().unwrap().path(), "/v2/ok");
    assert_eq!(last(&server, "x-key").as_deref(), Some(SECRET));
    assert_eq!(thief.seen_in_all(), 0);
}

/// Nothing is sent for it, and who may call is still asked.
#[tokio::test]
async fn what_is_in_memory_is_still_given_while_the_credential_is_away() {
    let server = Misbehaving::start().await;
    let world =
        World::with(&[("api", &server.url(), "credentials: { header: { name: X-Key, value: '{secret}' } }")])
            .await;
    world.set_secret("api", SECRET).await;
    server.script("/x", [Behaviour::from(Reply::ok("x").header("Cache-Control", "max-age=60"))]);
    assert_eq!(world.get("/proxy/api/x").await.text(), "x");
    let gone = world.admin.send(Method::DELETE, "/api/v1/upstreams/api/credentials", None, None).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    let kept = world.get("/proxy/api/x").await;
    assert_eq!((kept.text(), kept.header("levee-answer")), ("x", "cache"));
    assert!(is_missing(&world.get("/proxy/api/other").await));
    assert_eq!(world.replica.call("lvk_nothing", "/proxy/api/x").await.status, 401);
    assert_eq!(server.seen_in_all(), 1);
}

#[tokio::test]
async fn a_fallback_upstream_gets_its_own_credential_and_never_the_first_ones() {
    let (server, backup) = (Misbehaving::start().await, Misbehaving::start().await);
    let first = "credentials: { basic: { username: a } }, retry: { attempts: 1 }, fallback: [{ upstream: { name: backup } }]";
    let second = "credentials: { header: { name: x-key, value: '{secret}' } }";
    let world = World::with(&[("api", &server.url(), first), ("backup", &backup.url(), second)]).await;
    world.set_secret("api", SECRET).await;
    world.set_secret("backup", "another-secret").await;
    server.script("/ok", [Behaviour::from(Reply::status(503))]);
    assert_eq!(world.get("/proxy/api/ok").await.header("levee-fallback"), "upstream:backup");
    assert_eq!(last(&backup, "x-key").as_deref(), Some("another-secret"));
    assert_eq!((last(&backup, "authorization"), last(&server, "x-key")), (None, None));
}

#[tokio::test]
async fn a_secret_is_shown_nowhere() {
    let server = Misbehaving::start().await;
    let header = "credentials: { header: { name: x-key, value: 'k={secret}' } }, retry: { attempts: 2 }, breaker: { mode: metrics_only }";
    let world = World::with(&[("api", &server.url(), header)]).await;
    world.set_secret("api", SECRET).await;
    for path in ["ok", "status/500", "reset", "garbage", "close", "bad-header", "short"] {
        let mut request = client::request(&format!("/proxy/api/{path}"));
        request.headers_mut().insert("levee-key", world.key.parse().unwrap());
        if let Ok(answer) = client::send(world.replica.data, request).await {
            assert!(!format!("{answer:?}").contains(SECRET), "{path}");
        }
    }
    assert_eq!(last(&server, "x-key"), Some(format!("k={SECRET}")));
    assert_eq!(world.get("/proxy/api/ok").await.status, 200);
    let trace = Request::builder().method(Method::TRACE).uri("/proxy/api/ok").header("levee-key", &world.key);
    let answer =
        client::send(world.replica.data, trace.body(http_body_util::Full::default()).unwrap()).await.unwrap();
    assert_eq!(answer.status, 405);
    assert!(!world.everything_shown().await.contains(SECRET));
}
