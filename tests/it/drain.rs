//! A process that is told to stop loses nothing that it began, and says in time that it leaves.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::client;
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Gate, Misbehaving};
use crate::support::until::until;

/// What ends what does not finish by itself.
mod cutting;
/// HTTP/2 clients are told by GOAWAY.
mod http2;
/// What is under way is finished, whoever waits for it.
mod in_flight;
/// Two replicas behind a balancer, restarted in turn.
mod rolling;
/// Many clients of many kinds at once.
mod under_load;

/// Far more than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Without a cache: every call is a request of its own.
const ALONE: &str = "{ mode: off }";
/// One request for all who ask the same, and its answer is kept.
const SHARED: &str = "{ mode: override, ttl: 60s }";

fn upstream(server: &Misbehaving, cache: &str) -> String {
    format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: quotes }}\nspec:\n  url: {}\n  \
         timeout: {{ total: 60s }}\n  cache: {cache}\n",
        server.url()
    )
}

/// A Levee over one upstream that waits so long before it closes its ports.
async fn started(server: &Misbehaving, drain_delay: &str) -> TestApp {
    TestApp::with(upstream(server, ALONE)).env("LEVEE_DRAIN_DELAY", drain_delay).start().await
}

async fn not_ready(app: &TestApp) {
    until("it is no longer ready", SOON, async || client::get(app.ops, "/readyz").await.status == 503).await;
}

async fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

async fn no_longer_accepting(app: &TestApp) {
    until("it no longer accepts", SOON, async || !accepts(app.data).await && !accepts(app.api).await).await;
}

async fn waiting_at(gate: &Gate, calls: usize) {
    until("the calls are under way", SOON, async || gate.waiting() == calls).await;
}

/// It ends by itself, with exit code 0.
async fn leaves(mut app: TestApp) -> Vec<String> {
    let status = app.wait_exit(SOON).await;
    let log = app.log();
    assert_eq!(status.code(), Some(0), "{status}\n{}", log.join("\n"));
    log
}

fn position(log: &[String], part: &str) -> usize {
    let found = log.iter().position(|line| line.contains(part));
    found.unwrap_or_else(|| panic!("no line with {part:?} in\n{}", log.join("\n")))
}
