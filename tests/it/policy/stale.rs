//! Answers past their freshness: served while a new one is fetched, or because none could be.

use super::*;

/// Fresh for no time at all, and good for a minute past that in the ways named.
fn stale_at_once(ways: &str, body: &str) -> Behaviour {
    cacheable(&format!("max-age=0, {ways}"), body).into()
}

#[tokio::test]
async fn a_stale_answer_is_served_at_once_while_one_refresh_runs_behind() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let gate = Gate::closed();
    server.script(
        "/x",
        [
            stale_at_once("stale-while-revalidate=60", "old"),
            held(&gate, cacheable("max-age=60", "new")),
            Behaviour::Hang,
        ],
    );
    assert_eq!(get(&app, "/x").await.text(), "old");
    for _ in 0..20 {
        let answer = get(&app, "/x").await;
        assert_eq!((answer.text(), answer.header("levee-answer")), ("old", "cache"));
        let status = answer.header("cache-status");
        assert!(status.starts_with("levee; hit; ttl=") && status.ends_with("detail=stale"), "{status}");
    }
    until("one refresh is under way", SOON, async || gate.waiting() == 1).await;
    assert_eq!(server.seen("/x"), 2);
    gate.open();
    until("the new answer is served", SOON, async || get(&app, "/x").await.text() == "new").await;
    assert_eq!(server.seen("/x"), 2);
}

#[tokio::test]
async fn the_policy_can_stretch_what_was_fresh() {
    let server = Misbehaving::start().await;
    let app =
        levee_before(&server, "cache: { mode: override, ttl: 200ms, staleWhileRevalidate: 1h }\n").await;
    let gate = Gate::closed();
    server.script("/x", [Reply::ok("old").into(), held(&gate, Reply::ok("new"))]);
    get(&app, "/x").await;
    until("it is served stale", SOON, async || {
        let answer = get(&app, "/x").await;
        assert_eq!(answer.text(), "old", "nobody waits");
        answer.header("cache-status").ends_with("detail=stale")
    })
    .await;
    gate.open();
    until("the new answer is served", SOON, async || get(&app, "/x").await.text() == "new").await;
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_stale_answer_in_service() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "retry: { attempts: 1 }\nbreaker: { mode: metrics_only }\n").await;
    let busy: Behaviour = Reply::status(503).into();
    server.script("/x", [stale_at_once("stale-while-revalidate=60", "old"), busy]);
    get(&app, "/x").await;
    until("it was asked for many times", SOON, async || {
        assert_eq!(get(&app, "/x").await.text(), "old");
        server.seen("/x") > 5
    })
    .await;
}

#[tokio::test]
async fn a_response_can_allow_its_stale_copy_when_the_upstream_fails() {
    let server = Misbehaving::start().await;
    let spec =
        "retry: { attempts: 1 }\nbreaker: { mode: metrics_only }\ntimeout: { total: 20s, attempt: 300ms }\n";
    let app = levee_before(&server, spec).await;
    for (path, then, told) in [
        ("/503", Reply::status(503).into(), "levee; received-status=503; next-hop=\"api\""),
        ("/500", Reply::status(500).into(), "levee; received-status=500; next-hop=\"api\""),
        (
            "/cut",
            Behaviour::RawThenReset(Bytes::new()),
            "levee; error=connection_terminated; next-hop=\"api\"",
        ),
        ("/hung", Behaviour::Hang, "levee; error=http_response_timeout; next-hop=\"api\""),
    ] {
        server.script(path, [stale_at_once("stale-if-error=60", "old"), then]);
        get(&app, path).await;
        let answer = get(&app, path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "old"), "{path}");
        assert_eq!((answer.header("levee-answer"), answer.header("proxy-status")), ("cache", told));
        let status = answer.header("cache-status");
        assert!(
            status.starts_with("levee; fwd=stale") && status.ends_with("detail=stale"),
            "{path}: {status}"
        );
        assert_eq!(server.seen(path), 2, "{path}: it was asked first");
    }
}

#[tokio::test]
async fn what_must_be_revalidated_is_never_served_stale() {
    let server = Misbehaving::start().await;
    let spec = "retry: { attempts: 1 }\nbreaker: { mode: metrics_only }\n\
        fallback: [{ stale: { maxAge: 1h } }]\n";
    let app = levee_before(&server, spec).await;
    let ways = "must-revalidate, stale-if-error=60, stale-while-revalidate=60";
    let tagged = cacheable(&format!("max-age=0, {ways}"), "old").header("ETag", "\"v1\"");
    server.script("/x", [tagged.into(), Reply::status(503).into()]);
    get(&app, "/x").await;
    let answer = get(&app, "/x").await;
    assert_eq!((answer.status.as_u16(), answer.header("levee-answer")), (503, "upstream"));
}

#[tokio::test]
async fn an_open_circuit_does_not_keep_a_permitted_stale_copy_from_its_caller() {
    let server = Misbehaving::start().await;
    let spec = "retry: { attempts: 1 }\nbreaker: { minimumCalls: 2, failureRate: 0.5, open: { base: 1h, cap: 1h } }\n";
    let app = levee_before(&server, spec).await;
    server.script("/x", [stale_at_once("stale-if-error=600", "old")]);
    get(&app, "/x").await;
    get(&app, "/status/503").await;
    assert_eq!(state(&app).await, "open");
    let answer = get(&app, "/x").await;
    assert_eq!((answer.text(), answer.header("levee-attempts"), server.seen("/x")), ("old", "0", 1));
    assert_eq!(answer.header("proxy-status"), "levee; error=destination_unavailable; next-hop=\"api\"");
}

#[tokio::test]
async fn a_get_with_a_body_is_not_answered_by_the_copy_of_the_get_without_one() {
    let (server, backup) = (Misbehaving::start().await, Misbehaving::start().await);
    let stale =
        "retry: { attempts: 1 }\nbreaker: { mode: metrics_only }\nfallback: [{ stale: { maxAge: 1h } }]\n";
    let through = format!("{PLAIN}fallback: [{{ upstream: {{ name: api }} }}]\n");
    let documents = document("api", &server.url(), stale) + &document("front", &backup.url(), &through);
    let app = TestApp::start(documents).await;
    backup.script("/x", [Reply::status(503).into()]);
    server.script("/x", [cacheable("max-age=0", "everything").into(), Reply::status(503).into()]);
    get(&app, "/x").await;
    for body in [&b"{\"filter\":1}"[..], &vec![b'f'; 200_000]] {
        for upstream in ["api", "front"] {
            let path = format!("/proxy/{upstream}/x");
            let answer = client::send_body(app.data, Method::GET, &path, body).await;
            assert_eq!(answer.status, 503, "{upstream}, {} bytes", body.len());
        }
    }
    let told = get(&app, "/x").await;
    assert_eq!((told.text(), told.header("levee-fallback")), ("everything", "stale"));
}
