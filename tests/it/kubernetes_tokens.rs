//! Service accounts of Kubernetes call with their own tokens: verified offline, whatever happens to the API server.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{self, Answer};
use crate::support::control::{Deployment, Replica};
use crate::support::issuer::{ApiServer, SigningKey};
use crate::support::misbehaving::Misbehaving;
use crate::support::process::Process;
use crate::support::until::until;

const SOON: Duration = Duration::from_secs(30);

/// Upstreams for accounts of `payments`, for anybody, and for nobody of Kubernetes.
fn documents(server: &Misbehaving) -> String {
    let document = |name: &str, access: &str| {
        format!(
            "---\n{{ apiVersion: levee.dev/v1alpha1, kind: Upstream, metadata: {{ name: {name} }},\n\
             spec: {{ url: '{}', access: {{ {access} }} }} }}\n",
            server.url()
        )
    };
    [
        document("payments", "allow: ['k8s:payments/*'], keyHeader: x-api-key"),
        document("anyone", "allow: [any_authenticated]"),
        document("programs", "allow: ['sa:*', 'user:*']"),
    ]
    .concat()
}

/// A deployment that trusts the API server.
async fn trusting(api_server: &ApiServer, server: &Misbehaving) -> Deployment {
    let mut deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    deployment.write_upstreams(&documents(server));
    let kubeconfig = deployment.path("kubeconfig");
    std::fs::write(&kubeconfig, api_server.kubeconfig()).unwrap();
    deployment.env("KUBECONFIG", kubeconfig);
    deployment.env("LEVEE_KUBERNETES", "on");
    deployment
}

async fn get(replica: &Replica, upstream: &str, header: &'static str, value: &str) -> Answer {
    let mut request = client::request(&format!("/proxy/{upstream}/ok"));
    request.headers_mut().insert(header, value.parse().unwrap());
    client::send(replica.data, request).await.unwrap()
}

fn none() -> Value {
    json!({})
}

