//! What answers when the upstream cannot: the steps in order, and another upstream under its own policy.

use super::*;
use crate::support::ports::ClosedPort;

const ONE_TRY: &str = "retry: { attempts: 1 }\nbreaker: { mode: metrics_only }\n";
const TO_BACKUP: &str = "fallback: [{ upstream: { name: backup } }]\n";

/// Levee before `api`, which falls back to `backup`.
async fn levee_with_backup(api: &str, spec: &str, backup: &str, backup_spec: &str) -> TestApp {
    TestApp::start(document("api", api, spec) + &document("backup", backup, backup_spec)).await
}

fn told(answer: &Answer) -> (u16, &str, &str) {
    (answer.status.as_u16(), answer.header("levee-fallback"), answer.text())
}

#[tokio::test]
async fn the_steps_are_asked_in_order_and_the_first_that_can_answer_wins() {
    let (server, backup) = (Misbehaving::start().await, Misbehaving::start().await);
    let chain = "fallback:\n  - stale: { maxAge: 1h }\n  - upstream: { name: backup }\n  \
        - static: { status: 203, headers: { x-own: '1' }, body: static }\n";
    let spec = format!("{ONE_TRY}{chain}");
    let app = levee_with_backup(&server.url(), &spec, &backup.url(), ONE_TRY).await;
    server.script("/stored", [cacheable("max-age=0", "stale").into(), Reply::status(503).into()]);
    for path in ["/new", "/lost"] {
        server.script(path, [Reply::status(503).into()]);
    }
    backup.script("/new", [Reply::ok("backup").into()]);
    backup.script("/lost", [Reply::status(503).into()]);
    assert_eq!(get(&app, "/stored").await.header("levee-answer"), "upstream");
    for (path, expected, asked_backup) in [
        ("/stored", (200, "stale", "stale"), 0),
        ("/new", (200, "upstream:backup", "backup"), 1),
        ("/lost", (203, "static", "static"), 1),
    ] {
        let answer = get(&app, path).await;
        assert_eq!(told(&answer), expected);
        assert_eq!(answer.header("levee-answer"), "fallback");
        assert_eq!(answer.header("proxy-status"), "levee; received-status=503; next-hop=\"api\"");
        assert_eq!(backup.seen(path), asked_backup, "{path}");
    }
    assert_eq!(get(&app, "/lost").await.header("x-own"), "1");
    for (step, count) in [("stale", 1.0), ("upstream", 1.0), ("static", 2.0)] {
        let series = format!("levee_fallbacks_total{{upstream=\"api\",step=\"{step}\",cause=\"status\"}}");
        assert_eq!(app.metric(&series).await, Some(count), "{step}");
    }
}

#[tokio::test]
async fn without_a_step_that_can_answer_the_upstreams_own_answer_is_passed_on() {
    let (server, backup) = (Misbehaving::start().await, ClosedPort::take());
    let spec =
        format!("{ONE_TRY}fallback: [{{ stale: {{ maxAge: 1h }} }}, {{ upstream: {{ name: backup }} }}]\n");
    let app = levee_with_backup(&server.url(), &spec, &format!("http://{}", backup.address), ONE_TRY).await;
    assert_eq!(told(&get(&app, "/status/503").await), (503, "", "status 503\n"));
    let broken = get(&app, "/reset").await;
    assert_eq!((problem(&broken).as_str(), broken.header("levee-answer")), ("upstream-unreachable", "levee"));
}

#[tokio::test]
async fn the_other_upstream_has_its_own_breaker() {
    let (server, backup) = (Misbehaving::start().await, Misbehaving::start().await);
    let breaker = "retry: { attempts: 1 }\nbreaker: { minimumCalls: 2, failureRate: 1.0, open: { base: 1h, cap: 1h } }\n";
    let fallback = "fallback: [{ upstream: { name: backup } }, { static: { body: static } }]\n";
    let app = levee_with_backup(&server.url(), &format!("{breaker}{fallback}"), &backup.url(), breaker).await;
    for _ in 0..2 {
        assert_eq!(told(&get(&app, "/status/503").await), (200, "static", "static"));
    }
    assert_eq!((server.seen_in_all(), backup.seen_in_all()), (2, 2));
    assert_eq!(state(&app).await, "open");
    assert_eq!(app.ask("/api/v1/breakers/backup").await.json()["state"], "open");
    let answer = get(&app, "/status/503").await;
    assert_eq!(told(&answer), (200, "static", "static"));
    assert_eq!(answer.header("proxy-status"), "levee; error=destination_unavailable; next-hop=\"api\"");
    assert_eq!((server.seen_in_all(), backup.seen_in_all()), (2, 2), "both circuits are open");
}

#[tokio::test]
async fn the_other_upstream_has_its_own_cache_headers_and_time() {
    let (server, backup) = (Misbehaving::start().await, Misbehaving::start().await);
    let spec =
        format!("{ONE_TRY}{TO_BACKUP}headers: {{ set: {{ x-for: api }} }}\ntimeout: {{ total: 20s }}\n");
    let backup_spec = "cache: { mode: override, ttl: 1h }\nheaders: { set: { x-own: backup } }\n";
    let app = levee_with_backup(&server.url(), &spec, &format!("{}/base", backup.url()), backup_spec).await;
    server.script("/x", [Reply::status(503).into()]);
    backup.script("/base/x", [Reply::ok("backup").into(), Behaviour::Hang]);
    for _ in 0..3 {
        assert_eq!(told(&get(&app, "/x").await), (200, "upstream:backup", "backup"));
    }
    assert_eq!((server.seen("/x"), backup.seen("/base/x")), (3, 1), "its copy is its own");
    let request = &backup.received()[0];
    assert_eq!((request.header("x-own").as_deref(), request.header("x-for")), (Some("backup"), None));
    backup.script("/base/slow", [Behaviour::Hang]);
    server.script("/slow", [Behaviour::Hang]);
    let answer = get_with(&app, "/slow", "levee-timeout", "1s").await;
    assert_eq!((answer.status.as_u16(), backup.seen("/base/slow")), (504, 1), "it got a share of the time");
}

