//! Logins beside calls: what a crowd that signs in costs those who call, and what a login's time gives away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tokio::task::JoinSet;

use super::neighbours::{median, p99};
use super::patient;
use crate::support::client::{Connection, burst};
use crate::support::levee::TestApp;
use crate::support::misbehaving::Misbehaving;

/// How much later calls may be answered before this is a defect and not the scheduler: a slice or two, and far less than
/// one hash takes. The aim is 1.2 times as late; the ratio is printed.
const MARGIN: Duration = Duration::from_millis(10);
/// Clients that sign in at once, again and again.
const CLIENTS: usize = 200;
/// Rounds with them and without, neighbours in time.
const PAIRS: usize = 9;
/// Logins of each kind whose times are compared.
const TRIES: usize = 300;

fn login(email: &str, password: &str) -> Request<Full<Bytes>> {
    let body = json!({ "email": email, "password": password }).to_string();
    let request = Request::builder().method(Method::POST).uri("/api/v1/auth/login");
    request.header("content-type", "application/json").body(Full::new(Bytes::from(body))).unwrap()
}

/// Clients that sign in with a wrong password and come again as `Retry-After` says; dropping them makes them leave.
fn besiege(api: SocketAddr) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(async move {
            let mut connection = Connection::open(api).await;
            loop {
                let email = format!("nobody-{number}@example.com");
                let answer = connection.send(login(&email, "a wrong password")).await.unwrap();
                assert!([401, 503].contains(&answer.status.as_u16()), "{}", answer.text());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
    clients
}

#[tokio::test]
async fn two_hundred_logins_do_not_slow_calls() {
    let spring = Misbehaving::start().await;
    let app = TestApp::start(patient("spring", &spring)).await;
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let without = p99(app.data).await;
        let clients = besiege(app.api);
        pairs.push((without, p99(app.data).await));
        drop(clients);
    }
    let ratios: Vec<f64> =
        pairs.iter().map(|(without, with)| with.as_secs_f64() / without.as_secs_f64()).collect();
    let ratio = median(&ratios);
    println!(
        "p99 without and with {CLIENTS} logins: {pairs:?}; ratios {ratios:.2?}; median ratio {ratio:.2}"
    );
    let later: Vec<f64> =
        pairs.iter().map(|(without, with)| with.as_secs_f64() - without.as_secs_f64()).collect();
    assert!(median(&later) <= MARGIN.as_secs_f64(), "{later:?} s later");
    let hashed = app.metric(r#"levee_auth_failures_total{reason="password"}"#).await;
    assert!(hashed.is_some_and(|hashed| hashed > 0.0), "they were there");
}

#[tokio::test]
async fn who_finds_no_place_is_told_at_once_and_the_others_are_served() {
    let app = TestApp::start("").await;
    let api = app.api;
    let answers = burst(CLIENTS, |_| async move {
        let mut connection = Connection::open(api).await;
        let began = Instant::now();
        (connection.send(login("nobody@example.com", "a wrong password")).await.unwrap(), began.elapsed())
    })
    .await;
    let of = |status: u16| answers.iter().filter(|(answer, _)| answer.status == status).count();
    assert!(of(401) >= 32 && of(503) > 0 && of(401) + of(503) == CLIENTS, "{} and {}", of(401), of(503));
    for (answer, _) in answers.iter().filter(|(answer, _)| answer.status == StatusCode::SERVICE_UNAVAILABLE) {
        assert_eq!(answer.header("retry-after"), "1");
    }
}

/// The least difference is asked of the middle of many tries, taken in turn: the machine weighs on both kinds alike.
#[tokio::test]
async fn the_time_of_a_login_does_not_tell_whether_there_is_such_a_user() {
    let app = TestApp::start("").await;
    let mut connection = Connection::open(app.api).await;
    let mut took = [Vec::new(), Vec::new()];
    for number in 0..TRIES {
        for kind in [number % 2, 1 - number % 2] {
            let email = ["admin@localhost", "nobody@example.com"][kind];
            let began = Instant::now();
            let answer = connection.send(login(email, "a wrong password")).await.unwrap();
            took[kind].push(began.elapsed().as_secs_f64());
            assert_eq!(answer.status, 401);
        }
    }
    let [known, unknown] = took.map(|took| median(&took));
    let ratio = known / unknown;
    println!("medians of {TRIES} logins: known {known:.5} s, unknown {unknown:.5} s, ratio {ratio:.3}");
    assert!((0.95..=1.05).contains(&ratio), "{ratio:.3}");
}
