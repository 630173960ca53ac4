//! Every spelling of `Cache-Control`.

use super::*;
use crate::cache::fixtures::{headers, seconds};

fn response(lines: &[&str]) -> ResponseDirectives {
    ResponseDirectives::of(&headers(lines))
}

#[test]
fn max_age_is_read_in_every_spelling() {
    let cases: &[(&[&str], Option<u64>)] = &[
        (&["cache-control: max-age=60"], Some(60)),
        (&["cache-control: MaX-aGe=60"], Some(60)),
        (&["cache-control: max-age=\"60\""], Some(60)),
        (&["cache-control: max-age=0060"], Some(60)),
        (&["cache-control: public ,, max-age=60 , foo=bar"], Some(60)),
        (&["cache-control: max-age=60, max-age=60"], Some(60)),
        (&["cache-control: foo", "cache-control: max-age=60"], Some(60)),
        (&["cache-control: max-age=2147483648"], Some(1 << 31)),
        (&["cache-control: max-age=99999999999999999999999999"], Some(1 << 31)),
        (&["cache-control: max-age=1, x=\"max-age=60\""], Some(1)),
        (&["cache-control: x=\"a \\\" b, max-age=60\", max-age=1"], Some(1)),
        (&["cache-control: maxage=60"], None),
        (&["expires: 0"], None),
    ];
    for (lines, expected) in cases {
        assert_eq!(response(lines).max_age, expected.map(seconds), "{lines:?}");
    }
}

#[test]
fn a_malformed_or_contradictory_max_age_is_zero() {
    for value in [
        "max-age",
        "max-age=",
        "max-age=-1",
        "max-age=60.5",
        "max-age=a60",
        "max-age=60a",
        "max-age='60'",
        "max-age =60",
        "max-age= 60",
        "max-age=60, max-age=1",
        "max-age=1, max-age=60",
        "max-age=1, max-age=1, max-age=2",
    ] {
        let directives = response(&[&format!("cache-control: {value}")]);
        assert_eq!(directives.max_age, Some(Duration::ZERO), "{value}");
    }
}

#[test]
fn what_restricts_counts_however_it_is_written() {
    for value in
        ["no-store", "No-StOrE", "no-store=1", "no-store=\"x\"", "max-age=60,no-store", "a=\"b,c\",no-store"]
    {
        assert!(response(&[&format!("cache-control: {value}")]).no_store, "{value}");
    }
    assert!(response(&["cache-control: Private=\"set-cookie\""]).private);
    assert!(response(&["cache-control: NO-CACHE=\"a, b\""]).no_cache);
    assert!(response(&["cache-control: must-revalidate, proxy-revalidate"]).must_revalidate);
}

#[test]
fn an_unterminated_quote_hides_nothing_and_forbids_storing() {
    let directives = response(&["cache-control: x=\"a, private, max-age=60"]);
    assert!(directives.no_store && directives.private);
}

#[test]
fn bytes_that_are_no_text_do_not_matter() {
    let mut map = headers(&["cache-control: max-age=60"]);
    map.append("cache-control", http::HeaderValue::from_bytes(b"\xff\xfe, private").unwrap());
    let directives = ResponseDirectives::of(&map);
    assert_eq!((directives.max_age, directives.private), (Some(seconds(60)), true));
}

#[test]
fn request_directives_are_read() {
    let of = |value: &str| RequestDirectives::of(&headers(&[&format!("cache-control: {value}")]));
    assert!(of("No-Cache").no_cache && of("no-store").no_store && of("only-if-cached").only_if_cached);
    assert_eq!(of("max-age=5").max_age, Some(seconds(5)));
    assert_eq!(of("max-age=x").max_age, Some(Duration::ZERO));
    assert_eq!(of("min-fresh=5").min_fresh, Some(seconds(5)));
    assert_eq!(of("min-fresh=x").min_fresh, Some(LONGEST));
    assert_eq!(of("max-stale").max_stale, Some(LONGEST));
    assert_eq!(of("max-stale=5").max_stale, Some(seconds(5)));
    assert_eq!(of("max-stale=-5").max_stale, Some(Duration::ZERO));
}

#[test]
fn pragma_counts_only_without_cache_control() {
    assert!(RequestDirectives::of(&headers(&["pragma: foo, No-Cache"])).no_cache);
    assert!(!RequestDirectives::of(&headers(&["pragma: no-cache", "cache-control: max-age=5"])).no_cache);
}
