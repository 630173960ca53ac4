//! What is answered from memory: whose word counts, what tells answers apart, and what forgets them.

use super::*;
use crate::support::client::Connection;

const MOST_CACHED: f64 = 128.0 * 1024.0 * 1024.0;

/// Who answered, and with which `Cache-Status`.
fn by(answer: &Answer) -> (&str, &str) {
    (answer.header("levee-answer"), answer.header("cache-status"))
}

fn assert_hit(answer: &Answer) {
    let (who, how) = by(answer);
    assert!(who == "cache" && how.starts_with("levee; hit; ttl="), "{who}: {how}");
    assert_eq!(answer.header("levee-attempts"), "0");
}

#[tokio::test]
async fn what_the_response_says_counts_and_nothing_is_guessed() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    server.script("/fresh", [cacheable("max-age=60", "kept").header("Age", "20").into()]);
    let first = get(&app, "/fresh").await;
    assert_eq!(by(&first), ("upstream", "levee; fwd=uri-miss; stored"));
    let second = get(&app, "/fresh").await;
    assert_hit(&second);
    assert_eq!((second.text(), server.seen("/fresh")), ("kept", 1));
    let age: u64 = second.header("age").parse().unwrap();
    assert!((20..40).contains(&age), "{age}");
    assert!(second.header("cache-status").ends_with("detail=memory"), "{}", second.header("cache-status"));
    for (path, reply) in [
        ("/silent", Reply::ok("").header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")),
        ("/no-store", cacheable("no-store, max-age=60", "")),
        ("/private", cacheable("private, max-age=60", "")),
        ("/cookie", cacheable("max-age=60", "").header("Set-Cookie", "a=b")),
        ("/vary-all", cacheable("max-age=60", "").header("Vary", "*")),
        ("/error", Reply::status(500).header("Cache-Control", "max-age=60")),
    ] {
        server.script(path, [reply.into()]);
        for asked in 1..=3 {
            assert_eq!(by(&get(&app, path).await).0, "upstream", "{path}");
            assert_eq!(server.seen(path), asked, "{path}");
        }
    }
}

#[tokio::test]
async fn override_puts_the_policys_lifetime_in_place_of_the_responses() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "cache: { mode: override, ttl: 500ms }\n").await;
    for directives in ["no-cache", "max-age=0", "max-age=3600"] {
        let path = format!("/{directives}");
        server.script(&path, [cacheable(directives, "").into()]);
        get(&app, &path).await;
        until("it expires when the policy says", SOON, async || {
            get(&app, &path).await;
            server.seen(&path) >= 2
        })
        .await;
    }
    let lasting = levee_before(&server, "cache: { mode: override, ttl: 1h }\n").await;
    for (path, reply, asked) in [
        ("/bare", Reply::ok(""), 1),
        ("/never", cacheable("no-store", ""), 3),
        ("/cookie", Reply::ok("").header("Set-Cookie", "a=b"), 3),
        ("/missing", Reply::status(404), 3),
    ] {
        server.script(path, [reply.into()]);
        for _ in 0..3 {
            get(&lasting, path).await;
        }
        assert_eq!(server.seen(path), asked, "{path}");
    }
}

#[tokio::test]
async fn nothing_is_stored_and_nothing_answered_from_memory_where_it_is_off() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "cache: { mode: off }\n").await;
    server.script("/fresh", [cacheable("max-age=60", "").into()]);
    for _ in 0..3 {
        assert_eq!(by(&get(&app, "/fresh").await), ("upstream", "levee; fwd=bypass"));
    }
    assert_eq!(server.seen("/fresh"), 3);
}

