//! Debian's nginx as an upstream: HTTP and HTTPS with HTTP/2, large files, ranges, validators, a slow location.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::certificates;
use super::ports::KeptPort;
use super::process::Process;
use super::until::until;
use super::watchdog::Watchdog;

/// Bytes of `/large.bin`.
pub(crate) const LARGE: usize = 64 * 1024 * 1024;
/// What `/small.txt` holds.
pub(crate) const SMALL: &str = "a small file\n";

/// A private nginx.
///
/// `/small.txt` and `/large.bin` (see [`large_byte`]) are static files with `ETag`, `Last-Modified` and ranges;
/// `/slow/large.bin` trickles at 256 KiB/s; `/protocol` says by which HTTP version and scheme it was asked, `/host`
/// which `Host`, `/connection` by which of its connections; `/moved` redirects to an absolute URL under the `Host` it was asked for.
pub(crate) struct Nginx {
    /// Cleartext, HTTP/1.1.
    pub(crate) http: SocketAddr,
    /// TLS, HTTP/1.1 and HTTP/2, for `localhost` and `127.0.0.1`.
    pub(crate) https: SocketAddr,
    /// PEM of the only CA that vouches for it.
    pub(crate) ca: String,
    /// Dropped first: the server goes before its folder.
    _process: Process,
    _folder: TempDir,
    _ports: [KeptPort; 2],
}

/// The nginx of this test process, started at the first call.
pub(crate) async fn nginx() -> &'static Nginx {
    static SERVER: OnceCell<Nginx> = OnceCell::const_new();
    SERVER.get_or_init(Nginx::start).await
}

/// The byte at this offset of `/large.bin`.
pub(crate) fn large_byte(offset: usize) -> u8 {
    (offset.wrapping_mul(2_654_435_761) >> 13) as u8
}

impl Nginx {
    async fn start() -> Self {
        let folder = TempDir::with_prefix("levee-nginx-").unwrap();
        Watchdog::of_this_process().remove(folder.path());
        let ca = certificates::write(folder.path());
        let files = folder.path().join("files");
        fs::create_dir_all(files.join("slow")).unwrap();
        fs::write(files.join("small.txt"), SMALL).unwrap();
        for link in ["large.bin", "slow/large.bin"] {
            std::os::unix::fs::symlink(large_file(), files.join(link)).unwrap();
        }
        let ports = [KeptPort::take(), KeptPort::take()];
        let [http, https] = [ports[0].address, ports[1].address];
        fs::write(folder.path().join("nginx.conf"), configuration(http, https)).unwrap();
        let process = Process::start("nginx", command(folder.path()));
        let nginx = Self { http, https, ca, _process: process, _folder: folder, _ports: ports };
        until("nginx accepts", Duration::from_secs(10), async || {
            TcpStream::connect(http).await.is_ok() && TcpStream::connect(https).await.is_ok()
        })
        .await;
        nginx
    }
}

/// One process (no master), so that it runs as whoever runs the tests and reads their private folder.
fn configuration(http: SocketAddr, https: SocketAddr) -> String {
    format!(
        r#"daemon off;
master_process off;
pid nginx.pid;
lock_file nginx.lock;
error_log stderr info;
worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  default_type application/octet-stream;
  types {{ text/plain txt; }}
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{
    listen {http} reuseport backlog=1024;
    listen {https} ssl http2 reuseport backlog=1024;
    server_name localhost;
    ssl_certificate server.crt;
    ssl_certificate_key server.key;
    root files;
    add_header Cache-Control "max-age=60";
    location = /protocol {{ return 200 "$server_protocol $scheme"; }}
    location = /connection {{ return 200 "$connection"; }}
    location = /host {{ return 200 "$http_host"; }}
    location = /moved {{ return 302 "$scheme://$http_host/small.txt"; }}
    location /slow/ {{ limit_rate 256k; }}
  }}
}}
"#
    )
}

fn command(folder: &Path) -> Command {
    // Debian keeps it where only root's PATH looks.
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').chain(["/usr/sbin"]).map(|place| Path::new(place).join("nginx"));
    let nginx = found.into_iter().find(|file| file.exists());
    let mut command =
        Command::new(nginx.expect("nginx is not installed: run `make test` or `tests/setup.sh` once"));
    command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "stderr"]);
    command
}

/// Written once per build folder and shared by all test processes: 64 MiB each would add up.
fn large_file() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join("large.bin");
    if fs::metadata(&file).is_ok_and(|found| found.len() == LARGE as u64) {
        return file;
    }
    let write = || -> io::Result<()> {
        let fresh = tempfile::NamedTempFile::new_in(folder)?;
        fs::write(fresh.path(), (0..LARGE).map(large_byte).collect::<Vec<_>>())?;
        fresh.persist(&file)?;
        Ok(())
    };
    write().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    file
}
