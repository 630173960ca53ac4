//! The commands of the contract: what they print, and with which code they exit.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::levee::levee;

/// `levee check`.
mod check;
/// `levee dev` and its tour.
mod dev;
/// `levee serve`: what it refuses and what it runs with.
mod serve;
/// `levee openapi` and `levee healthcheck`.
mod small;

const BAD_USAGE: i32 = 64;

/// A folder for the files of one test.
fn folder() -> TempDir {
    TempDir::with_prefix("levee-test-").unwrap()
}

fn write(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
    std::fs::write(path, text).unwrap();
}

/// `levee` with these arguments, in this folder, so that messages name files as a person would.
fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = levee();
    command.args(arguments).current_dir(folder.path());
    command
}

/// Exit code, standard output, standard error.
fn ended(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().expect("it was not killed"), text(&output.stdout), text(&output.stderr))
}

fn run(folder: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    ended(&command(folder, arguments).output().unwrap())
}

fn document(name: &str, spec: &str) -> String {
    format!("apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: {name} }}\nspec:\n{spec}")
}

#[test]
fn what_is_no_command_or_flag_is_bad_usage() {
    let folder = folder();
    for arguments in [
        &[][..],
        &["sreve"],
        &["serve", "--lsten", "127.0.0.1:0"],
        &["dev", "extra"],
        &["check"],
        &["openapi", "--format", "xml"],
        &["healthcheck", "--url"],
        &["dev", "--flaky-listen", "here"],
    ] {
        let (code, out, error) = run(&folder, arguments);
        assert_eq!((code, out.as_str()), (BAD_USAGE, ""), "{arguments:?}");
        assert!(error.contains("Usage:") || error.starts_with("error: "), "{arguments:?}: {error}");
    }
}

#[test]
fn help_is_no_fault() {
    for arguments in [&["--help"][..], &["help"], &["serve", "--help"], &["check", "-h"]] {
        let (code, out, error) = run(&folder(), arguments);
        assert_eq!((code, error.as_str()), (0, ""), "{arguments:?}");
        assert!(out.contains("Usage: levee"), "{out}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let (code, out, _) = run(&folder(), &["--version"]);
    assert_eq!(code, 0);
    let mut words = out.split_whitespace();
    assert_eq!((words.next(), words.next()), (Some("levee"), Some(env!("CARGO_PKG_VERSION"))));
    let revision = words.next().unwrap_or_default().trim_matches(['(', ')']);
    assert!(!revision.is_empty(), "no git revision in {out:?}");
}
