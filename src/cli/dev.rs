//! `levee dev`: everything embedded on this machine, and a misbehaving upstream to try it on.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, StartError};
use crate::config::Mode;
use crate::services::upstreams::Source;

use super::{SettingArguments, refused, serve};

/// What lies under `.levee`.
mod embedded;
/// The misbehaving upstream.
pub(crate) mod flaky;

use flaky::Flaky;

/// Where the examples lie in a clone.
const EXAMPLES: &str = "examples/upstreams.yaml";

/// The same, for a binary that runs elsewhere.
const BUILT_IN_EXAMPLES: &str = include_str!("../../examples/upstreams.yaml");

/// What `dev` can be told.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingArguments,
    /// The built-in misbehaving upstream; the example upstream `flaky` expects the default
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9099")]
    flaky_listen: SocketAddr,
}

/// Runs until stopped.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let embedded = arguments.settings.resolve(Mode::Dev).and_then(embedded::complete);
    let (settings, admin) = match embedded {
        Ok(complete) => complete,
        Err(faults) => return refused(&faults),
    };
    let source = match &settings.upstreams {
        Some(path) => Source::Path(path.clone()),
        None if Path::new(EXAMPLES).exists() => Source::Path(EXAMPLES.into()),
        None => Source::Text { name: "the built-in examples/upstreams.yaml", text: BUILT_IN_EXAMPLES },
    };
    let address = arguments.flaky_listen;
    // It ends with the process: a drain must find its upstream alive.
    let (tasks, forever) = (TaskTracker::new(), CancellationToken::new());
    let flaky = async || {
        let bound = Flaky::bind(address, &tasks, forever.clone()).await;
        bound.map_err(|source| StartError::Bind { setting: "--flaky-listen", address, source })
    };
    serve::run_app(settings, source, flaky, |app, flaky| print_tour(app, flaky.local_addr(), &admin))
}

#[expect(clippy::print_stdout, reason = "the tour is for the person who started it")]
fn print_tour(app: &App, flaky: SocketAddr, admin: &embedded::Admin) {
    let (data, api, ops) = (app.data_address(), app.api_address(), app.ops_address());
    let (email, password) = (embedded::ADMIN, admin.password_file.display());
    println!(
        "
levee dev is ready.

  calls        http://{data}/proxy/{{upstream}}/…     (anonymous, from this machine only)
  control      http://{api}/api/v1/…        http://{api}/docs        sign in as {email}, password in {password}
  operations   http://{ops}/metrics        http://{ops}/status
  flaky        http://{flaky}/_flaky       the built-in upstream that misbehaves when told to

Watch a breaker trip and recover:

  curl -i http://{data}/proxy/flaky/hello
  curl -X POST 'http://{flaky}/_flaky?mode=error'
  for i in $(seq 8); do curl -s -o /dev/null -D - http://{data}/proxy/flaky/hello | grep -iE '^HTTP|^levee|status:'; done
  curl -s http://{api}/api/v1/breakers/flaky
  curl -X POST 'http://{flaky}/_flaky?mode=ok'
"
    );
}
