//! Documents as their authors write them, and what they are told.

use super::*;
use crate::models::fault::Fault;

mod access;
mod blocks;
mod credentials;
mod defaults;
mod examples;
mod files;
mod operations;
mod quota;
mod together;
mod urls;

/// A document around the fields of `spec`; `spec:` stands on line 4.
fn document(spec: &str) -> String {
    let envelope = "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: { name: rates }\nspec:";
    let lines: Vec<String> = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("{envelope}\n{}", lines.concat())
}

fn read(text: &str, rules: &Rules) -> (Vec<Upstream>, Vec<Fault>) {
    let mut faults = Vec::new();
    let upstreams = read_documents("f.yaml", text, rules, &mut faults);
    for upstream in &upstreams {
        schema::tests::passes_both(&upstream.spec);
    }
    (upstreams, faults)
}

/// What is said of a spec with a good url and these further fields, without the file's name and `spec.`;
/// line 1 is the first of `fields`.
fn said(fields: &str) -> Vec<String> {
    let (_, faults) = read(&document(&format!("url: https://api.example.com\n{fields}")), &Rules::default());
    let line = |fault: &Fault| format!("{}: {}: {}", fault.line - 5, fault.field, fault.reason);
    faults.iter().map(|fault| line(fault).replace(": spec.", ": ")).collect()
}

/// Checks that each spec fragment is refused with exactly one fault.
#[track_caller]
fn each_is_refused(cases: &[(&str, &str)]) {
    for (fields, expected) in cases {
        assert_eq!(said(fields), [*expected], "{fields}");
    }
}

/// Checks that each spec fragment is accepted.
#[track_caller]
fn each_is_accepted(cases: &[&str]) {
    for fields in cases {
        assert_eq!(said(fields), [""; 0], "{fields}");
    }
}

/// The one upstream that a spec with a good url and these fields describes.
#[track_caller]
fn good(fields: &str) -> Upstream {
    let (mut upstreams, faults) =
        read(&document(&format!("url: https://api.example.com\n{fields}")), &Rules::default());
    assert_eq!(faults, []);
    upstreams.remove(0)
}
