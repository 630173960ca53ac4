//! `levee openapi`: prints the document that the API serves; needs no database and no configuration.

use std::process::ExitCode;

use crate::api::document::{self, Format};

use super::DocumentFormat;

/// Prints to standard output.
#[expect(clippy::print_stdout, reason = "printing is what the command is for")]
pub(super) fn run(format: DocumentFormat) -> ExitCode {
    let format = match format {
        DocumentFormat::Yaml => Format::Yaml,
        DocumentFormat::Json => Format::Json,
    };
    print!("{}", document::render(&document::document(), format));
    ExitCode::SUCCESS
}