#[tokio::test]
async fn a_service_account_calls_with_its_own_token_and_the_token_stays_here() {
    let (server, api_server) = (Misbehaving::start().await, ApiServer::start().await);
    let key = SigningKey::new("k1");
    api_server.publish(&[&key]);
    let deployment = trusting(&api_server, &server).await;
    let replica = deployment.replica().await;
    let token = key.token("payments", "checkout", &none());
    let bearer = format!("Bearer {token}");
    for (header, value) in [("authorization", &bearer), ("levee-key", &token), ("x-api-key", &token)] {
        let answer = get(&replica, "payments", header, value).await;
        assert_eq!(answer.status, 200, "{header}: {}", answer.text());
        let sent = server.received().last().unwrap().bytes();
        assert!(!String::from_utf8_lossy(&sent).contains(&token), "{header}");
    }
    let other = key.token("shop", "front", &none());
    for (upstream, token, expected) in [
        ("anyone", &token, 200),
        ("programs", &token, 403),
        ("anyone", &other, 200),
        ("payments", &other, 403),
    ] {
        let answer = get(&replica, upstream, "levee-key", token).await;
        assert_eq!(answer.status, expected, "{upstream}: {}", answer.text());
    }
    let refused = get(&replica, "payments", "levee-key", &other).await;
    assert!(refused.text().contains("`k8s:shop/front`"), "{}", refused.text());
    let asked = api_server.asked();
    assert_eq!(asked[..2], ["/.well-known/openid-configuration", "/openid/v1/jwks"]);
    let status = replica.status().await;
    let issuer = &status["issuers"][0];
    assert_eq!(
        (&issuer["name"], &issuer["keys"], &issuer["failing"]),
        (&json!("kubernetes"), &json!(1), &Value::Null)
    );
    assert_eq!(replica.metric(r#"levee_issuer_keys{issuer="kubernetes"}"#).await, Some(1.0));
}

#[tokio::test]
async fn a_token_that_is_ours_and_does_not_count_is_refused_and_never_sent_on() {
    let (server, api_server) = (Misbehaving::start().await, ApiServer::start().await);
    let (key, foreign) = (SigningKey::new("k1"), SigningKey::new("k1"));
    api_server.publish(&[&key]);
    let deployment = trusting(&api_server, &server).await;
    let replica = deployment.replica().await;
    let now = jsonwebtoken::get_current_timestamp();
    for (signer, changed) in [
        (&foreign, none()),
        (&key, json!({ "exp": now - 6 })),
        (&key, json!({ "exp": null })),
        (&key, json!({ "nbf": now + 60 })),
        (&key, json!({ "iss": "https://elsewhere.example" })),
        (&key, json!({ "sub": "system:node:a" })),
    ] {
        let bearer = format!("Bearer {}", signer.token("payments", "checkout", &changed));
        let answer = get(&replica, "payments", "authorization", &bearer).await;
        assert_eq!(answer.status, 401, "{changed}: {}", answer.text());
        assert!(answer.header("www-authenticate").contains("invalid_token"), "{changed}");
    }
    // One that is meant for somebody else proves nothing here, whoever signed it.
    let theirs = key.token("payments", "checkout", &json!({ "aud": ["https://kubernetes.default.svc"] }));
    assert_eq!(get(&replica, "payments", "levee-key", &theirs).await.status, 401);
    assert_eq!(get(&replica, "payments", "authorization", &format!("Bearer {theirs}")).await.status, 401);
    assert_eq!(server.seen_in_all(), 0);
}

#[tokio::test]
async fn a_service_account_of_kubernetes_manages_nothing() {
    let (server, api_server) = (Misbehaving::start().await, ApiServer::start().await);
    let key = SigningKey::new("k1");
    api_server.publish(&[&key]);
    let deployment = trusting(&api_server, &server).await;
    let replica = deployment.replica().await;
    let token = key.token("payments", "checkout", &none());
    let ask = async |path: &str| {
        let mut request = client::request(path);
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        client::send(replica.api, request).await.unwrap()
    };
    for path in [
        "/api/v1/upstreams",
        "/api/v1/users",
        "/api/v1/service-accounts",
        "/api/v1/breakers",
        "/api/v1/audit",
    ] {
        assert_eq!(ask(path).await.status, 403, "{path}");
    }
    let me = ask("/api/v1/auth/me").await.json();
    assert_eq!(
        (&me["kind"], &me["name"]),
        (&json!("kubernetes_service_account"), &json!("payments/checkout"))
    );
    assert!(me.get("role").is_none());
}

#[tokio::test]
async fn keys_are_rotated_without_a_restart_and_a_key_that_is_taken_back_counts_no_more() {
    let (server, api_server) = (Misbehaving::start().await, ApiServer::start().await);
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    api_server.publish(&[&old]);
    let deployment = trusting(&api_server, &server).await;
    let replica = deployment.replica().await;
    let before = old.token("payments", "checkout", &none());
    assert_eq!(get(&replica, "payments", "levee-key", &before).await.status, 200);
    api_server.publish(&[&new]);
    let after = new.token("payments", "checkout", &none());
    until("the token under the new key is known", SOON, async || {
        get(&replica, "payments", "levee-key", &after).await.status == 200
    })
    .await;
    assert_eq!(get(&replica, "payments", "levee-key", &before).await.status, 401);
}

#[tokio::test]
async fn an_api_server_that_is_away_keeps_nobody_from_calling() {
    let (server, mut api_server) = (Misbehaving::start().await, ApiServer::start().await);
    let key = SigningKey::new("k1");
    api_server.publish(&[&key]);
    let mut deployment = trusting(&api_server, &server).await;
    deployment.env("LEVEE_SNAPSHOT_DIR", deployment.path("kept"));
    let replica = deployment.replica().await;
    until("all is on disk", SOON, async || replica.status().await["snapshot"]["wholeOnDisk"] == true).await;
    api_server.stop().await;
    let fresh = |account: &str| key.token("payments", account, &none());
    assert_eq!(get(&replica, "payments", "levee-key", &fresh("a")).await.status, 200);
    // A stranger's key is asked for, in vain.
    let stranger = SigningKey::new("stranger").token("payments", "checkout", &none());
    until("the failure is told", SOON, async || {
        assert_eq!(get(&replica, "payments", "levee-key", &stranger).await.status, 401);
        !replica.status().await["issuers"][0]["failing"].is_null()
    })
    .await;
    assert_eq!(get(&replica, "payments", "levee-key", &fresh("b")).await.status, 200);
    replica.stop().await;
    let replica = deployment.replica().await;
    assert_eq!(get(&replica, "payments", "levee-key", &fresh("c")).await.status, 200, "by the keys on disk");
    let status = replica.status().await;
    assert_eq!(status["issuers"][0]["keys"], 1, "{status}");
}

#[tokio::test]
async fn without_any_keys_it_starts_all_the_same_and_takes_them_when_they_come() {
    let (server, api_server) = (Misbehaving::start().await, ApiServer::start().await);
    let key = SigningKey::new("k1");
    let deployment = trusting(&api_server, &server).await;
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let ours = admin.key("caller").await;
    assert_eq!(replica.call(&ours, "/proxy/anyone/ok").await.status, 200);
    let token = key.token("payments", "checkout", &none());
    assert_eq!(get(&replica, "payments", "levee-key", &token).await.status, 401);
    assert_eq!(replica.metric(r#"levee_issuer_keys{issuer="kubernetes"}"#).await, Some(0.0));
    api_server.publish(&[&key]);
    until("the keys have come", SOON, async || {
        get(&replica, "payments", "levee-key", &token).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn kubernetes_without_a_way_to_it_is_refused_before_anything_starts() {
    let mut deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    deployment.env("KUBECONFIG", deployment.path("nothing-there"));
    deployment.env("LEVEE_KUBERNETES", "on");
    let mut process: Process = deployment.begin_with_ops("127.0.0.1:0".parse().unwrap());
    assert_eq!(process.wait_exit(SOON).await.code(), Some(64));
    until("it says why", SOON, async || process.log().iter().any(|line| line.contains("LEVEE_KUBERNETES")))
        .await;
}

#[tokio::test]
async fn switched_off_nobody_of_kubernetes_is_known() {
    let (server, api_server) = (Misbehaving::start().await, ApiServer::start().await);
    let key = SigningKey::new("k1");
    api_server.publish(&[&key]);
    let mut deployment = trusting(&api_server, &server).await;
    deployment.env("LEVEE_KUBERNETES", "off");
    let replica = deployment.replica().await;
    let token = key.token("payments", "checkout", &none());
    assert_eq!(get(&replica, "payments", "levee-key", &token).await.status, 401);
    assert_eq!((api_server.asked(), replica.status().await["issuers"].clone()), (vec![], json!([])));
}
