//! Files over the API, and one bad document among good ones.

use serde_json::json;
use time::OffsetDateTime;

use super::*;

fn stored(name: &str, revision: u64, spec: Value) -> Registration {
    let at = OffsetDateTime::UNIX_EPOCH;
    Registration { name: name.into(), spec, revision, created: at, updated: at, updated_by: "x".into() }
}

fn plain() -> Value {
    json!({ "url": "https://api.example.com" })
}

fn falling_back_to(name: &str) -> Value {
    json!({ "url": "https://api.example.com", "fallback": [{ "upstream": { "name": name } }] })
}

fn file(name: &str) -> Upstream {
    let origin = "upstreams.yaml:7".to_owned();
    Upstream { origin, ..document::read_given(name, &plain(), &Rules::default()).unwrap() }
}

fn merged(files: &[Upstream], stored: &[Registration]) -> Merged {
    Merged::of(&Resources::default(), files, stored, &mut Documents::default(), &Rules::default())
}

fn in_force(merged: &Merged) -> Vec<&str> {
    merged.in_force().map(|upstream| upstream.name.as_str()).collect()
}

#[test]
fn a_file_hides_the_api_and_keeps_what_it_hides() {
    let merged =
        merged(&[file("rates")], &[stored("rates", 3, falling_back_to("nobody")), stored("b", 4, plain())]);
    assert_eq!(in_force(&merged), ["b", "rates"]);
    let entry = &merged.entries["rates"];
    assert_eq!((entry.source, entry.faults.len()), (Source::File, 0));
    assert_eq!(entry.registration.as_ref().unwrap().revision, 3);
}

#[test]
fn a_document_that_cannot_be_read_takes_nothing_else_down() {
    let merged =
        merged(&[], &[stored("a", 1, json!({ "url": 1, "urk": 2 })), stored("b", 2, falling_back_to("a"))]);
    assert_eq!(in_force(&merged), ["b"]);
    let pointers: Vec<_> = merged.entries["a"].faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/spec/url", "/spec/urk"]);
    assert!(merged.entries["a"].upstream.is_none());
}

#[test]
fn a_fallback_to_nobody_is_told_and_stays_in_force_and_a_circle_does_not() {
    let merged = merged(
        &[],
        &[
            stored("a", 1, falling_back_to("b")),
            stored("b", 2, falling_back_to("a")),
            stored("c", 3, falling_back_to("gone")),
        ],
    );
    assert_eq!(in_force(&merged).len(), 2);
    assert!(in_force(&merged).contains(&"c"));
    assert_eq!(merged.entries["c"].faults[0].pointer, "/spec/fallback/0/upstream/name");
}

#[test]
fn a_new_document_is_held_against_all_others() {
    let merged = merged(&[file("f")], &[stored("a", 1, falling_back_to("b")), stored("b", 2, plain())]);
    let rules = Rules::default();
    let pointers = |name: &str, spec: Value| -> Vec<String> {
        let faults = merged.judge(name, &spec, &rules).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.pointer).collect()
    };
    assert_eq!(pointers("c", falling_back_to("f")), [""; 0]);
    assert_eq!(pointers("c", falling_back_to("nobody")), ["/spec/fallback/0/upstream/name"]);
    assert_eq!(pointers("b", falling_back_to("a")).len(), 1, "a circle");
    assert_eq!(pointers("a", falling_back_to("a")).len(), 1, "a circle of one");
    assert_eq!(merged.leaning_on("b"), ["a"]);
    assert_eq!(merged.leaning_on("a"), [""; 0]);
}

#[test]
fn a_document_is_read_once_for_each_revision() {
    let mut documents = Documents::default();
    let rules = Rules::default();
    let mut of =
        |stored: &[Registration]| Merged::of(&Resources::default(), &[], stored, &mut documents, &rules);
    of(&[stored("a", 1, plain())]);
    let kept = of(&[stored("a", 1, json!({}))]);
    assert!(kept.entries["a"].in_force, "the same revision is the same document");
    let next = of(&[stored("a", 2, json!({}))]);
    assert!(!next.entries["a"].in_force);
    of(&[]);
    assert!(documents.0.is_empty());
}
