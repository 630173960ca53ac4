//! Who may call: proofs, lists, and what of a proof reaches the upstream, from outside.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderName;

use crate::support::client::{self, Answer};
use crate::support::control::{Api, Deployment, Replica};
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Misbehaving, Reply};

/// Documents in a file, one for each name with these further fields.
fn documents(server: &Misbehaving, upstreams: &[(&str, &str)]) -> String {
    let document = |(name, fields): &(&str, &str)| {
        format!(
            "---\n{{ apiVersion: levee.dev/v1alpha1, kind: Upstream, metadata: {{ name: {name} }},\n\
             spec: {{ url: '{}', retry: {{ attempts: 1 }}, {fields} }} }}\n",
            server.url()
        )
    };
    upstreams.iter().map(document).collect()
}

/// `levee serve` with these upstreams, and its admin.
async fn serving(server: &Misbehaving, upstreams: &[(&str, &str)]) -> (Deployment, Replica, Api) {
    let deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    deployment.write_upstreams(&documents(server, upstreams));
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    (deployment, replica, admin)
}

/// GET with these headers.
async fn get(replica: &Replica, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = client::request(path);
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    client::send(replica.data, request).await.unwrap()
}

fn problem(answer: &Answer) -> (u16, String) {
    let kind = answer.json()["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    (answer.status.as_u16(), kind)
}

#[tokio::test]
async fn a_stranger_is_asked_who_it_is_and_learns_nothing_else() {
    let server = Misbehaving::start().await;
    let (_deployment, replica, _) =
        serving(&server, &[("api", "access: { allow: [any_authenticated] }")]).await;
    for path in ["/proxy/api/ok", "/proxy/nobody/ok", "/proxy/api/../x", "/proxy/"] {
        for headers in [&[][..], &[("authorization", "Bearer theirs")], &[("cookie", "a=b")]] {
            let answer = get(&replica, path, headers).await;
            assert_eq!(problem(&answer), (401, "unauthorized".to_owned()), "{path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            assert_eq!(answer.header("levee-answer"), "levee");
            assert!(!answer.text().contains("registered"), "{}", answer.text());
        }
    }
    assert_eq!(server.seen_in_all(), 0);
}

#[tokio::test]
async fn only_whom_the_upstream_names_may_call_it() {
    let server = Misbehaving::start().await;
    let upstreams = [
        ("eu", "access: { allow: ['sa:billing-*'] }"),
        ("people", "access: { allow: ['user:*@example.com'] }"),
        ("anyone", "access: { allow: [any_authenticated] }"),
        ("closed", "owner: nobody"),
    ];
    let (_deployment, replica, admin) = serving(&server, &upstreams).await;
    let (billing, ci) = (admin.key("billing-eu").await, admin.key("ci").await);
    let person = format!("Bearer {}", admin.token());
    let callers = [("levee-key", billing.as_str()), ("levee-key", &ci), ("authorization", &person)];
    for (upstream, expected) in [
        ("eu", [200, 403, 403]),
        ("people", [403, 403, 200]),
        ("anyone", [200, 200, 200]),
        ("closed", [403, 403, 403]),
        ("unknown", [404, 404, 404]),
    ] {
        for (caller, expected) in callers.iter().zip(expected) {
            let answer = get(&replica, &format!("/proxy/{upstream}/ok"), &[*caller]).await;
            assert_eq!(answer.status.as_u16(), expected, "{upstream}: {}", answer.text());
        }
    }
    assert_eq!(server.seen_in_all(), 5);
    let refused = get(&replica, "/proxy/eu/ok", &[callers[1]]).await;
    assert_eq!(problem(&refused), (403, "forbidden".to_owned()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("`sa:ci`"), "{}", refused.text());
    let closed = get(&replica, "/proxy/closed/ok", &[callers[1]]).await;
    assert!(closed.text().contains("names nobody yet"), "{}", closed.text());
}

#[tokio::test]
async fn what_proves_the_caller_stays_here_and_what_is_the_upstreams_goes_there() {
    let server = Misbehaving::start().await;
    let access = "access: { allow: [any_authenticated], keyHeader: X-Api-Key }";
    let (_deployment, replica, admin) = serving(&server, &[("api", access)]).await;
    let key = admin.key("caller").await;
    let bearer = format!("Bearer {key}");
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:")));
    let token = format!("Bearer {}", admin.token());
    for (headers, travels) in [
        (&[("levee-key", key.as_str())][..], &[][..]),
        (&[("authorization", &*bearer)], &[]),
        (&[("authorization", &*basic)], &[]),
        (&[("authorization", &*token)], &[]),
        (&[("x-api-key", &*key)], &[]),
        (&[("levee-key", &*key), ("authorization", "Bearer theirs")], &[("authorization", "Bearer theirs")]),
        (&[("authorization", &*bearer), ("x-api-key", "theirs")], &[("x-api-key", "theirs")]),
        (&[("levee-key", &*key), ("authorization", &*bearer), ("x-api-key", &*key)], &[]),
    ] {
        let answer = get(&replica, "/proxy/api/ok", headers).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
        let sent = server.received().last().unwrap().clone();
        for name in ["levee-key", "authorization", "x-api-key"] {
            let expected =
                travels.iter().find(|(travels, _)| *travels == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(sent.header(name), expected, "{name} of {headers:?}");
        }
        assert!(!String::from_utf8_lossy(&sent.bytes()).contains("lvk_"));
    }
}

#[tokio::test]
async fn a_credential_of_ours_that_does_not_count_is_never_sent_on() {
    let server = Misbehaving::start().await;
    let access = "access: { allow: [any_authenticated], keyHeader: x-api-key }";
    let (_deployment, replica, admin) = serving(&server, &[("api", access)]).await;
    let key = admin.key("caller").await;
    let mistyped = format!("{}x", &key[..key.len() - 1]);
    let token = admin.token();
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let bearer = |credential: &str| format!("Bearer {credential}");
    for (name, value) in [
        ("levee-key", mistyped.clone()),
        ("levee-key", "anything".to_owned()),
        ("authorization", bearer(&mistyped)),
        ("authorization", bearer("lvk_")),
        ("authorization", bearer(&forged)),
        ("x-api-key", mistyped.clone()),
        ("x-other", key.clone()),
    ] {
        let answer = get(&replica, "/proxy/api/ok", &[(name, &value)]).await;
        assert_eq!(problem(&answer), (401, "unauthorized".to_owned()), "{name}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{name}");
        assert!(!answer.text().contains(&value), "{}", answer.text());
    }
    assert_eq!(server.seen_in_all(), 0);
    let in_query = get(&replica, &format!("/proxy/api/ok?key={key}"), &[]).await;
    assert_eq!(in_query.status, 401, "a key in a query proves nothing");
}

#[tokio::test]
async fn every_principal_has_answers_of_its_own_unless_the_policy_shares_them() {
    let server = Misbehaving::start().await;
    server.script("/x", [Behaviour::from(Reply::ok("x").header("Cache-Control", "max-age=60"))]);
    let any = "access: { allow: [any_authenticated] }";
    let shared = format!("{any}, cache: {{ shared: true }}");
    let (_deployment, replica, admin) = serving(&server, &[("own", any), ("shared", &shared)]).await;
    let (one, two) = (admin.key("one").await, admin.key("two").await);
    for (upstream, expected) in [("own", [1, 1, 2, 2]), ("shared", [1, 1, 1, 1])] {
        let before = server.seen("/x");
        for (key, expected) in [&one, &one, &two, &two].iter().zip(expected) {
            assert_eq!(replica.call(key, &format!("/proxy/{upstream}/x")).await.text(), "x");
            assert_eq!(server.seen("/x") - before, expected, "{upstream}");
        }
    }
}

#[tokio::test]
async fn a_fallback_is_no_way_past_the_other_upstreams_list() {
    let server = Misbehaving::start().await;
    let fallback = "access: { allow: [any_authenticated] }, fallback: [{ upstream: { name: backup } }, \
                    { static: { status: 200, body: fixed } }]";
    let upstreams = [("api", fallback), ("backup", "access: { allow: ['sa:friend'] }")];
    let (_deployment, replica, admin) = serving(&server, &upstreams).await;
    server.script("/x", [Behaviour::from(Reply::status(503)), Reply::ok("backup").into()]);
    let friend = replica.call(&admin.key("friend").await, "/proxy/api/x").await;
    assert_eq!((friend.text(), friend.header("levee-fallback")), ("backup", "upstream:backup"));
    server.script("/x", [Behaviour::from(Reply::status(503)), Reply::ok("backup").into()]);
    let other = replica.call(&admin.key("other").await, "/proxy/api/x").await;
    assert_eq!((other.text(), other.header("levee-fallback")), ("fixed", "static"));
}

#[tokio::test]
async fn logs_and_metrics_name_the_caller_and_never_its_key() {
    let server = Misbehaving::start().await;
    let (_deployment, replica, admin) =
        serving(&server, &[("api", "access: { allow: [any_authenticated] }")]).await;
    let key = admin.key("billing").await;
    for _ in 0..2 {
        assert_eq!(replica.call(&key, "/proxy/api/status/503").await.status, 503);
    }
    let calls = "levee_caller_calls_total{caller=\"sa:billing\",upstream=\"api\"}";
    assert_eq!(replica.metric(calls).await, Some(2.0));
    assert_eq!(replica.call("lvk_nothing", "/proxy/api/ok").await.status, 401);
    assert_eq!(replica.metric("levee_auth_failures_total{reason=\"malformed\"}").await, Some(1.0));
    let log = replica.log();
    let line = log.iter().find(|line| line.contains("\"call\"")).unwrap();
    assert!(line.contains("\"caller\":\"sa:billing\""), "{line}");
    assert!(!log.iter().any(|line| line.contains("lvk_")));
}

#[tokio::test]
async fn in_dev_a_list_that_was_given_holds_too() {
    let server = Misbehaving::start().await;
    let upstreams = [("open", "owner: me"), ("listed", "access: { allow: [any_authenticated] }")];
    let app = TestApp::start(documents(&server, &upstreams)).await;
    assert_eq!(app.get("/proxy/open/ok").await.status, 200);
    let refused = app.get("/proxy/listed/ok").await;
    assert_eq!(problem(&refused), (401, "unauthorized".to_owned()));
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    assert_eq!(server.seen_in_all(), 1);
}
