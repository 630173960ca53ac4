//! Large files, ranges and validators, against nginx.

use http_body_util::BodyExt as _;

use super::{get_with, upstream, with_headers};
use crate::support::client::{self, Connection};
use crate::support::levee::TestApp;
use crate::support::nginx::{LARGE, SMALL, large_byte, nginx};

const MIB: u64 = 1024 * 1024;

async fn before_nginx(spec: &[&str]) -> TestApp {
    TestApp::start(upstream("files", &format!("http://{}", nginx().await.http), spec)).await
}

/// Compares a body with the file's bytes from `offset` on; returns where it ended and the most memory seen.
async fn compare(app: &TestApp, body: &mut hyper::body::Incoming, mut offset: usize) -> (usize, u64) {
    let (mut most, mut next_look) = (0, 0);
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        let same = data.iter().enumerate().all(|(index, byte)| *byte == large_byte(offset + index));
        assert!(same, "other bytes after {offset}");
        offset += data.len();
        if offset >= next_look {
            most = most.max(app.resident_memory());
            next_look = offset + MIB as usize;
        }
    }
    (offset, most)
}

#[tokio::test]
async fn sixty_four_mebibytes_arrive_intact_in_little_memory() {
    let app = before_nginx(&[]).await;
    assert_eq!(app.get("/proxy/files/small.txt").await.text(), SMALL);
    let before = app.resident_memory();
    for mut connection in [Connection::open(app.data).await, Connection::open_h2c(app.data).await] {
        let answer = connection.begin(client::request("/proxy/files/large.bin")).await.unwrap();
        assert_eq!(answer.headers()["content-length"], LARGE.to_string().as_str());
        let (length, most) = compare(&app, &mut answer.into_body(), 0).await;
        assert_eq!(length, LARGE);
        let grown = most.saturating_sub(before) / MIB;
        assert!(grown < 24, "{grown} MiB more for passing 64 MiB on");
    }
}

#[tokio::test]
async fn callers_who_do_not_read_hold_the_upstream_back_instead_of_filling_memory() {
    let app = before_nginx(&[]).await;
    assert_eq!(app.get("/proxy/files/small.txt").await.text(), SMALL);
    let before = app.resident_memory();
    let mut idle = Vec::new();
    for number in 0..10 {
        let mut connection = Connection::open(app.data).await;
        let request = client::request(&format!("/proxy/files/large.bin?{number}"));
        idle.push((connection.begin(request).await.unwrap(), connection));
    }
    // One who reads shows that there was time enough to read all of them.
    let mut reader = Connection::open(app.data).await;
    let answer = reader.begin(client::request("/proxy/files/large.bin")).await.unwrap();
    assert_eq!(compare(&app, &mut answer.into_body(), 0).await.0, LARGE);
    let grown = app.resident_memory().saturating_sub(before) / MIB;
    assert!(grown < 64, "{grown} MiB for ten callers who read nothing");
    let (answer, _connection) = idle.pop().unwrap();
    assert_eq!(compare(&app, &mut answer.into_body(), 0).await.0, LARGE);
}

#[tokio::test]
async fn a_slow_download_comes_as_it_can() {
    let app = before_nginx(&["timeout: { total: 2s }"]).await;
    let mut connection = Connection::open(app.data).await;
    let answer = connection.begin(client::request("/proxy/files/slow/large.bin")).await.unwrap();
    let mut body = answer.into_body();
    let (began, mut length) = (std::time::Instant::now(), 0);
    // 640 KiB at 256 KiB/s take longer than `timeout.total`, which ends with the headers.
    while length < 640 * 1024 {
        length += body.frame().await.expect("more is to come").unwrap().into_data().unwrap().len();
    }
    assert!(began.elapsed() > std::time::Duration::from_secs(1), "nginx did not trickle");
}

#[tokio::test]
async fn ranges_are_the_upstreams_to_cut() {
    let app = before_nginx(&[]).await;
    for round in ["cold", "warm"] {
        let part = get_with(&app, "/proxy/files/small.txt", &[("range", "bytes=2-6")]).await;
        assert_eq!((part.status.as_u16(), part.text()), (206, "small"), "{round}");
        assert_eq!(part.header("content-range"), format!("bytes 2-6/{}", SMALL.len()), "{round}");
        let beyond = get_with(&app, "/proxy/files/small.txt", &[("range", "bytes=900-")]).await;
        assert_eq!(beyond.status, 416, "{round}");
        assert_eq!(beyond.header("content-range"), format!("bytes */{}", SMALL.len()), "{round}");
        assert_eq!(app.get("/proxy/files/small.txt").await.text(), SMALL, "{round}");
    }
    let middle = LARGE / 2;
    let range = format!("bytes={middle}-{}", middle + 9_999);
    let part = get_with(&app, "/proxy/files/large.bin", &[("range", &range)]).await;
    assert_eq!((part.status.as_u16(), part.body.len()), (206, 10_000));
    assert!(part.body.iter().enumerate().all(|(index, byte)| *byte == large_byte(middle + index)));
}

#[tokio::test]
async fn a_part_is_never_taken_for_the_whole() {
    let app = before_nginx(&[]).await;
    for _ in 0..2 {
        let part = get_with(&app, "/proxy/files/small.txt", &[("range", "bytes=0-0")]).await;
        assert_eq!((part.status.as_u16(), part.text()), (206, "a"));
    }
    let whole = app.get("/proxy/files/small.txt").await;
    assert_eq!((whole.status.as_u16(), whole.text()), (200, SMALL));
}

/// Judged by nginx where nothing is stored, and by Levee where it is: the caller sees no difference.
#[tokio::test]
async fn conditions_are_judged_wherever_the_answer_is() {
    for spec in [&["cache: { mode: off }"][..], &[]] {
        let app = before_nginx(spec).await;
        let whole = app.get("/proxy/files/small.txt").await;
        let (tag, date) = (whole.header("etag").to_owned(), whole.header("last-modified").to_owned());
        assert!(!tag.is_empty() && !date.is_empty());
        for (name, value, status) in [
            ("if-none-match", tag.as_str(), 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "\"other\"", 200),
            ("if-modified-since", date.as_str(), 304),
            ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
            ("if-match", "\"other\"", 412),
        ] {
            let answer = get_with(&app, "/proxy/files/small.txt", &[(name, value)]).await;
            assert_eq!(answer.status.as_u16(), status, "{name}: {value} with {spec:?}");
            if status == 304 {
                assert_eq!(answer.header("etag"), tag, "{name}: {value} with {spec:?}");
                assert!(answer.body.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn the_upstream_is_asked_under_its_own_host_and_its_redirects_lead_back() {
    let app = before_nginx(&[]).await;
    assert_eq!(app.get("/proxy/files/host").await.text(), nginx().await.http.to_string());
    let moved = app.get("/proxy/files/moved").await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (302, "/proxy/files/small.txt"));
    assert_eq!(app.get("/proxy/files/protocol").await.text(), "HTTP/1.1 http");
}

#[tokio::test]
async fn a_head_request_says_how_large_the_file_is_and_sends_none_of_it() {
    let app = before_nginx(&[]).await;
    for _ in 0..2 {
        let mut request = with_headers("/proxy/files/large.bin", &[]);
        *request.method_mut() = http::Method::HEAD;
        let head = client::send(app.data, request).await.unwrap();
        assert_eq!((head.status.as_u16(), head.header("content-length")), (200, &*LARGE.to_string()));
        assert!(head.body.is_empty());
    }
}
