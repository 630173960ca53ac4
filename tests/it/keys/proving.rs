//! What proves a program, and what does not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use levee::identity::api_key;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::*;
use crate::support::client;

on_both!(
    a_key_opens_what_its_role_opens,
    a_key_counts_in_every_place_of_the_contract,
    a_key_that_was_never_issued_is_refused_and_counted,
    a_key_in_the_query_string_proves_nothing,
);

async fn a_key_opens_what_its_role_opens(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let upstream = |name: &str| json!({ "name": name, "spec": { "url": "https://api.example.com" } });
    let ci = Program::new(&admin, "ci", "operator").await;
    let made = ci.api.post("/api/v1/upstreams", upstream("rates")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(ci.api.post(ACCOUNTS, json!({ "name": "x", "class": "low" })).await.status, 403);
    assert_eq!(ci.api.post(&format!("{}/keys", ci.path), json!({ "name": "x" })).await.status, 403);
    let caller = Program::new(&admin, "caller", "none").await;
    assert_eq!(caller.api.post("/api/v1/upstreams", upstream("other")).await.status, 403);
    assert_eq!(caller.reads().await, 403);
    let me = caller.api.get("/api/v1/auth/me").await;
    assert_eq!((me.status.as_u16(), &me.json()["name"]), (200, &json!("caller")));
}

async fn a_key_counts_in_every_place_of_the_contract(setup: Setup) {
    let (app, admin) = started(setup).await;
    let key = Program::new(&admin, "billing", "viewer").await.text;
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let proofs = [
        ("levee-key", key.clone(), 200),
        ("authorization", format!("bearer {key}"), 200),
        ("authorization", basic(&format!("{key}:")), 200),
        ("authorization", basic("billing:wrong"), 401),
        ("x-api-key", key.clone(), 401),
        ("levee-key", String::new(), 401),
        ("cookie", format!("key={key}"), 401),
    ];
    for (header, value, status) in proofs {
        let mut request = client::request(ACCOUNTS);
        request.headers_mut().insert(header, value.parse().unwrap());
        let answer = client::send(app.api, request).await.unwrap();
        assert_eq!(answer.status, status, "{header}: {value}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401, "{header}");
    }
}

async fn a_key_that_was_never_issued_is_refused_and_counted(setup: Setup) {
    let (app, admin) = started(setup).await;
    let program = Program::new(&admin, "billing", "viewer").await;
    let same_id = program.key.rsplit('/').next().unwrap().parse::<Uuid>().unwrap();
    let mut damaged = program.text.clone();
    let last = if damaged.pop() == Some('0') { '1' } else { '0' };
    damaged.push(last);
    let sound = [api_key::mint(same_id).0, api_key::mint(Uuid::now_v7()).0];
    assert_eq!(admin.bearer(&damaged).get(ACCOUNTS).await.status, 401);
    for key in &sound {
        assert_eq!(admin.bearer(key.expose_secret()).get(ACCOUNTS).await.status, 401);
    }
    let counted =
        async |reason: &str| app.metric(&format!("levee_auth_failures_total{{reason=\"{reason}\"}}")).await;
    assert_eq!((counted("malformed").await, counted("unknown").await), (Some(1.0), Some(2.0)));
}

async fn a_key_in_the_query_string_proves_nothing(setup: Setup) {
    let (app, admin) = started(setup).await;
    let key = Program::new(&admin, "billing", "viewer").await.text;
    for name in ["key", "access_token", "levee-key"] {
        let answer = app.anonymous().get(&format!("{ACCOUNTS}?{name}={key}")).await;
        assert_eq!(answer.status, 401, "{name}");
        assert!(!answer.text().contains(&key));
    }
}