#[tokio::test]
async fn answers_vary_by_what_the_response_names_and_by_headers_nobody_named() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let varied = cacheable("max-age=60", "").header("Vary", "User-Agent");
    server.script("/varied", [varied.into()]);
    server.script("/plain", [cacheable("max-age=60", "").into()]);
    for agent in ["one", "two", "one", "two"] {
        get_with(&app, "/varied", "user-agent", agent).await;
        get_with(&app, "/plain", "user-agent", agent).await;
    }
    assert_eq!((server.seen("/varied"), server.seen("/plain")), (2, 1));
    assert_hit(&get_with(&app, "/varied", "user-agent", "one").await);
    for tenant in ["red", "blue", "red", "blue"] {
        let answer = get_with(&app, "/plain", "x-tenant", tenant).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(server.seen("/plain"), 3, "one for each tenant and one for none");
}

#[tokio::test]
async fn every_credential_has_its_own_part_of_the_cache() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let whose = |body: &str| cacheable("private, max-age=60", body).into();
    server.script("/me", [whose("a"), whose("b"), whose("c"), whose("nobody")]);
    let callers = [("authorization", "Bearer a"), ("authorization", "Bearer b"), ("cookie", "session=c")];
    for _ in 0..2 {
        for ((name, value), expected) in callers.iter().zip(["a", "b", "c"]) {
            assert_eq!(get_with(&app, "/me", name, value).await.text(), expected);
        }
    }
    assert_eq!((get(&app, "/me").await.text(), server.seen("/me")), ("nobody", 4));
}

#[tokio::test]
async fn callers_share_one_copy_only_where_policy_and_response_both_allow_it() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "cache: { shared: true }\n").await;
    for (path, directives, asked) in [
        ("/public", "public, max-age=60", 1),
        ("/plain", "max-age=60", 3),
        ("/private", "private, max-age=60", 3),
    ] {
        server.script(path, [cacheable(directives, "").into()]);
        for caller in ["Bearer a", "Bearer b", "Bearer c"] {
            get_with(&app, path, "authorization", caller).await;
        }
        assert_eq!(server.seen(path), asked, "{path}");
    }
}

#[tokio::test]
async fn an_unsafe_request_that_succeeds_forgets_what_it_may_have_changed() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let fresh = || [cacheable("max-age=60", "").into()];
    for path in ["/thing", "/listed", "/other"] {
        server.script(path, fresh());
        get(&app, &format!("{path}?page=2")).await;
    }
    let asked = || ["/thing", "/listed", "/other"].map(|path| server.seen(path));
    let look_again = async || {
        for path in ["/thing?page=2", "/listed?page=2", "/other?page=2"] {
            assert_eq!(get(&app, path).await.status, 200);
        }
    };
    server.script("/thing", [Reply::status(500).into(), cacheable("max-age=60", "").into()]);
    assert_eq!(send(&app, Method::POST, "/thing", b"{}").await.status, 500);
    look_again().await;
    assert_eq!(asked(), [2, 1, 1], "a failed one forgets nothing");
    let created = Reply::status(201).header("Location", "/listed");
    server.script("/thing", [created.into(), cacheable("max-age=60", "").into()]);
    assert_eq!(send(&app, Method::POST, "/thing", b"{}").await.status, 201);
    look_again().await;
    assert_eq!(asked(), [4, 2, 1], "its own path and the one it names, whatever the query");
}

#[tokio::test]
async fn a_caller_can_refuse_memory_and_insist_on_it() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    server.script("/x", [cacheable("max-age=60", "old").into(), cacheable("max-age=60", "new").into()]);
    let empty = get_with(&app, "/x", "cache-control", "only-if-cached").await;
    assert_eq!(
        (empty.status.as_u16(), problem(&empty).as_str(), server.seen("/x")),
        (504, "only-if-cached", 0)
    );
    let unstored = get_with(&app, "/x", "cache-control", "no-store").await;
    assert_eq!((unstored.text(), unstored.header("cache-status")), ("old", "levee; fwd=request"));
    assert_eq!((get(&app, "/x").await.text(), server.seen("/x")), ("new", 2), "it left no copy");
    assert_hit(&get_with(&app, "/x", "cache-control", "only-if-cached").await);
    server.script("/x", [cacheable("max-age=60", "newest").into()]);
    assert_eq!(get_with(&app, "/x", "cache-control", "no-cache").await.text(), "newest");
    assert_eq!((get(&app, "/x").await.text(), server.seen("/x")), ("newest", 3), "and replaced the copy");
}

