//! `CDN-Cache-Control` as a structured field.

use super::*;
use crate::cache::fixtures::{headers, seconds};

#[test]
fn a_valid_field_replaces_cache_control() {
    let map = headers(&["cache-control: no-store", "cdn-cache-control: foobar, max-age=3600;x=1, private"]);
    let directives = ResponseDirectives::of(&map);
    assert_eq!(
        (directives.max_age, directives.private, directives.no_store),
        (Some(seconds(3600)), true, false)
    );
}

#[test]
fn fields_are_structured_dictionaries() {
    let of = |value: &str| directives(&headers(&[&format!("cdn-cache-control: {value}")]));
    assert_eq!(
        of("max-age=1, max-age=60").unwrap().max_age,
        Some(seconds(60)),
        "the last of equal keys wins"
    );
    assert_eq!(of("max-age=99999999999").unwrap().max_age, Some(seconds(1 << 31)));
    assert_eq!(of("max-age=-1").unwrap().max_age, Some(seconds(0)));
    assert!(!of("no-store=?0, max-age=1").unwrap().no_store);
    assert!(of("no-cache=\"a\", x=(a \"b\";c 1.5), y=:YQ==:, z=@17, d=%\"a\"").unwrap().no_cache);
    let lines =
        headers(&["cdn-cache-control: max-age=60", "cdn-cache-control:", "cdn-cache-control: no-cache"]);
    assert!(directives(&lines).unwrap().no_cache);
}

#[test]
fn an_empty_or_invalid_field_counts_as_absent() {
    for value in [
        "",
        "max-age=60, &&&&",
        "max-age=\"60\"",
        "max-age=60.0",
        "max-age",
        "MaX-aGe=60",
        "max-age =60",
        "max-age= 60",
        "max-age=60,",
        ", max-age=60",
        "a=\"b",
        "a=(b",
        "a=(b\"c\")",
        "a=?2",
        "a=:YQ",
        "a=1.",
        "a=1234567890123456",
        "a=-",
        "a=\"\\n\"",
        "a=@x",
    ] {
        assert_eq!(directives(&headers(&[&format!("cdn-cache-control: {value}")])), None, "{value}");
    }
}
