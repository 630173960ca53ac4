//! `levee crds`: prints the custom resource definitions; needs no cluster and no configuration.

use std::process::ExitCode;

use crate::controller::definition;

/// Prints to standard output.
#[expect(clippy::print_stdout, reason = "printing is what the command is for")]
pub(super) fn run() -> ExitCode {
    print!("{}", definition::to_yaml());
    ExitCode::SUCCESS
}
