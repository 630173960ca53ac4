//! Conditions of callers and of ours.

use super::*;
use crate::cache::fixtures::headers;

const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NEW: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

fn not_modified(request: &[&str], response: &[&str]) -> bool {
    is_not_modified(&headers(request), StatusCode::OK, &headers(response))
}

#[test]
fn entity_tags_are_compared_weakly_in_lists() {
    for list in ["\"a\"", "W/\"a\"", "*", "\"x\", \"a\"", "\"a\",\"x\"", "\"x,\", \"a\", \"y\"", ",, \"a\""] {
        let request = format!("if-none-match: {list}");
        assert!(not_modified(&[&request], &["etag: \"a\""]), "{list}");
        assert!(not_modified(&[&request], &["etag: W/\"a\""]), "{list}");
        assert!(!not_modified(&[&request], &["etag: \"b\""]) || list == "*", "{list}");
    }
    assert!(not_modified(&["if-none-match: \"x\"", "if-none-match: \"a\""], &["etag: \"a\""]));
    assert!(!not_modified(&["if-none-match: \"x\", \"a"], &["etag: \"a\""]));
    assert!(!not_modified(&["if-none-match: \"b,\"a\",\""], &["etag: \"a\""]), "inside another's quotes");
    assert!(!not_modified(&["if-none-match: \"a\""], &[]));
    assert!(!not_modified(&["if-none-match:"], &["etag: \"a\""]));
}

#[test]
fn dates_count_only_without_tags() {
    let (since_old, since_new) = (format!("if-modified-since: {OLD}"), format!("if-modified-since: {NEW}"));
    let (modified_old, modified_new) = (format!("last-modified: {OLD}"), format!("last-modified: {NEW}"));
    assert!(not_modified(&[&since_new], &[&modified_old]));
    assert!(not_modified(&[&since_old], &[&modified_old]));
    assert!(!not_modified(&[&since_old], &[&modified_new]));
    assert!(not_modified(&[&since_old], &[&format!("date: {OLD}")]), "Date stands in for Last-Modified");
    assert!(!not_modified(&["if-modified-since: soon"], &[&modified_old]));
    assert!(!not_modified(&[&since_new, "if-none-match: \"x\""], &[&modified_old, "etag: \"a\""]));
    assert!(not_modified(&[&since_old, "if-none-match: \"a\""], &[&modified_new, "etag: \"a\""]));
}

#[test]
fn only_a_success_can_turn_into_a_304() {
    let (request, response) = (headers(&["if-none-match: *"]), headers(&["etag: \"a\""]));
    assert!(!is_not_modified(&request, StatusCode::NOT_FOUND, &response));
    assert!(!is_not_modified(&request, StatusCode::FOUND, &response));
}

#[test]
fn a_304_confirms_what_has_its_validator() {
    let confirmed = |stored: &[&str], answer: &[&str]| confirms(&headers(stored), &headers(answer));
    assert!(confirmed(&["etag: \"a\""], &["etag: \"a\""]));
    assert!(confirmed(&["etag: \"a\""], &["etag: W/\"a\""]), "a weak tag matches weakly");
    assert!(!confirmed(&["etag: W/\"a\""], &["etag: \"a\""]), "a strong one does not");
    assert!(!confirmed(&["etag: \"a\""], &["etag: \"b\""]));
    assert!(!confirmed(&[], &["etag: \"b\""]));
    assert!(confirmed(&["etag: \"a\""], &[]));
    assert!(confirmed(&[&format!("last-modified: {OLD}")], &[&format!("last-modified: {OLD}")]));
    assert!(!confirmed(&[&format!("last-modified: {OLD}")], &[&format!("last-modified: {NEW}")]));
}

#[test]
fn a_304_updates_all_but_what_describes_the_stored_body() {
    let stored =
        headers(&["x-a: 1", "x-b: 1", "content-encoding: gzip", "cache-control: max-age=1", "date: x"]);
    let answer = headers(&[
        "x-a: 2",
        "x-a: 3",
        "content-length: 0",
        "content-encoding: br",
        "cache-control: max-age=60",
    ]);
    let updated = updated(&stored, &answer);
    let expected =
        headers(&["x-a: 2", "x-a: 3", "x-b: 1", "content-encoding: gzip", "cache-control: max-age=60"]);
    assert_eq!(updated, expected);
}
