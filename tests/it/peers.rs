//! The breakers of several replicas over one Redis: what each shows of the others, whose evidence counts, who probes, and that
//! each goes by itself without Redis.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client;
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Gate, Misbehaving, Reply};
use crate::support::ports::ClosedPort;
use crate::support::redis::RedisServer;
use crate::support::until::until;

/// Modes that a person forced.
mod forced;

const SOON: Duration = Duration::from_secs(20);
const BREAKER: &str = "/api/v1/breakers/api";

/// Opens after two failures.
fn document(url: &str, breaker: &str) -> String {
    format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: api }}\nspec:\n  url: {url}\n  \
         retry: {{ attempts: 1 }}\n  cache: {{ mode: off }}\n  breaker: {{ minimumCalls: 2, {breaker} }}\n"
    )
}

const LONG: &str = "open: { base: 60s }";
const ADOPTING: &str = "open: { base: 60s }, fleet: { adopt: true }";

async fn replica(redis: &RedisServer, url: &str, breaker: &str) -> TestApp {
    TestApp::with(document(url, breaker)).env("LEVEE_REDIS_URL", redis.url()).start().await
}

/// Waits until each hears of all.
async fn together(replicas: &[&TestApp]) {
    for replica in replicas {
        until("it hears of the others", SOON, async || heard(replica).await == replicas.len()).await;
    }
}

/// How many replicas it shows, itself included.
async fn heard(replica: &TestApp) -> usize {
    replica.ask(BREAKER).await.json()["replicas"].as_array().map_or(0, Vec::len)
}

async fn status(replica: &TestApp, path: &str) -> u16 {
    replica.get(&format!("/proxy/api{path}")).await.status.as_u16()
}

async fn fail(replica: &TestApp, path: &str) {
    for _ in 0..2 {
        assert!(status(replica, path).await >= 500);
    }
    until("it is open", SOON, async || state(replica).await == "open").await;
}

async fn state(replica: &TestApp) -> String {
    replica.ask(BREAKER).await.json()["state"].as_str().unwrap().to_owned()
}

async fn open_in_the_fleet(replica: &TestApp) -> Option<f64> {
    replica.metric("levee_breaker_open_replicas{upstream=\"api\",operation=\"\"}").await
}

#[tokio::test]
async fn each_replica_shows_how_all_of_them_stand() {
    let (redis, server) = (RedisServer::start().await, Misbehaving::start().await);
    let (one, two) = (replica(&redis, &server.url(), LONG).await, replica(&redis, &server.url(), LONG).await);
    together(&[&one, &two]).await;
    fail(&one, "/status/503").await;
    until("the other hears", SOON, async || open_in_the_fleet(&two).await == Some(1.0)).await;
    let shown: Value = two.ask(BREAKER).await.json();
    assert_eq!(shown["state"], "closed");
    let [this, other] = &shown["replicas"].as_array().unwrap()[..] else { panic!("{shown}") };
    assert_eq!((&this["answers"], &this["state"]), (&true.into(), &"closed".into()), "{shown}");
    assert_eq!((&other["answers"], &other["state"]), (&false.into(), &"open".into()), "{shown}");
    assert_eq!((&other["reason"], &other["mode"]), (&"failure_rate".into(), &"auto".into()), "{shown}");
    assert_ne!(this["replica"], other["replica"]);
    let own = one.ask(BREAKER).await.json();
    assert_eq!(own["replicas"][0]["replica"], other["replica"]);
    let listed = two.ask("/api/v1/breakers").await.json();
    assert_eq!(listed["items"][0].get("replicas"), None, "{listed}");
    // Nothing is adopted unless the policy says so.
    assert_eq!(status(&two, "/ok").await, 200);
    drop(one);
    until("who is gone is forgotten", SOON, async || heard(&two).await == 1).await;
}

