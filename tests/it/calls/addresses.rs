//! Where Levee will not dial: metadata and private addresses, whatever name leads there, and itself.

use std::net::ToSocketAddrs as _;
use std::time::Duration;
use std::{fs, str};

use super::{problem, upstream};
use crate::support::levee::{TestApp, levee};
use crate::support::misbehaving::Misbehaving;
use crate::support::process::Process;
use crate::support::until::until;

const SOON: Duration = Duration::from_secs(10);

fn check(document: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("upstreams.yaml");
    fs::write(&file, document).unwrap();
    let output = levee().arg("check").args(arguments).arg(&file).output().unwrap();
    (output.status.code(), str::from_utf8(&output.stdout).unwrap().to_owned())
}

#[test]
fn a_metadata_or_private_address_is_refused_when_the_document_is_read() {
    for url in [
        "http://169.254.169.254/latest",
        "http://[fd00:ec2::254]",
        "http://100.100.100.200",
        "http://168.63.129.16",
        "http://10.1.2.3",
        "http://192.168.0.1:8080",
        "http://[::1]",
        "http://0.0.0.0",
        "http://[::ffff:10.0.0.1]",
        "http://[64:ff9b::a00:1]",
        "http://2130706433",
        "http://0x7f.1",
        "http://localhost:9090",
        "http://api.localhost",
    ] {
        let (code, said) = check(&upstream("x", &format!("'{url}'"), &[]), &[]);
        assert_eq!(code, Some(1), "{url}: {said}");
        assert!(said.contains("upstreams.yaml:6: spec.url: "), "{url}: {said}");
    }
}

#[test]
fn no_setting_allows_a_metadata_address() {
    for arguments in
        [&["--dev"][..], &["--allowed-cidrs", "10.0.0.0/8"], &["--allowed-cidrs", "169.254.0.0/16"]]
    {
        let (code, said) = check(&upstream("x", "http://169.254.169.254", &[]), arguments);
        assert_ne!(code, Some(0), "{arguments:?}: {said}");
    }
    assert_eq!(check(&upstream("x", "http://10.1.2.3", &[]), &["--allowed-cidrs", "10.0.0.0/8"]).0, Some(0));
    assert_eq!(check(&upstream("x", "http://127.0.0.1", &[]), &["--dev"]).0, Some(0));
}

#[tokio::test]
async fn it_does_not_start_with_an_address_that_may_not_be_called() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("upstreams.yaml");
    fs::write(&file, upstream("x", "http://169.254.169.254", &[])).unwrap();
    let mut command = levee();
    command.args([
        "dev",
        "--listen",
        "127.0.0.1:0",
        "--api-listen",
        "127.0.0.1:0",
        "--ops-listen",
        "127.0.0.1:0",
    ]);
    command.args(["--flaky-listen", "127.0.0.1:0", "--upstreams"]).arg(&file).current_dir(folder.path());
    let mut process = Process::start("levee", command);
    assert_eq!(process.wait_exit(SOON).await.code(), Some(64));
    until("it says why", SOON, async || process.log().iter().any(|line| line.contains("169.254.169.254")))
        .await;
}

#[tokio::test]
async fn a_name_that_leads_to_a_forbidden_address_is_not_dialled() {
    let server = Misbehaving::start().await;
    let port = server.address.port();
    // This machine's own name: the one name besides localhost that leads to a private address without a network.
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_lowercase();
    let leads_to = (&*name, port).to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    let (kind, error) = if leads_to.is_empty() {
        ("upstream-unreachable", "dns_error")
    } else {
        ("destination-refused", "destination_ip_prohibited")
    };
    let by_name = format!("http://{name}:{port}");
    // A range for documentation, so that no machine has an address in it.
    let spec = "network: { allowCidrs: [203.0.113.0/24] }";
    let ceiling =
        TestApp::with(upstream("shaky", &by_name, &[])).env("LEVEE_ALLOWED_CIDRS", "203.0.113.0/24");
    let narrowing = TestApp::with(upstream("shaky", &by_name, &[spec])).env(
        "LEVEE_ALLOWED_CIDRS",
        "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,203.0.113.0/24",
    );
    for setup in [ceiling, narrowing] {
        let app = setup.start().await;
        let answer = app.get("/proxy/shaky/ok").await;
        assert_eq!(problem(&answer), (502, kind.to_owned()), "{leads_to:?}");
        assert_eq!(answer.header("proxy-status"), format!("levee; error={error}; next-hop=\"shaky\""));
        for address in &leads_to {
            let address = address.ip().to_string();
            assert!(!answer.text().contains(&address), "the address is nobody's business: {}", answer.text());
        }
        assert_eq!(server.connections_accepted(), 0);
    }
    let by_name = format!("http://localhost:{port}");
    let app = TestApp::start(upstream("shaky", &by_name, &[])).await;
    assert_eq!(app.get("/proxy/shaky/ok").await.status, 200);
}

#[tokio::test]
async fn levee_does_not_call_itself() {
    let app = TestApp::start("").await;
    let own = [("data", app.data), ("api", app.api), ("ops", app.ops)];
    let documents: String =
        own.iter().map(|(name, address)| upstream(name, &format!("http://{address}"), &[])).collect();
    app.rewrite_upstreams(&documents);
    until("the edit is in force", SOON, async || app.get("/proxy/ops/livez").await.status != 404).await;
    for path in ["/proxy/data/proxy/ops/livez", "/proxy/api/openapi.json", "/proxy/ops/livez"] {
        let answer = app.get(path).await;
        assert_eq!(problem(&answer), (502, "destination-refused".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn proxies_in_the_environment_are_ignored() {
    let (server, proxy) = (Misbehaving::start().await, Misbehaving::start().await);
    let mut setup = TestApp::with(upstream("shaky", &server.url(), &[]));
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"] {
        setup = setup.env(name, proxy.url());
    }
    let app = setup.start().await;
    assert_eq!(app.get("/proxy/shaky/ok").await.status, 200);
    assert_eq!((server.seen("/ok"), proxy.connections_accepted()), (1, 0));
}
