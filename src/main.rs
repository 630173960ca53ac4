//! Parses arguments, runs one command, sets the exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    levee::cli::run(std::env::args_os())
}
