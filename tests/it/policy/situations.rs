//! The situations a correct engine handles, at the level of calls: callers who leave, probes, changes while open.

use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::support::client::burst;

/// Opens on the fourth failure of four.
const WINDOW: &str = "minimumCalls: 4, failureRate: 0.5, consecutiveFailures: 0";

fn with_breaker(rest: &str) -> String {
    format!("{PLAIN}timeout: {{ total: 60s, attempt: 29s }}\nbreaker: {{ {WINDOW}, {rest} }}\n")
}

async fn trip(app: &TestApp) {
    for _ in 0..4 {
        assert_eq!(get(app, "/status/503").await.status, 503);
    }
    assert_eq!(state(app).await, "open");
}

/// Begins calls of `path` until one is let through as a probe; returns the one that waits upstream.
async fn begin_probe(app: &TestApp, server: &Misbehaving, path: &str) -> RawConnection {
    loop {
        let mut connection = begin(app, path).await;
        let refused = tokio::select! {
            answer = connection.read_answer() => answer.unwrap().second_word() == "503",
            () = until("it arrives", SOON, async || server.seen(path) > 0) => false,
        };
        if !refused {
            return connection;
        }
    }
}

async fn until_served(app: &TestApp) {
    until("a call is let through", SOON, async || get(app, "/ok").await.status == 200).await;
}

#[tokio::test]
async fn a_caller_who_leaves_during_a_half_open_probe_gives_its_slot_back_at_once() {
    let server = Misbehaving::start().await;
    let app =
        levee_before(&server, &with_breaker("open: { base: 50ms, cap: 50ms }, halfOpen: { probes: 1 }"))
            .await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok(""))]);
    trip(&app).await;
    let probe = begin_probe(&app, &server, "/held").await;
    let refused = get(&app, "/ok").await;
    assert_eq!((refused.status.as_u16(), problem(&refused).as_str()), (503, "circuit-open"));
    assert_eq!(state(&app).await, "half_open");
    drop(probe);
    until_served(&app).await;
    assert_eq!(state(&app).await, "closed");
    assert_eq!(transitions(&app, "closed", "probes_good").await, 1);
    assert_eq!(transitions(&app, "half_open", "period_over").await, 1, "it never reopened in between");
}

#[tokio::test]
async fn a_probe_that_others_may_share_goes_on_when_its_caller_leaves() {
    let server = Misbehaving::start().await;
    let breaker = with_breaker("open: { base: 50ms, cap: 50ms }, halfOpen: { probes: 1 }");
    let app = levee_before(&server, &breaker.replace("cache: { mode: off }\n", "")).await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok(""))]);
    trip(&app).await;
    drop(begin_probe(&app, &server, "/held").await);
    assert_eq!(get(&app, "/ok").await.status, 503, "the flight has the only slot");
    gate.open();
    until("its answer closes the circuit", SOON, async || state(&app).await == "closed").await;
    assert_eq!(server.seen("/held"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_who_abort_leave_a_healthy_upstream_closed() {
    let server = Misbehaving::start().await;
    let spec =
        "timeout: { total: 10m, attempt: 9m, connect: 1m }\nconcurrency: { limit: 1000, perCaller: 1000 }\n";
    let app = levee_before(&server, &format!("{PLAIN}{spec}")).await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok(""))]);
    let mut callers = Vec::new();
    for _ in 0..1000 {
        callers.push(begin(&app, "/held").await);
    }
    until("all wait upstream", SOON * 3, async || gate.waiting() == 1000).await;
    drop(callers);
    until_idle(&app).await;
    assert_eq!(window(&app).await, (0, 0), "nobody's verdict");
    assert_eq!(state(&app).await, "closed");
    assert_eq!(get(&app, "/ok").await.status, 200);
}

#[tokio::test]
async fn a_policy_changed_while_open_keeps_the_open_period_under_way() {
    let server = Misbehaving::start().await;
    let document = |open: &str| {
        document("api", &server.url(), &with_breaker(&format!("open: {{ base: {open}, cap: 1h }}")))
    };
    let app = TestApp::start(document("60s")).await;
    trip(&app).await;
    let since = breaker(&app).await["since"].clone();
    app.rewrite_upstreams(&document("1ms"));
    until("the edit is in force", SOON, async || {
        app.metric("levee_upstream_file_loads_total").await == Some(2.0)
    })
    .await;
    let refused = get(&app, "/ok").await;
    let retry_after: u64 = refused.header("retry-after").parse().unwrap();
    assert_eq!(problem(&refused), "circuit-open");
    assert!((20..=87).contains(&retry_after), "what is left of 60 s ± 20 %: {retry_after}");
    assert_eq!(breaker(&app).await["since"], since);
    assert_eq!(server.seen("/ok"), 0);
}

