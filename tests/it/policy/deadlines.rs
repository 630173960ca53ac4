//! How long a call may take, who may shorten it, and what a slow upload or an impatient caller tells the breaker.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::*;

#[tokio::test]
async fn a_caller_can_shorten_the_time_and_never_lengthen_it() {
    let server = Misbehaving::start().await;
    let long = levee_before(&server, "timeout: { total: 10m, attempt: 9m }\n").await;
    let short = levee_before(&server, "timeout: { total: 300ms }\n").await;
    for (app, asked) in [(&long, "300ms"), (&short, "10m")] {
        let started = Instant::now();
        let answer = get_with(app, "/hang", "levee-timeout", asked).await;
        assert_eq!((answer.status.as_u16(), problem(&answer).as_str()), (504, "upstream-timeout"));
        assert_eq!(answer.header("proxy-status"), "levee; error=http_response_timeout; next-hop=\"api\"");
        assert!(started.elapsed() >= Duration::from_millis(300), "{asked}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_time_that_is_none_is_refused_before_any_upstream() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    for wrong in ["soon", "0s", "-1s", "1", "1s 2s"] {
        let answer = get_with(&app, "/ok", "levee-timeout", wrong).await;
        assert_eq!((answer.status.as_u16(), problem(&answer).as_str()), (400, "invalid-request"), "{wrong}");
    }
    assert_eq!(server.seen_in_all(), 0);
}

#[tokio::test]
async fn the_total_bounds_all_attempts_together() {
    let server = Misbehaving::start().await;
    let spec = "timeout: { total: 1s, attempt: 300ms }\nretry: { attempts: 10, backoff: { base: 1ms, cap: 1ms } }\n\
        cache: { mode: off }\nbreaker: { mode: metrics_only }\n";
    let app = levee_before(&server, spec).await;
    let started = Instant::now();
    let answer = get(&app, "/hang").await;
    let took = started.elapsed();
    assert_eq!((answer.status.as_u16(), problem(&answer).as_str()), (504, "upstream-timeout"));
    assert!((2..=4).contains(&server.seen("/hang")), "{} attempts of 300 ms in 1 s", server.seen("/hang"));
    assert!(took >= Duration::from_millis(600) && took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn a_body_may_flow_for_longer_than_the_total() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "timeout: { total: 300ms, idleBody: 20s }\ncache: { mode: off }\n").await;
    let started = Instant::now();
    assert_eq!(get(&app, "/drip/100").await.text(), "0123456789");
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_body_that_falls_silent_is_cut_off_and_counts_as_a_failure() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "timeout: { idleBody: 200ms }\ncache: { mode: off }\n").await;
    let unfinished = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234";
    server.script("/silent", [Behaviour::Raw(unfinished.into())]);
    assert!(client::send(app.data, client::request("/proxy/api/silent")).await.is_err());
    until("it counts", SOON, async || window(&app).await == (1, 1)).await;
}

/// Sends a body of 5 bytes, one every 200 ms.
async fn drip_body(app: &TestApp, head: &str) -> crate::support::wire::Message {
    let mut caller = RawConnection::open(app.data).await;
    caller.write(format!("{head}\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")).await.unwrap();
    for _ in 0..5 {
        sleep(Duration::from_millis(200)).await;
        if caller.write("x").await.is_err() {
            break;
        }
    }
    caller.read_answer().await.unwrap()
}

#[tokio::test]
async fn a_slow_upload_is_not_the_upstreams_timeout() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "timeout: { total: 20s, attempt: 300ms }\ncache: { mode: off }\n").await;
    for method in ["POST", "PUT"] {
        let answer = drip_body(&app, &format!("{method} /proxy/api/ok HTTP/1.1")).await;
        assert_eq!(answer.second_word(), "200", "{method}");
        assert_eq!(answer.header("levee-attempts").unwrap(), "1");
    }
    until("both count as good", SOON, async || window(&app).await == (2, 0)).await;
}

/// A POST whose body takes nearly 2 s, and all of it is sent.
async fn upload_slowly(app: &TestApp, path: &str) -> RawConnection {
    let mut caller = RawConnection::open(app.data).await;
    let head = format!("POST /proxy/api{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n");
    caller.write(head).await.unwrap();
    for _ in 0..5 {
        sleep(Duration::from_millis(370)).await;
        caller.write("x").await.unwrap();
    }
    caller
}

const SHORT_ATTEMPTS: &str = "timeout: { total: 20s, attempt: 400ms }\ncache: { mode: off }\n\
    breaker: { minimumCalls: 100, slowCall: { threshold: 390ms, rate: 1.0 } }\n";

