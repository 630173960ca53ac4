//! `levee healthcheck`: asks a probe of the ops port, for container health checks and `helm test`.

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What is asked when nothing else is said.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:9464/readyz";

const LIMIT: Duration = Duration::from_secs(3);
/// More than any probe says, bytes.
const BODY_LIMIT: usize = 4096;

/// Exit 0 when ready, 1 with the reason when not.
#[expect(clippy::print_stderr, reason = "the reason is for whoever reads the container's events")]
pub(super) fn run(url: &str) -> ExitCode {
    let asked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(healthcheck(url)));
    match asked {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("levee: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Fine when `url` answers 200 within 3 s; otherwise what was wrong, in one line. Only `http://` is spoken.
async fn healthcheck(url: &str) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http"));
    let host = host.ok_or_else(|| format!("{url}: not an http:// URL"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = (host, uri.port_u16().unwrap_or(80));
    match timeout(LIMIT, ask(address, &uri)).await {
        Ok(Ok((StatusCode::OK, _))) => Ok(()),
        Ok(Ok((status, body))) => Err(format!("{url}: {status}: {}", body.trim().replace('\n', "; "))),
        Ok(Err(error)) => Err(format!("{url}: {error}")),
        Err(_) => Err(format!("{url}: no answer within {} s", LIMIT.as_secs())),
    }
}

async fn ask(address: (&str, u16), uri: &Uri) -> Result<(StatusCode, String), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(target).header(HOST, authority).body(Empty::<Bytes>::new())?;
    // The sender goes with the exchange, which lets the connection end.
    let exchange = async move { read(sender.send_request(request).await?).await };
    let (answer, _closed) = tokio::join!(exchange, connection);
    answer
}

async fn read(
    response: http::Response<Incoming>,
) -> Result<(StatusCode, String), Box<dyn std::error::Error>> {
    let status = response.status();
    let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;
    use crate::server::ops::{self, Health, OpsPort, Sources};

    fn ops_port(health: &std::sync::Arc<Health>) -> OpsPort {
        let sources = Sources { metrics: Box::new(|_| String::new()), status: Box::new(|| json!({})) };
        ops::start(SocketAddr::from(([127, 0, 0, 1], 0)), health.clone(), sources).unwrap()
    }

    #[tokio::test]
    async fn a_ready_process_is_healthy_and_a_draining_one_says_why_not() {
        let health = Health::new(Health::LIMIT);
        let port = ops_port(&health);
        let url = format!("http://{}/readyz", port.local_addr());
        health.set_ready();
        healthcheck(&url).await.unwrap();
        health.set_draining();
        let reason = healthcheck(&url).await.unwrap_err();
        assert_eq!(reason, format!("{url}: 503 Service Unavailable: draining"));
        port.close().await;
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_unhealthy() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let reason = healthcheck(&format!("http://{gone}/readyz")).await.unwrap_err();
        assert!(reason.contains("refused"), "{reason}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reason = healthcheck(&format!("http://{}/", silent.local_addr().unwrap())).await.unwrap_err();
        assert!(reason.ends_with("no answer within 3 s"), "{reason}");
    }

    #[tokio::test]
    async fn what_is_no_http_url_is_refused() {
        for url in ["https://127.0.0.1/readyz", "127.0.0.1:9464", "/readyz", "http://", ""] {
            assert!(healthcheck(url).await.is_err(), "{url:?}");
        }
    }
}
