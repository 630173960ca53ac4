//! `levee check FILE…`: says what `serve` would say of upstream files, without starting anything.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::source::{Given, Setting};
use crate::config::{Mode, Settings};
use crate::models::policy::Upstream;
use crate::services::upstreams;

use super::{refused, resolve, settings_file};

/// What to check, and as whom.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Upstream files or folders; those named together are checked together
    #[arg(value_name = "FILE", required_unless_present = "config")]
    files: Vec<PathBuf>,
    /// Judge as `levee dev` would: loopback addresses are allowed
    #[arg(long)]
    dev: bool,
    /// Private address ranges upstreams may resolve to, as for `serve`
    #[arg(long, env = "LEVEE_ALLOWED_CIDRS", value_name = "CIDR,…")]
    allowed_cidrs: Option<String>,
    /// Check a levee.yaml too, and take the address ranges from it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Exit 0 when all is well, 1 with a line for every fault, 64 when the settings themselves are wrong.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let settings = match settings(arguments) {
        Ok(settings) => settings,
        Err(faults) if arguments.config.is_some() => return report(&faults),
        Err(faults) => return refused(&faults),
    };
    match upstreams::read_paths(&arguments.files, &settings.rules()) {
        Ok(upstreams) => {
            mention_closed(&upstreams);
            ExitCode::SUCCESS
        }
        Err(faults) => report(&faults.iter().map(ToString::to_string).collect::<Vec<_>>()),
    }
}

/// No fault, but seldom meant: an upstream that nobody may call.
#[expect(clippy::print_stderr, reason = "the findings are the command's output; this one is no fault")]
fn mention_closed(upstreams: &[Upstream]) {
    for upstream in upstreams.iter().filter(|upstream| upstream.access.allow.is_empty()) {
        let (origin, name) = (&upstream.origin, &upstream.name);
        eprintln!("{origin}: spec.access.allow: note: names nobody, so nobody may call `{name}`");
    }
}

fn settings(arguments: &Arguments) -> Result<Settings, Vec<String>> {
    let mut given = Given::default();
    let file = arguments.config.as_ref();
    let faults = file.map_or_else(Vec::new, |file| settings_file::read(file, &mut given));
    if let Some(ranges) = arguments.allowed_cidrs.as_deref().filter(|ranges| !ranges.is_empty()) {
        given.add(Setting::AllowedCidrs, ranges, "LEVEE_ALLOWED_CIDRS (or its flag)");
    }
    resolve(if arguments.dev { Mode::Dev } else { Mode::Serve }, &given, faults)
}

#[expect(clippy::print_stdout, reason = "the findings are the command's output")]
fn report(faults: &[String]) -> ExitCode {
    for fault in faults {
        println!("{fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
