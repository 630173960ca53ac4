//! `levee serve`: production.

use std::process::ExitCode;

use crate::app::{App, StartError};
use crate::config::source::misspelt_variables;
use crate::config::{Mode, Settings};
use crate::services::upstreams::Source;
use crate::telemetry::logs;

use super::{SettingArguments, refused};

/// Runs until stopped.
pub(super) fn run(arguments: &SettingArguments) -> ExitCode {
    let mut faults = Vec::new();
    let settings = arguments.resolve(Mode::Serve).map_err(|found| faults.extend(found)).ok();
    if let Some(settings) = &settings {
        faults.extend(missing(settings));
    }
    let Some(settings) = settings.filter(|_| faults.is_empty()) else { return refused(&faults) };
    let source = settings.upstreams.clone().map_or(Source::Nothing, Source::Path);
    run_app(settings, source, async || Ok(()), |_, ()| ())
}

/// What production cannot do without.
fn missing(settings: &Settings) -> Vec<String> {
    let mut missing = Vec::new();
    if settings.database_url.is_none() {
        missing.push(
            "LEVEE_DATABASE_URL: must be given, as sqlite://… for one process or as postgres://…".to_owned(),
        );
    }
    if settings.secret_keys.is_none() {
        missing.push(
            "LEVEE_SECRET_KEYS: must be given: a name, a colon and 32 random bytes in base64, for example \
             `k1:` and the output of `openssl rand -base64 32`. Keep it: without it stored credentials are lost"
                .to_owned(),
        );
    }
    missing
}

/// Starts the app, calls `ready` with it, and runs it until a signal. The exit code is the contract's. What `beside`
/// starts lives as long as the runtime.
pub(super) fn run_app<B, T>(
    settings: Settings,
    source: Source,
    beside: B,
    ready: impl FnOnce(&App, T),
) -> ExitCode
where
    B: AsyncFnOnce() -> Result<T, StartError>,
{
    if let Err(error) = logs::start(&settings.log, settings.log_format) {
        return refused(&[error.to_string()]);
    }
    for fault in misspelt_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        tracing::warn!("{fault}");
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refused(&[format!("the runtime cannot start: {error}")]),
    };
    let code = runtime.block_on(async {
        let started = async {
            let mut signals = Signals::new().map_err(StartError::Signals)?;
            let started_beside = beside().await?;
            let app = tokio::select! {
                app = App::start(settings, source) => app?,
                () = signals.next() => return Ok(None),
            };
            Ok(Some((app, started_beside, signals)))
        };
        match started.await {
            Ok(None) => ExitCode::SUCCESS,
            Ok(Some((app, started_beside, signals))) => {
                ready(&app, started_beside);
                until_stopped(app, signals).await
            }
            Err(StartError::Configuration(faults)) => refused(&faults),
            Err(error) => failed(&error),
        }
    });
    // A blocking look at files or a resolver that hangs must not keep the process from ending.
    runtime.shutdown_background();
    code
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    tracing::error!(%error, "cannot start");
    ExitCode::FAILURE
}

/// The signals that stop a process.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}

/// The first signal drains, a second one aborts.
async fn until_stopped(app: App, mut signals: Signals) -> ExitCode {
    signals.next().await;
    tokio::select! {
        biased;
        () = app.stop() => ExitCode::SUCCESS,
        () = signals.next() => {
            tracing::warn!("second signal: aborting");
            ExitCode::FAILURE
        }
    }
}