#[tokio::test]
async fn the_upstream_has_its_whole_time_once_a_slow_upload_is_there() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, SHORT_ATTEMPTS).await;
    for _ in 0..3 {
        let answer = upload_slowly(&app, "/delay/200").await.read_answer().await.unwrap();
        assert_eq!(answer.second_word(), "200", "{}", String::from_utf8_lossy(&answer.bytes()));
    }
    until("all count as good", SOON, async || window(&app).await == (3, 0)).await;
    assert_eq!(breaker(&app).await["slow"], 0, "the uploads were slow, not the upstream");
}

#[tokio::test]
async fn an_upstream_that_hangs_after_a_slow_upload_is_found_out() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, SHORT_ATTEMPTS).await;
    let answer = upload_slowly(&app, "/hang").await.read_answer().await.unwrap();
    assert_eq!(answer.second_word(), "504");
    assert_eq!(window(&app).await, (1, 1));
}

#[tokio::test]
async fn a_caller_who_leaves_right_after_a_slow_upload_is_nobodys_failure() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &SHORT_ATTEMPTS.replace("400ms", "2s")).await;
    let caller = upload_slowly(&app, "/hang").await;
    until("it has arrived whole", SOON, async || !server.received().is_empty()).await;
    drop(caller);
    until_idle(&app).await;
    assert_eq!(window(&app).await, (0, 0));
}

#[tokio::test]
async fn an_upload_that_takes_all_the_time_is_the_callers_doing() {
    let server = Misbehaving::start().await;
    let spec = "timeout: { total: 500ms }\ncache: { mode: off }\nfallback: [{ static: { body: no } }]\n";
    let app = levee_before(&server, spec).await;
    for method in ["POST", "PUT"] {
        let answer = drip_body(&app, &format!("{method} /proxy/api/ok HTTP/1.1")).await;
        assert_eq!(answer.second_word(), "400", "{method}: {}", String::from_utf8_lossy(&answer.bytes()));
    }
    until_idle(&app).await;
    assert_eq!(window(&app).await, (0, 0), "no verdict on the upstream");
}

#[tokio::test]
async fn a_caller_who_leaves_in_the_middle_of_a_slow_upload_is_nobodys_failure() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "timeout: { total: 20s, attempt: 200ms }\ncache: { mode: off }\n").await;
    for _ in 0..5 {
        let mut caller = RawConnection::open(app.data).await;
        let head = "POST /proxy/api/ok HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab";
        caller.write(head).await.unwrap();
        until("it is under way", SOON, async || server.connections_open() == 1).await;
        sleep(Duration::from_millis(300)).await;
        drop(caller);
        until_idle(&app).await;
        until("the connection is gone", SOON, async || server.connections_open() == 0).await;
    }
    assert_eq!((window(&app).await, state(&app).await.as_str()), ((0, 0), "closed"));
}

/// An attempt may take 1 s, so half a second of silence is proof enough.
const PATIENCE: &str = "timeout: { total: 20s, attempt: 1s }\ncache: { mode: off }\nretry: { attempts: 1 }\n";

#[tokio::test]
async fn a_hung_upstream_trips_the_breaker_although_callers_give_up_before_the_attempt_would() {
    let server = Misbehaving::start().await;
    let asking_less = levee_before(&server, PATIENCE).await;
    for _ in 0..5 {
        assert_eq!(get_with(&asking_less, "/hang", "levee-timeout", "600ms").await.status, 504);
    }
    assert_eq!(state(&asking_less).await, "open");
    let leaving = levee_before(&server, PATIENCE).await;
    for _ in 0..5 {
        let caller = begin(&leaving, "/hang").await;
        sleep(Duration::from_millis(700)).await;
        drop(caller);
        until_idle(&leaving).await;
    }
    until("it is open", SOON, async || state(&leaving).await == "open").await;
}

#[tokio::test]
async fn callers_who_give_up_sooner_prove_nothing() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, &PATIENCE.replace("1s", "15s")).await;
    for _ in 0..20 {
        assert_eq!(get_with(&app, "/hang", "levee-timeout", "20ms").await.status, 504);
    }
    until_idle(&app).await;
    assert_eq!((window(&app).await, state(&app).await.as_str()), ((0, 0), "closed"));
}

#[tokio::test]
async fn a_flight_outlives_the_haste_of_who_began_it_so_a_hung_upstream_is_found_out() {
    let server = Misbehaving::start().await;
    let app =
        levee_before(&server, "timeout: { total: 20s, attempt: 300ms }\nretry: { attempts: 1 }\n").await;
    for number in 0..5 {
        let path = format!("/hang/{number}");
        server.script(&path, [Behaviour::Hang]);
        assert_eq!(get_with(&app, &path, "levee-timeout", "20ms").await.status, 504);
    }
    until("it is open", SOON, async || state(&app).await == "open").await;
}
