//! The arithmetic of age and lifetime.

use std::time::UNIX_EPOCH;

use super::*;
use crate::cache::fixtures::{headers, seconds};

/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOON: u64 = 784_111_777;

fn wall() -> SystemTime {
    UNIX_EPOCH + seconds(NOON)
}

fn date_line(name: &str, offset: i64) -> String {
    let when = UNIX_EPOCH + seconds(NOON.checked_add_signed(offset).unwrap());
    format!("{name}: {}", httpdate::fmt_http_date(when))
}

fn age(lines: &[&str], delay: u64) -> u64 {
    let now = Instant::now();
    let times = ExchangeTimes { requested: now, received: now + seconds(delay), wall: wall() };
    initial_age(&headers(lines), times).as_secs()
}

fn life(lines: &[&str], shared: bool) -> Option<u64> {
    let map = headers(lines);
    lifetime(&map, &ResponseDirectives::of(&map), shared, wall()).map(|lifetime| lifetime.as_secs())
}

#[test]
fn the_initial_age_is_the_larger_of_apparent_and_corrected() {
    assert_eq!(age(&[], 0), 0);
    assert_eq!(age(&[], 3), 3, "the exchange itself takes time");
    assert_eq!(age(&[&date_line("date", -10)], 3), 10);
    assert_eq!(age(&[&date_line("date", -10), "age: 20"], 3), 23);
    assert_eq!(age(&[&date_line("date", 10), "age: 2"], 0), 2, "a fast clock does not make it younger");
    assert_eq!(age(&["date: yesterday", "age: 2"], 0), 2);
}

#[test]
fn a_broken_age_is_ignored_and_a_huge_one_saturates() {
    for (value, expected) in [
        ("abc", 0),
        ("-7200", 0),
        ("7200.0", 0),
        ("7200;x=1", 0),
        ("", 0),
        ("7200, 0", 7200),
        ("0, 7200", 0),
        (" 7 ", 7),
        ("2147483648", 1 << 31),
        ("99999999999999999999999", 1 << 31),
    ] {
        assert_eq!(age(&[&format!("age: {value}")], 0), expected, "{value}");
    }
    assert_eq!(age(&["age: 7200", "age: 0"], 0), 7200, "the first line counts");
}

#[test]
fn lifetimes_come_from_s_maxage_then_max_age_then_expires() {
    let (date, later) = (date_line("date", 0), date_line("expires", 30));
    assert_eq!(life(&["cache-control: max-age=1, s-maxage=2", &date, &later], true), Some(2));
    assert_eq!(life(&["cache-control: max-age=1", &date, &later], true), Some(1));
    assert_eq!(life(&[&date, &later], true), Some(30));
    assert_eq!(life(&[&later], true), Some(30), "without Date the arrival counts");
    assert_eq!(life(&["date: foo", &later], true), Some(30));
    assert_eq!(life(&[&date_line("date", 400), &date_line("expires", 300)], true), Some(0));
    assert_eq!(life(&[&date_line("last-modified", -1000), &date], true), None, "no heuristics");
    assert_eq!(life(&["cdn-cache-control: foo", &date, &later], true), None, "targeted: no Expires");
}

#[test]
fn a_private_partition_takes_the_shorter_lifetime() {
    assert_eq!(life(&["cache-control: max-age=10, s-maxage=5"], false), Some(5));
    assert_eq!(life(&["cache-control: max-age=5, s-maxage=10"], false), Some(5));
    assert_eq!(life(&["cache-control: s-maxage=10"], false), Some(10));
}

#[test]
fn an_odd_expires_means_stale() {
    for value in [
        "0",
        "-1",
        "",
        "soon",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
    ] {
        assert_eq!(life(&[&format!("expires: {value}")], true), Some(0), "{value}");
    }
    assert_eq!(life(&[&date_line("expires", 30), &date_line("expires", 40)], true), Some(0), "contradiction");
}

#[test]
fn all_three_date_formats_are_read() {
    for value in
        ["Sun, 21 Nov 2286 04:46:39 GMT", "Thursday, 18-Aug-50 02:01:18 GMT", "Thu Aug 18 02:01:18 2050"]
    {
        assert!(life(&[&format!("expires: {value}")], true) > Some(0), "{value}");
    }
}

#[test]
fn a_clock_that_http_cannot_express_gives_no_date() {
    assert_eq!(date_header(wall()).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(date_header(UNIX_EPOCH - seconds(1)), None);
    assert_eq!(date_header(UNIX_EPOCH + seconds(1 << 40)), None);
}