#[tokio::test]
async fn a_head_is_answered_from_a_stored_get() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    server.script("/x", [cacheable("max-age=60", "twelve bytes").into()]);
    let first = send(&app, Method::HEAD, "/x", b"").await;
    assert_eq!((first.header("levee-answer"), server.seen("/x")), ("upstream", 1));
    get(&app, "/x").await;
    let head = send(&app, Method::HEAD, "/x", b"").await;
    assert_hit(&head);
    assert_eq!((head.header("content-length"), head.body.len(), server.seen("/x")), ("12", 0, 2));
}

#[tokio::test]
async fn errors_are_remembered_where_the_policy_says_for_how_long() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "cache: { negative: [{ status: 404, ttl: 60s }] }\n").await;
    for (path, asked) in [("/status/404", 1), ("/status/410", 3)] {
        for _ in 0..3 {
            get(&app, path).await;
        }
        assert_eq!(server.seen(path), asked, "{path}");
    }
    assert_eq!(
        app.metric("levee_cache_requests_total{upstream=\"api\",result=\"negative\"}").await,
        Some(2.0)
    );
}

#[tokio::test]
async fn a_body_over_the_limit_passes_whole_and_is_not_stored() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "cache: { maxObject: 1KiB }\n").await;
    let body = "x".repeat(5000);
    server.script("/announced", [cacheable("max-age=60", &body).into()]);
    let chunks = format!("1f4\r\n{}\r\n", "x".repeat(500)).repeat(10);
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
    server.script("/found-out", [Behaviour::Raw(format!("{head}{chunks}0\r\n\r\n").into())]);
    for path in ["/announced", "/found-out"] {
        for asked in 1..=3 {
            let answer = get(&app, path).await;
            assert_eq!((answer.text() == body, by(&answer).0, server.seen(path)), (true, "upstream", asked));
        }
    }
    server.script("/fits", [cacheable("max-age=60", &body[..1024]).into()]);
    get(&app, "/fits").await;
    assert_hit(&get(&app, "/fits").await);
}

#[tokio::test]
async fn what_lately_could_not_be_stored_is_never_waited_for() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let gate = Gate::closed();
    let answer = || cacheable("private, max-age=60", "");
    server.script("/hot", [answer().into(), held(&gate, answer())]);
    get(&app, "/hot").await;
    let mut callers = Vec::new();
    for _ in 0..30 {
        callers.push(begin(&app, "/hot").await);
    }
    until("all are upstream at once", SOON, async || gate.waiting() == 30).await;
    gate.open();
    for caller in &mut callers {
        assert_eq!(caller.read_answer().await.unwrap().header("cache-status").unwrap(), "levee; fwd=miss");
    }
    server.script("/hot", [cacheable("max-age=60", "").into()]);
    get(&app, "/hot").await;
    assert_hit(&get(&app, "/hot").await);
}

#[tokio::test]
async fn memory_stays_bounded_with_many_large_objects() {
    let server = Misbehaving::start().await;
    let app = levee_before(&server, "").await;
    let mut connection = Connection::open(app.data).await;
    let before = app.resident_memory();
    let body = "x".repeat(1_000_000);
    for number in 0..400 {
        let path = format!("/large/{number}");
        server.script(&path, [cacheable("max-age=3600", &body).into()]);
        let request = client::request(&format!("/proxy/api{path}"));
        assert_eq!(connection.send(request).await.unwrap().body.len(), body.len());
        server.script(&path, [Behaviour::Hang]);
    }
    let kept = app.metric("levee_cache_bytes").await.unwrap();
    assert!(kept <= MOST_CACHED && kept > MOST_CACHED / 4.0, "{kept} bytes kept");
    let grown = app.resident_memory() - before;
    assert!(grown < 256 * 1024 * 1024, "grown by {grown} bytes for 400 MB that came by");
}