#[tokio::test]
async fn what_may_have_been_done_already_is_not_done_elsewhere() {
    let (server, backup) = (Misbehaving::start().await, Misbehaving::start().await);
    let spec =
        format!("{ONE_TRY}{TO_BACKUP}").replace("attempts: 1", "attempts: 1, idempotencyKey: honoured");
    let app = levee_with_backup(&server.url(), &spec, &backup.url(), ONE_TRY).await;
    for path in ["/reset", "/status/503"] {
        backup.script(path, [Reply::ok("backup").into()]);
        for body in [&b"pay"[..], b""] {
            let answer = send(&app, Method::POST, path, body).await;
            assert!(answer.status.is_server_error() && backup.seen(path) == 0, "{path} {body:?}");
        }
        assert_eq!(told(&get(&app, path).await), (200, "upstream:backup", "backup"), "{path}");
        let mut keyed = asking(path, "idempotency-key", "k-1");
        *keyed.method_mut() = Method::POST;
        *keyed.body_mut() = Full::from("pay");
        assert_eq!(client::send(app.data, keyed).await.unwrap().text(), "backup", "{path}: safe with a key");
    }
}

#[tokio::test]
async fn what_was_never_sent_may_go_elsewhere_with_its_body() {
    let (dead, backup) = (ClosedPort::take(), Misbehaving::start().await);
    let url = format!("http://{}", dead.address);
    for attempts in [1, 3] {
        for size in [10, 200_000] {
            let spec =
                format!("retry: {{ attempts: {attempts} }}\n{TO_BACKUP}breaker: {{ mode: metrics_only }}\n");
            let app = levee_with_backup(&url, &spec, &backup.url(), ONE_TRY).await;
            let body = vec![b'p'; size];
            let answer = send(&app, Method::POST, "/ok", &body).await;
            assert_eq!(told(&answer), (200, "upstream:backup", "ok\n"), "{attempts} attempts, {size} bytes");
            assert!(backup.received().pop().unwrap().bytes().ends_with(&body[..]));
        }
    }
}

#[tokio::test]
async fn what_an_open_circuit_kept_back_may_go_elsewhere_with_its_body() {
    let (server, backup) = (Misbehaving::start().await, Misbehaving::start().await);
    let breaker = "retry: { attempts: 1 }\nbreaker: { minimumCalls: 1, failureRate: 1.0, open: { base: 1h, cap: 1h } }\n";
    let app =
        levee_with_backup(&server.url(), &format!("{breaker}{TO_BACKUP}"), &backup.url(), ONE_TRY).await;
    get(&app, "/status/503").await;
    assert_eq!(state(&app).await, "open");
    for size in [10, 200_000] {
        let body = vec![b'p'; size];
        assert_eq!(told(&send(&app, Method::POST, "/ok", &body).await), (200, "upstream:backup", "ok\n"));
        let request = backup.received().pop().unwrap();
        assert!(request.bytes().ends_with(&body), "{size} bytes");
    }
    assert_eq!(server.seen("/ok"), 0);
}

#[tokio::test]
async fn every_upstream_of_the_chain_is_asked_in_its_turn() {
    let (server, second, third) =
        (Misbehaving::start().await, Misbehaving::start().await, Misbehaving::start().await);
    let spec = format!(
        "{ONE_TRY}fallback: [{{ upstream: {{ name: second }} }}, {{ upstream: {{ name: third }} }}]\n"
    );
    let app = TestApp::start(
        document("api", &server.url(), &spec)
            + &document("second", &second.url(), ONE_TRY)
            + &document("third", &third.url(), ONE_TRY),
    )
    .await;
    for path in ["/reset", "/status/503"] {
        third.script(path, [Reply::ok("third").into()]);
        assert_eq!(told(&get(&app, path).await), (200, "upstream:third", "third"));
        assert_eq!(told(&send(&app, Method::PUT, path, b"held").await), (200, "upstream:third", "third"));
        assert!(third.received().pop().unwrap().bytes().ends_with(b"held"));
        assert_eq!((server.seen(path), second.seen(path), third.seen(path)), (2, 2, 2), "{path}");
    }
}

#[tokio::test]
async fn what_reached_one_upstream_of_the_chain_is_not_done_at_the_next() {
    let (dead, third) = (ClosedPort::take(), Misbehaving::start().await);
    let second = Misbehaving::start().await;
    let url = format!("http://{}", dead.address);
    let spec = format!(
        "{ONE_TRY}fallback: [{{ upstream: {{ name: second }} }}, {{ upstream: {{ name: third }} }}]\n"
    );
    for (at_second, expected, asked_third) in [(second.url(), 502, 0), (url.clone(), 200, 1)] {
        let app = TestApp::start(
            document("api", &url, &spec)
                + &document("second", &at_second, ONE_TRY)
                + &document("third", &third.url(), ONE_TRY),
        )
        .await;
        third.script("/reset", [Reply::ok("third").into()]);
        for size in [10, 200_000] {
            let (before, body) = (third.seen("/reset"), vec![b'p'; size]);
            let answer = send(&app, Method::POST, "/reset", &body).await;
            assert_eq!(answer.status, expected, "{size} bytes");
            assert_eq!(third.seen("/reset") - before, asked_third, "{size} bytes");
        }
    }
}
