//! What of a call reaches the upstream: the target as it was sent, the caller's own headers, and nothing of the hop.

use super::{before_shaky, upstream};
use crate::support::client::{Connection, exchange, request};
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Misbehaving, Reply};
use crate::support::wire::Message;

fn header_names(message: &Message) -> Vec<String> {
    let head = String::from_utf8_lossy(&message.head).into_owned();
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut names: Vec<_> = fields.map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_target_is_forwarded_byte_by_byte() {
    let (app, server) = before_shaky(&[]).await;
    for (path, arrives) in [
        ("/projects/group%2Fname/x", "/projects/group%2Fname/x"),
        ("/a%2fb%252F/%41", "/a%2fb%252F/%41"),
        ("//double//slashes//", "//double//slashes//"),
        ("/a..b/...", "/a..b/..."),
        ("/x;v=1,2/@~!$&'()*+:=", "/x;v=1,2/@~!$&'()*+:="),
        ("/q?next=../..&path=%2e%2e%2f\\&empty=&=", "/q?next=../..&path=%2e%2e%2f\\&empty=&="),
        ("/q?", "/q?"),
        ("/q??x", "/q??x"),
        ("/", "/"),
        ("", "/"),
        ("?x=1", "/?x=1"),
    ] {
        let line = format!("GET /proxy/shaky{path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let answer = exchange(app.data, line).await.unwrap();
        assert_eq!(answer.header("levee-answer").as_deref(), Some("upstream"), "{path}");
        assert_eq!(server.received().last().unwrap().second_word(), arrives, "{path}");
    }
}

#[tokio::test]
async fn the_path_of_the_url_stands_in_front() {
    let server = Misbehaving::start().await;
    let app = TestApp::start(upstream("v2", &format!("{}/api/v2", server.url()), &[])).await;
    for (path, arrives) in [("/x?y", "/api/v2/x?y"), ("", "/api/v2"), ("/", "/api/v2/"), ("?y", "/api/v2?y")]
    {
        app.get(&format!("/proxy/v2{path}")).await;
        assert_eq!(server.received().last().unwrap().second_word(), arrives, "{path}");
    }
}

#[tokio::test]
async fn of_the_callers_headers_only_its_own_travel() {
    let (app, server) = before_shaky(&[]).await;
    let head = "GET /proxy/shaky/ok HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, X-Nominated\r\n\
        Keep-Alive: timeout=5\r\nX-Nominated: 1\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\n\
        Proxy-Authorization: Basic eDp5\r\nX-Real-IP: 10.0.0.1\r\nLevee-Timeout: 5s\r\nLevee-Priority: high\r\n\
        Levee-Answer: cache\r\nUser-Agent: own/1\r\nAccept-Encoding: br\r\nAuthorization: Bearer theirs\r\n\
        X-Own: 1\r\nx-own: 2\r\nCookie: a=b\r\n\r\n";
    exchange(app.data, head).await.unwrap();
    let sent = &server.received()[0];
    let own = ["accept-encoding", "authorization", "cookie", "host", "levee-attempt", "user-agent", "via"];
    assert_eq!(header_names(sent), [&own[..], &["x-own", "x-own"]].concat());
    assert_eq!(sent.headers("x-own"), ["1", "2"]);
    assert_eq!(sent.header("authorization").as_deref(), Some("Bearer theirs"));
    assert_eq!(sent.header("user-agent").as_deref(), Some("own/1"));
    assert_eq!(sent.header("host"), Some(server.address.to_string()));
    assert_eq!(sent.header("levee-attempt").as_deref(), Some("1"));
    assert!(sent.header("via").unwrap().starts_with("1.1 levee-"), "{sent:?}");
}

#[tokio::test]
async fn nothing_is_added_to_what_a_caller_leaves_out() {
    let (app, server) = before_shaky(&["retry: { attempts: 1 }"]).await;
    exchange(app.data, "DELETE /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(header_names(&server.received()[0]), ["host", "via"]);
    exchange(app.data, "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let posted = &server.received()[1];
    assert_eq!(header_names(posted), ["content-length", "host", "via"]);
    assert_eq!(posted.header("content-length").as_deref(), Some("0"));
}

#[tokio::test]
async fn of_the_upstreams_headers_those_of_the_hop_stay_behind() {
    let (app, server) = before_shaky(&[]).await;
    let reply = Reply::ok("x")
        .header("Connection", "X-Hop, close")
        .header("X-Hop", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Authenticate", "Basic")
        .header("Upgrade", "h2c")
        .header("Levee-Answer", "cache")
        .header("Levee-Call-Id", "forged")
        .header("Levee-Secret", "1")
        .header("Server", "theirs")
        .header("X-Own", "1")
        .header("X-Own", "2");
    server.script("/x", [reply.into()]);
    let answer = app.get("/proxy/shaky/x").await;
    for name in ["connection", "x-hop", "keep-alive", "proxy-authenticate", "upgrade", "levee-secret"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    let values =
        |name| answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(values("levee-answer"), ["upstream"]);
    assert_ne!(values("levee-call-id"), ["forged"]);
    assert_eq!((values("server"), values("x-own")), (vec!["theirs"], vec!["1", "2"]));
}

/// What is declared compressed is passed on byte by byte, whether it can be decompressed or not.
#[tokio::test]
async fn bodies_are_opaque() {
    let (app, server) = before_shaky(&[]).await;
    let body: Vec<u8> =
        (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for coding in ["gzip", "br", "zstd", "unheard-of"] {
        let reply = Reply::ok(body.clone()).header("Content-Encoding", coding).header("ETag", "\"1\"");
        server.script("/x", [Behaviour::from(reply)]);
        let answer = Connection::open_h2c(app.data).await.send(request("/proxy/shaky/x")).await.unwrap();
        assert_eq!((answer.header("content-encoding"), answer.header("etag")), (coding, "\"1\""));
        assert!(answer.body == body, "{coding}: other bytes");
    }
}
