//! Tests of the ops port over real sockets.

use std::sync::mpsc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn sources() -> Sources {
    Sources {
        metrics: Box::new(|format| format!("# {format:?}\n")),
        status: Box::new(|| json!({ "version": "0.1.0", "snapshot": { "revision": 7 } })),
    }
}

fn port(health: &Arc<Health>, sources: Sources) -> OpsPort {
    start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(health), sources).unwrap()
}

async fn send(port: &OpsPort, request: &str) -> String {
    let mut stream = TcpStream::connect(port.local_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(port: &OpsPort, path: &str) -> (u16, String) {
    let answer = send(port, &format!("GET {path} HTTP/1.1\r\nhost: ops\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn readiness_follows_the_first_snapshot_and_the_drain() {
    let health = Health::new(Health::LIMIT);
    let port = port(&health, sources());
    assert_eq!(get(&port, "/startupz").await.0, 503);
    health.set_started();
    assert_eq!(get(&port, "/startupz").await, (200, "ok\n".to_owned()));
    let early = (503, "the first snapshot is not compiled yet\n".to_owned());
    assert_eq!(get(&port, "/readyz").await, early);
    health.set_ready();
    let verbose = (200, "[+] snapshot: ok\n[+] drain: ok\nok\n".to_owned());
    assert_eq!(get(&port, "/readyz?verbose").await, verbose);
    health.set_draining();
    let leaving = (503, "[+] snapshot: ok\n[-] drain: draining\ndraining\n".to_owned());
    assert_eq!(get(&port, "/readyz?verbose=1").await, leaving);
    assert_eq!(get(&port, "/livez").await.0, 200);
}

#[tokio::test]
async fn liveness_fails_when_the_heart_stops_and_comes_back_with_it() {
    let health = Health::new(Duration::from_millis(30));
    let port = port(&health, sources());
    let stopped = loop {
        let (status, body) = get(&port, "/livez").await;
        if status != 200 {
            break (status, body);
        }
    };
    assert_eq!(stopped.0, 503);
    assert!(stopped.1.starts_with("the main runtime has been silent for 0.0 s"), "{}", stopped.1);
    loop {
        health.beat();
        if get(&port, "/livez").await.0 == 200 {
            break;
        }
    }
}

#[test]
fn a_wedged_main_runtime_leaves_the_port_answering() {
    let health = Health::new(Duration::from_millis(1));
    let port = port(&health, sources());
    let (release, wedge) = mpsc::channel::<()>();
    let main = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let wedged = main.spawn(async move { wedge.recv() });
    let outside = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    outside.block_on(async { while get(&port, "/livez").await.0 != 503 {} });
    release.send(()).unwrap();
    main.block_on(wedged).unwrap().unwrap();
}

#[tokio::test]
async fn status_puts_the_phase_before_what_the_process_says() {
    let health = Health::new(Health::LIMIT);
    let port = port(&health, sources());
    let (status, body) = get(&port, "/status").await;
    assert_eq!(status, 200);
    let expected =
        "{\"phase\":\"starting\",\"live\":true,\"version\":\"0.1.0\",\"snapshot\":{\"revision\":7}}\n";
    assert_eq!(body, expected);
}

#[tokio::test]
async fn metrics_come_in_the_format_asked_for() {
    let health = Health::new(Health::LIMIT);
    let port = port(&health, sources());
    assert_eq!(get(&port, "/metrics").await, (200, "# Prometheus\n".to_owned()));
    let request = "GET /metrics HTTP/1.1\r\nhost: ops\r\naccept: application/openmetrics-text\r\n\r\n";
    let answer = send(&port, request).await;
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.ends_with("# OpenMetrics\n"));
}

#[tokio::test]
async fn a_source_that_hangs_or_panics_does_not_silence_the_probes() {
    let (_keep, hang) = mpsc::channel::<()>();
    let hang = parking_lot::Mutex::new(hang);
    let hanging = Sources {
        metrics: Box::new(move |_| hang.lock().recv().map_or_else(|_| String::new(), |()| String::new())),
        status: Box::new(|| panic!("a fault of the test's own")),
    };
    let health = Health::new(Health::LIMIT);
    let port = port(&health, hanging);
    let mut scrape = TcpStream::connect(port.local_addr()).await.unwrap();
    scrape.write_all(b"GET /metrics HTTP/1.1\r\nhost: ops\r\n\r\n").await.unwrap();
    assert_eq!(get(&port, "/status").await.0, 500);
    assert_eq!(get(&port, "/livez").await.0, 200);
    port.close().await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let health = Health::new(Health::LIMIT);
    let port = port(&health, sources());
    assert_eq!(get(&port, "/").await.0, 404);
    assert_eq!(get(&port, "/metrics/").await.0, 404);
    let answer = send(&port, "POST /livez HTTP/1.1\r\nhost: ops\r\ncontent-length: 0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD"), "{answer}");
    let answer = send(&port, "HEAD /livez HTTP/1.1\r\nhost: ops\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn garbage_and_endless_headers_do_no_harm() {
    let health = Health::new(Health::LIMIT);
    let port = port(&health, sources());
    for nonsense in ["\u{16}\u{3}\u{1} no HTTP at all\r\n\r\n".to_owned(), "x".repeat(1024 * 1024)] {
        let mut stream = TcpStream::connect(port.local_addr()).await.unwrap();
        // The port may hang up before it has read everything.
        let _written = stream.write_all(nonsense.as_bytes()).await;
        let mut answer = Vec::new();
        let _read = stream.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    }
    assert_eq!(get(&port, "/livez").await.0, 200);
}

#[tokio::test]
async fn a_closed_port_refuses_connections() {
    let health = Health::new(Health::LIMIT);
    let port = port(&health, sources());
    let address = port.local_addr();
    port.close().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_an_error_at_the_start() {
    let health = Health::new(Health::LIMIT);
    let port = port(&health, sources());
    let again = start(port.local_addr(), health, sources());
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
}
