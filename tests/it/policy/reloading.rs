//! New documents while calls are in flight: in force at once, and nobody disturbed.

use std::time::{Duration, Instant};

use super::*;

async fn until_loaded(app: &TestApp, times: f64) {
    until("the edit is in force", SOON, async || {
        app.metric("levee_upstream_file_loads_total").await == Some(times)
    })
    .await;
}

fn answering(server: &Misbehaving, body: &str) -> String {
    let fallback =
        format!("{PLAIN}fallback: [{{ static: {{ body: {body} }} }}]\nbreaker: {{ mode: metrics_only }}\n");
    document("api", &server.url(), &fallback)
}

#[tokio::test]
async fn a_good_edit_takes_effect_within_a_second() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(answering(&server, "edit-0")).await;
    let mut took = Vec::new();
    for number in 1..=5 {
        let body = format!("edit-{number}");
        let edited = Instant::now();
        app.rewrite_upstreams(&answering(&server, &body));
        until("the edit is in force", SOON, async || get(&app, "/reset").await.text() == body).await;
        took.push(edited.elapsed());
    }
    took.sort();
    assert!(took[0] < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_call_in_flight_ends_under_the_policy_it_began_with() {
    let (server, other) = (Misbehaving::start().await, Misbehaving::start().await);
    let time = "timeout: { total: 10m, attempt: 9m }\n";
    let spec = |rest: &str| format!("{PLAIN}{rest}");
    let app = TestApp::start(document("api", &server.url(), &spec(time))).await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok("old"))]);
    server.script("/unfinished", [Behaviour::Drip(Duration::from_millis(200), Reply::ok("0123456789"))]);
    let (mut waiting, mut reading) = (begin(&app, "/held").await, begin(&app, "/unfinished").await);
    until("both are under way", SOON, async || server.seen_in_all() == 2).await;
    let short = "timeout: { total: 300ms, idleBody: 100ms }\nconcurrency: { limit: 1, queue: 0 }\n";
    app.rewrite_upstreams(&document("api", &other.url(), &spec(short)));
    until_loaded(&app, 2.0).await;
    other.script("/held", [Reply::ok("new").into()]);
    assert_eq!(get(&app, "/held").await.text(), "new", "a new call goes where the edit says");
    assert_eq!(reading.read_answer().await.unwrap().body, b"0123456789");
    let hung = get(&app, "/hang").await;
    assert_eq!(problem(&hung), "upstream-timeout", "the new time is over");
    gate.open();
    assert_eq!(waiting.read_answer().await.unwrap().body, b"old");
}

#[tokio::test]
async fn a_bad_edit_keeps_the_last_good_version_and_is_reported_everywhere() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(answering(&server, "good")).await;
    let valid = async || app.metric("levee_upstream_files_valid").await;
    let faults = async || client::get(app.ops, "/status").await.json()["upstreamFileFaults"].clone();
    assert_eq!((valid().await, faults().await), (Some(1.0), serde_json::json!([])));
    let bad =
        answering(&server, "bad").replace("breaker:", "braker:") + "  timeout: { total: 1s, attempt: 2s }\n";
    app.rewrite_upstreams(&bad);
    until("it is exported", SOON, async || valid().await == Some(0.0)).await;
    let lines = faults().await.to_string();
    for told in ["braker", "breaker", "attempt", "upstreams.yaml:"] {
        assert!(lines.contains(told), "{told} in {lines}");
    }
    for told in ["braker", "attempt"] {
        let logged = |line: &String| line.contains(told) && line.contains("ERROR");
        assert!(app.log().iter().any(logged), "every fault is logged: {told}");
    }
    assert_eq!(get(&app, "/reset").await.text(), "good");
    assert_eq!(app.metric("levee_upstream_file_loads_total").await, Some(1.0));
    assert_eq!(app.metric("levee_upstream_file_errors_total").await, Some(1.0));
    assert_eq!(client::get(app.ops, "/readyz").await.status, 200);
    app.rewrite_upstreams(&answering(&server, "better"));
    until("the next good edit is in force", SOON, async || get(&app, "/reset").await.text() == "better")
        .await;
    assert_eq!((valid().await, faults().await), (Some(1.0), serde_json::json!([])));
}

#[tokio::test]
async fn a_removed_upstream_is_unknown_and_its_series_go() {
    let server = Misbehaving::start().await;
    let keep = document("keep", &server.url(), PLAIN);
    let app = TestApp::start(document("api", &server.url(), PLAIN) + &keep).await;
    let series =
        async || app.metrics().await.lines().filter(|line| line.contains("upstream=\"api\"")).count();
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok("still served"))]);
    get(&app, "/ok").await;
    let mut waiting = begin(&app, "/held").await;
    until("it is in flight", SOON, async || gate.waiting() == 1).await;
    assert!(series().await > 10);
    app.rewrite_upstreams(&keep);
    until_loaded(&app, 2.0).await;
    let unknown = get(&app, "/ok").await;
    assert_eq!((unknown.status.as_u16(), problem(&unknown).as_str()), (404, "unknown-upstream"));
    assert_eq!(series().await, 0);
    assert_eq!(app.ask("/api/v1/breakers/api").await.status, 404);
    gate.open();
    assert_eq!(waiting.read_answer().await.unwrap().body, b"still served");
    assert_eq!(app.get("/proxy/keep/ok").await.status, 200);
    assert_eq!(series().await, 0, "a call that ends late brings none back");
}

#[tokio::test]
async fn what_has_memory_survives_an_edit_of_something_else() {
    let server = Misbehaving::start().await;
    let spec = |total: &str| {
        let breaker = "breaker: { window: { duration: 10m }, minimumCalls: 1000 }\n";
        let rest = format!("retry: {{ attempts: 1 }}\ntimeout: {{ total: {total} }}\n{breaker}");
        document("api", &server.url(), &rest)
    };
    let app = TestApp::start(spec("20s")).await;
    server.script("/kept", [cacheable("max-age=3600", "kept").into()]);
    get(&app, "/kept").await;
    for _ in 0..2 {
        get(&app, "/status/503").await;
    }
    let connections = server.connections_accepted();
    app.rewrite_upstreams(&spec("21s"));
    until_loaded(&app, 2.0).await;
    assert_eq!(get(&app, "/kept").await.header("levee-answer"), "cache");
    assert_eq!(window(&app).await, (3, 2), "what the breaker saw counts on");
    get(&app, "/status/503").await;
    assert_eq!(window(&app).await, (4, 3));
    assert_eq!(server.connections_accepted(), connections, "its connections are kept, too");
}
