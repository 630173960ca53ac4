//! Tells the program which git revision it is built from.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-env-changed=LEVEE_GIT_REVISION");
    let revision =
        std::env::var("LEVEE_GIT_REVISION").ok().or_else(revision).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=LEVEE_GIT_REVISION={revision}");
}

fn revision() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