#[tokio::test]
async fn a_policy_changed_while_open_does_not_lengthen_the_open_period_either() {
    let server = Misbehaving::start().await;
    let document = |open: &str| {
        document("api", &server.url(), &with_breaker(&format!("open: {{ base: {open}, cap: 1h }}")))
    };
    let app = TestApp::start(document("2s")).await;
    trip(&app).await;
    app.rewrite_upstreams(&document("1h"));
    until("the edit is in force", SOON, async || {
        app.metric("levee_upstream_file_loads_total").await == Some(2.0)
    })
    .await;
    until_served(&app).await;
    assert_eq!(transitions(&app, "half_open", "period_over").await, 1);
}

#[tokio::test]
async fn a_call_admitted_when_closed_changes_nothing_when_it_returns_in_another_state() {
    let server = Misbehaving::start().await;
    let app =
        levee_before(&server, &with_breaker("open: { base: 50ms, cap: 50ms }, halfOpen: { probes: 1 }"))
            .await;
    let gates = [Gate::closed(), Gate::closed(), Gate::closed()];
    let mut old = Vec::new();
    for (gate, path) in gates.iter().zip(["/old/open", "/old/half", "/old/closed"]) {
        let status = if path == "/old/open" { 200 } else { 503 };
        server.script(path, [held(gate, Reply::status(status))]);
        old.push(begin(&app, path).await);
    }
    let probing = Gate::closed();
    server.script("/probe", [held(&probing, Reply::ok(""))]);
    until("all are in flight", SOON, async || gates.iter().all(|gate| gate.waiting() == 1)).await;
    trip(&app).await;
    gates[0].open();
    assert_eq!(old[0].read_answer().await.unwrap().second_word(), "200");
    assert_eq!(state(&app).await, "open");
    let mut probe = begin_probe(&app, &server, "/probe").await;
    gates[1].open();
    assert_eq!(old[1].read_answer().await.unwrap().second_word(), "503");
    assert_eq!(state(&app).await, "half_open", "a late failure is no probe's");
    probing.open();
    assert_eq!(probe.read_answer().await.unwrap().second_word(), "200");
    until("the probe closed it", SOON, async || state(&app).await == "closed").await;
    let before = window(&app).await;
    gates[2].open();
    assert_eq!(old[2].read_answer().await.unwrap().second_word(), "503");
    assert_eq!(window(&app).await, before);
    assert_eq!(before.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_at_the_end_of_the_open_period_make_exactly_three_probes_and_one_event() {
    let server = Misbehaving::start().await;
    let open = "open: { base: 200ms, cap: 200ms }, halfOpen: { probes: 3 }";
    let limits = "concurrency: { limit: 2000, perCaller: 2000 }\n";
    let app = levee_before(&server, &format!("{}{limits}", with_breaker(open))).await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok(""))]);
    trip(&app).await;
    tokio::time::sleep(Duration::from_millis(240)).await;
    let address = app.data;
    let calls = tokio::spawn(burst(1000, move |_| client::get(address, "/proxy/api/held")));
    let refused = "levee_calls_total{upstream=\"api\",method=\"GET\",outcome=\"unavailable\"}";
    until("all but three are refused", SOON * 2, async || app.metric(refused).await == Some(997.0)).await;
    assert_eq!((gate.waiting(), server.seen("/held")), (3, 3));
    gate.open();
    let answers = calls.await.unwrap();
    let good = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!((good, server.seen("/held")), (3, 3));
    assert!(answers.iter().all(|answer| answer.status == 200 || problem(answer) == "circuit-open"));
    assert_eq!(state(&app).await, "closed");
    assert_eq!(transitions(&app, "half_open", "period_over").await, 1);
    assert_eq!(transitions(&app, "closed", "probes_good").await, 1);
}

#[tokio::test]
async fn probes_that_all_hang_reopen_it_and_never_wedge_it() {
    let server = Misbehaving::start().await;
    let spec = with_breaker("open: { base: 300ms, cap: 1h }, halfOpen: { probes: 2 }");
    let app = levee_before(&server, &spec.replace("attempt: 29s", "attempt: 200ms")).await;
    trip(&app).await;
    until("hanging probes reopened it twice", SOON, async || {
        get(&app, "/hang").await;
        transitions(&app, "open", "probe_failed").await >= 2
    })
    .await;
    let hint = breaker(&app).await["retryAfterSeconds"].as_u64().unwrap();
    assert!(hint <= 2, "the third open period is 4 × 300 ms ± 20 %: {hint} s");
    until_served(&app).await;
    until("it closed", SOON, async || {
        get(&app, "/ok").await;
        state(&app).await == "closed"
    })
    .await;
}

#[test]
fn nothing_that_decides_about_calls_reads_the_wall_clock() {
    let gateway = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gateway");
    let deciding =
        ["breaker", "breaker.rs", "budget.rs", "bulkhead.rs", "deadline.rs", "attempt.rs", "flight.rs"];
    let mut looking: Vec<_> = deciding.iter().map(|name| gateway.join(name)).collect();
    let mut looked_at = 0;
    while let Some(path) = looking.pop() {
        if path.is_dir() {
            looking.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("SystemTime"), "{}: a jump of the wall clock would count", path.display());
        looked_at += 1;
    }
    assert!(looked_at > 20, "{looked_at} files");
}
