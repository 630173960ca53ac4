//! Which causes set a fallback going: those the policy lists, and never what is the caller's doing.

use super::*;
use crate::support::ports::ClosedPort;

const STATIC: &str = "fallback: [{ static: { body: fallback } }]\n";
const BASE: &str = "cache: { mode: off }\nretry: { attempts: 1 }\n";

/// A cause that can be brought about, and the call that meets it.
async fn meets(server: &Misbehaving, cause: &str, rest: &str) -> Answer {
    let quiet = "breaker: { mode: metrics_only }\n";
    match cause {
        "connect_failure" => {
            let dead = ClosedPort::take();
            let url = format!("http://{}", dead.address);
            get(&TestApp::start(document("api", &url, &format!("{BASE}{quiet}{rest}"))).await, "/x").await
        }
        "reset" => get(&levee_before(server, &format!("{BASE}{quiet}{rest}")).await, "/reset").await,
        "timeout" => {
            let time = "timeout: { total: 20s, attempt: 200ms }\n";
            get(&levee_before(server, &format!("{BASE}{quiet}{time}{rest}")).await, "/hang").await
        }
        "circuit_open" => {
            let trips = "breaker: { minimumCalls: 1, failureRate: 1.0, open: { base: 1h, cap: 1h } }\n";
            let app = levee_before(server, &format!("{BASE}{trips}{rest}")).await;
            send(&app, Method::POST, "/status/504", b"").await;
            get(&app, "/ok").await
        }
        "quota_exhausted" => {
            let app = levee_before(server, &format!("{BASE}{quiet}quota: {{ rate: 1/h }}\n{rest}")).await;
            assert_eq!(get(&app, "/ok").await.text(), "ok\n");
            get(&app, "/ok").await
        }
        "overloaded" => {
            let seat = "concurrency: { limit: 1, queue: 0 }\n";
            let app = levee_before(server, &format!("{BASE}{quiet}{seat}{rest}")).await;
            let gate = Gate::closed();
            server.script("/held", [held(&gate, Reply::ok(""))]);
            let _seated = begin(&app, "/held").await;
            until("the seat is taken", SOON, async || gate.waiting() == 1).await;
            get(&app, "/ok").await
        }
        other => panic!("no way to bring about {other}"),
    }
}

const CAUSES: [(&str, &str); 6] = [
    ("connect_failure", "upstream-unreachable"),
    ("reset", "upstream-unreachable"),
    ("timeout", "upstream-timeout"),
    ("circuit_open", "circuit-open"),
    ("quota_exhausted", "quota-exhausted"),
    ("overloaded", "overloaded"),
];

#[tokio::test]
async fn every_cause_sets_it_going_unless_the_policy_lists_others() {
    let server = Misbehaving::start().await;
    for (cause, problem_type) in CAUSES {
        let answer = meets(&server, cause, STATIC).await;
        assert_eq!((answer.text(), answer.header("levee-fallback")), ("fallback", "static"), "{cause}");
        let only = meets(&server, cause, &format!("{STATIC}fallbackOn: [{cause}]\n")).await;
        assert_eq!(only.text(), "fallback", "{cause}");
        let others: Vec<_> = CAUSES.iter().map(|(name, _)| *name).filter(|name| *name != cause).collect();
        let unlisted = meets(&server, cause, &format!("{STATIC}fallbackOn: [{}]\n", others.join(", "))).await;
        assert_eq!(problem(&unlisted), problem_type, "{cause}");
        assert_eq!((unlisted.header("levee-answer"), unlisted.header("levee-fallback")), ("levee", ""));
    }
}

#[tokio::test]
async fn of_the_upstreams_statuses_those_listed_set_it_going() {
    let server = Misbehaving::start().await;
    let quiet = "breaker: { mode: metrics_only }\n";
    let usual = levee_before(&server, &format!("{BASE}{quiet}{STATIC}")).await;
    let own = levee_before(&server, &format!("{BASE}{quiet}{STATIC}fallbackStatuses: [500, 429]\n")).await;
    for (status, usually, here) in [
        (500, false, true),
        (502, true, false),
        (503, true, false),
        (504, true, false),
        (429, false, true),
        (404, false, false),
    ] {
        for (app, falls_back) in [(&usual, usually), (&own, here)] {
            let answer = get(app, &format!("/status/{status}")).await;
            let expected = if falls_back { "fallback".to_owned() } else { format!("status {status}\n") };
            assert_eq!(answer.text(), expected);
            assert_eq!(answer.status.as_u16(), if falls_back { 200 } else { status });
        }
    }
}

#[tokio::test]
async fn what_is_the_callers_doing_never_sets_it_going() {
    let server = Misbehaving::start().await;
    let spec = format!(
        "retry: {{ attempts: 1 }}\nlimits: {{ request: 10KiB }}\nconcurrency: {{ perCaller: 1 }}\n{STATIC}"
    );
    let app = levee_before(&server, &spec).await;
    let too_large = send(&app, Method::POST, "/ok", &vec![b'x'; 20_000]).await;
    assert_eq!((too_large.status.as_u16(), problem(&too_large).as_str()), (413, "payload-too-large"));
    let chunk = format!("2710\r\n{}\r\n", "x".repeat(10_000)).repeat(2);
    let head = "POST /proxy/api/ok HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let found_out = client::exchange(app.data, format!("{head}{chunk}0\r\n\r\n")).await.unwrap();
    assert_eq!(found_out.second_word(), "413");
    let wrong_time = get_with(&app, "/ok", "levee-timeout", "soon").await;
    assert_eq!(problem(&wrong_time), "invalid-request");
    let not_stored = get_with(&app, "/ok", "cache-control", "only-if-cached").await;
    assert_eq!(problem(&not_stored), "only-if-cached");
    assert_eq!(get(&app, "/status/404").await.text(), "status 404\n");
    until_idle(&app).await;
    let gate = Gate::closed();
    server.script("/held", [held(&gate, Reply::ok(""))]);
    let _first = begin(&app, "/held").await;
    until("it is in flight", SOON, async || gate.waiting() == 1).await;
    assert_eq!(problem(&get(&app, "/ok").await), "too-many-concurrent");
}

#[tokio::test]
async fn a_caller_whose_upload_breaks_off_is_not_served_a_fallback_in_its_place() {
    let server = Misbehaving::start().await;
    let spec = format!("{BASE}timeout: {{ idleBody: 200ms }}\n{STATIC}");
    let app = levee_before(&server, &spec).await;
    for method in ["POST", "PUT"] {
        let mut caller = RawConnection::open(app.data).await;
        let head =
            format!("{method} /proxy/api/ok HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab");
        caller.write(head).await.unwrap();
        let answer = caller.read_answer().await.unwrap();
        assert_eq!(answer.second_word(), "400", "{method}");
    }
    until_idle(&app).await;
    assert_eq!(window(&app).await, (0, 0));
}