#[tokio::test]
async fn a_replica_whose_own_network_is_broken_opens_nobody_elses() {
    let (redis, server, closed) =
        (RedisServer::start().await, Misbehaving::start().await, ClosedPort::take());
    let cut_off = replica(&redis, &format!("http://{}", closed.address), ADOPTING).await;
    let (two, three) =
        (replica(&redis, &server.url(), ADOPTING).await, replica(&redis, &server.url(), ADOPTING).await);
    together(&[&cut_off, &two, &three]).await;
    fail(&cut_off, "/ok").await;
    for healthy in [&two, &three] {
        until("they hear of it", SOON, async || open_in_the_fleet(healthy).await == Some(1.0)).await;
    }
    // Several turns of the exchange pass meanwhile.
    for _ in 0..200 {
        assert_eq!((status(&two, "/ok").await, status(&three, "/ok").await), (200, 200));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((state(&two).await, state(&three).await), ("closed".to_owned(), "closed".to_owned()));
}

#[tokio::test]
async fn what_two_saw_themselves_opens_the_third_before_it_fails() {
    let (mut redis, server) = (RedisServer::start().await, Misbehaving::start().await);
    let (one, two, three) = (
        replica(&redis, &server.url(), ADOPTING).await,
        replica(&redis, &server.url(), ADOPTING).await,
        replica(&redis, &server.url(), ADOPTING).await,
    );
    let wary = replica(&redis, &server.url(), LONG).await;
    together(&[&one, &two, &three, &wary]).await;
    fail(&one, "/status/503").await;
    fail(&two, "/status/503").await;
    until("it adopts", SOON, async || state(&three).await == "open").await;
    let shown = three.ask(BREAKER).await.json();
    assert_eq!((&shown["reason"], &shown["calls"]), (&"fleet".into(), &0.into()), "{shown}");
    assert_eq!(status(&three, "/ok").await, 503);
    let adopted =
        "levee_breaker_transitions_total{upstream=\"api\",operation=\"\",to=\"open\",reason=\"fleet\"}";
    assert_eq!(three.metric(adopted).await, Some(1.0));
    until("the wary one hears", SOON, async || open_in_the_fleet(&wary).await == Some(3.0)).await;
    assert_eq!((status(&wary, "/ok").await, state(&wary).await), (200, "closed".to_owned()));
    let witnesses = BTreeSet::from([name(&one).await, name(&two).await]);
    assert_eq!(adopted_from(&three).await, witnesses);
    assert_eq!(adopted_from(&one).await, BTreeSet::new());
    let said = three.log().into_iter().find(|line| line.contains("other replicas' evidence opened")).unwrap();
    assert!(witnesses.iter().all(|name| said.contains(name)), "{said}");
    // What was adopted ends with the word of those it was adopted from; what was seen does not.
    redis.stop();
    let stopped = Instant::now();
    until("it goes by itself", SOON, async || state(&three).await == "closed").await;
    assert!(stopped.elapsed() < Duration::from_secs(8), "{:?}", stopped.elapsed());
    assert_eq!((status(&three, "/ok").await, state(&one).await), (200, "open".to_owned()));
    assert_eq!(adopted_from(&three).await, BTreeSet::new());
    assert_eq!(three.metric(&adopted.replace("to=\"open\"", "to=\"closed\"")).await, Some(1.0));
    fail(&three, "/status/503").await;
    assert_eq!(three.ask(BREAKER).await.json()["reason"], "failure_rate");
}

async fn name(replica: &TestApp) -> String {
    replica.status().await["replica"].as_str().unwrap().to_owned()
}

/// Whose word opened its breaker, as `/status` says it.
async fn adopted_from(replica: &TestApp) -> BTreeSet<String> {
    let status = replica.status().await;
    let names = status["upstreams"][0]["breakers"][0]["adoptedFrom"].as_array().cloned().unwrap_or_default();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn one_replica_probes_at_a_time() {
    let (redis, server) = (RedisServer::start().await, Misbehaving::start().await);
    let quick = "open: { base: 2s, cap: 2s }, halfOpen: { probes: 1 }";
    let replicas = [
        replica(&redis, &server.url(), quick).await,
        replica(&redis, &server.url(), quick).await,
        replica(&redis, &server.url(), quick).await,
    ];
    together(&replicas.each_ref()).await;
    for replica in &replicas {
        fail(replica, "/status/503").await;
    }
    let gate = Gate::closed();
    server.script("/x", [Behaviour::Held(gate.clone(), Box::new(Reply::ok("back").into()))]);
    let callers: Vec<_> =
        replicas.iter().map(|replica| tokio::spawn(call_until_it_answers(replica.data))).collect();
    until("one probes", SOON, async || gate.waiting() == 1).await;
    // All open periods are over by then, and the one lease has been renewed.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        assert_eq!(gate.waiting(), 1, "two probe at once");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gate.open();
    for caller in callers {
        caller.await.unwrap();
    }
    let mut lost = 0.0;
    for replica in &replicas {
        assert_eq!(state(replica).await, "closed");
        lost += replica.metric("levee_breaker_probe_leases_total{result=\"lost\"}").await.unwrap();
    }
    assert!(lost >= 2.0, "{lost}");
}

/// As a caller with patience: again and again, until its breaker lets it through.
async fn call_until_it_answers(address: std::net::SocketAddr) {
    let answered = async {
        while client::get(address, "/proxy/api/x").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), answered).await.expect("it is let through");
}

#[tokio::test]
async fn without_redis_each_goes_by_itself() {
    let (mut redis, server) = (RedisServer::start().await, Misbehaving::start().await);
    let quick = "open: { base: 2s, cap: 2s }, halfOpen: { probes: 1 }, fleet: { adopt: true }";
    let (one, two) =
        (replica(&redis, &server.url(), quick).await, replica(&redis, &server.url(), quick).await);
    together(&[&one, &two]).await;
    redis.stop();
    fail(&one, "/status/503").await;
    fail(&two, "/status/503").await;
    let gate = Gate::closed();
    server.script("/x", [Behaviour::Held(gate.clone(), Box::new(Reply::ok("back").into()))]);
    let callers = [&one, &two].map(|replica| tokio::spawn(call_until_it_answers(replica.data)));
    until("both probe", SOON, async || gate.waiting() == 2).await;
    gate.open();
    for caller in callers {
        caller.await.unwrap();
    }
    until("nobody is heard of", SOON, async || heard(&one).await == 1).await;
    redis.start_again().await;
    together(&[&one, &two]).await;
}
