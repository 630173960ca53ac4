//! PyPI's httpbin under gunicorn: a real upstream for methods, statuses, streams, delays, compression, redirects.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::process::Process;
use super::until::until;

/// Where httpbin answers. Started once per test process, at the first call.
pub(crate) async fn httpbin() -> SocketAddr {
    static SERVER: OnceCell<(Process, SocketAddr)> = OnceCell::const_new();
    SERVER.get_or_init(start).await.1
}

async fn start() -> (Process, SocketAddr) {
    let mut command = Command::new(gunicorn());
    command
        .args(["--bind", "127.0.0.1:0", "--workers", "1", "--worker-class", "gthread", "--threads", "32"])
        .args(["--keep-alive", "75", "--no-control-socket", "--access-logfile", "-", "httpbin:app"])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut process = Process::start("httpbin", command);
    let address = process.logged(Duration::from_secs(30), listening_address).await;
    until("httpbin accepts", Duration::from_secs(30), async || {
        tokio::net::TcpStream::connect(address).await.is_ok()
    })
    .await;
    (process, address)
}

/// `[…] [INFO] Listening at: http://127.0.0.1:38211 (4242)`
fn listening_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("Listening at: http://")?;
    rest.split(' ').next()?.parse().ok()
}

fn gunicorn() -> PathBuf {
    let gunicorn = venv().join("bin/gunicorn");
    assert!(
        gunicorn.exists(),
        "httpbin is not installed ({} is missing): run `make test` or `tests/setup.sh` once",
        gunicorn.display()
    );
    gunicorn
}

/// The folder `tests/setup.sh` fills.
fn venv() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("LEVEE_TEST_VENV")
        .or_else(|| set("LEVEE_CACHE").map(|cache| cache.join("venv")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/levee/venv")))
        .expect("HOME is set")
}
