//! Durations, sizes, numbers and the nearest name.

use std::time::Duration;

use super::quantity::{parse_duration, show_duration, show_size};
use super::text::suggestion;
use super::*;
use crate::models::node;

/// Reads `text` as the value of one field, and what was said of it.
fn read<T>(text: &str, read: impl FnOnce(&Place<'_>) -> Option<T>) -> Result<T, String> {
    let document = node::parse("f", text).remove(0);
    let value = read(&Place::root(&document.report, document.root.as_ref().unwrap()));
    let faults = document.report.into_faults(None);
    match (value, &faults[..]) {
        (Some(value), []) => Ok(value),
        (None, [fault]) => Err(fault.reason.clone()),
        _ => panic!("{text}: {faults:?}"),
    }
}

#[test]
fn durations_have_a_unit() {
    for (text, milliseconds) in [
        ("250ms", 250),
        ("2s", 2000),
        ("1.5s", 1500),
        ("0.25h", 900_000),
        ("5m", 300_000),
        ("7d", 604_800_000),
    ] {
        assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in [
        "",
        "s",
        "ms",
        "2",
        "-2s",
        "+2s",
        "2 s",
        "2S",
        "1e3s",
        ".5s",
        "1.s",
        "1.5.0s",
        "2sec",
        "0x2s",
        "9999999999s",
        "999999999d",
    ] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

#[test]
fn durations_and_sizes_are_shown_as_they_are_written() {
    let shown = |milliseconds| show_duration(Duration::from_millis(milliseconds));
    assert_eq!(
        [0, 1, 1500, 2000, 60_000, 90_000, 3_600_000, 86_400_000].map(shown),
        ["0ms", "1ms", "1500ms", "2s", "1m", "90s", "1h", "1d"]
    );
    assert_eq!(
        [0, 1000, 2048, 3 << 20, 1 << 30].map(show_size),
        ["0 bytes", "1000 bytes", "2KiB", "3MiB", "1GiB"]
    );
}

#[test]
fn sizes_are_bytes_or_powers_of_1024() {
    for (text, bytes) in [("0", 0), ("1024", 1024), ("64KiB", 65_536), ("10MiB", 10 << 20), ("2GiB", 2 << 30)]
    {
        assert_eq!(read(text, |place| place.size(0..=u64::MAX)), Ok(bytes), "{text}");
    }
    for text in ["64KB", "1.5MiB", "-1", "KiB", "99999999999999999999", "99999999999GiB"] {
        assert!(read(text, |place| place.size(0..=u64::MAX)).is_err(), "{text}");
    }
}

#[test]
fn numbers_are_not_texts_and_texts_are_not_numbers() {
    assert_eq!(read("3", |place| place.integer(0..=9)), Ok(3));
    for text in ["'3'", "3.0", "0x3", "+3", "-3", "1e1", "three", "99999999999999999999"] {
        assert!(read(text, |place| place.integer(0..=u64::MAX)).is_err(), "{text}");
    }
    for text in ["3", "-1.5", "+2", "1e3", "0x1F", "0o7", ".inf", ".NaN", "true", "False"] {
        let refused = read(text, |place| place.text(99).map(str::to_owned));
        assert_eq!(refused, Err("must be a text; put it in quotes".to_owned()), "{text}");
        assert!(read(&format!("'{text}'"), |place| place.text(99).map(str::to_owned)).is_ok());
    }
    for text in ["yes", "off", "1.2.3", "0xg", "2024-01-01", "inf", "nan", "1_000", "'{}'"] {
        assert!(read(text, |place| place.text(99).map(str::to_owned)).is_ok(), "{text}");
    }
    assert_eq!(read("0.5", |place| place.number(0.0..=1.0)), Ok(0.5));
    assert_eq!(read("1e-1", |place| place.number(0.0..=1.0)), Ok(0.1));
}

#[test]
fn the_nearest_name_is_proposed_only_when_it_is_near() {
    let names = ["timeout", "retry", "breaker", "idleBody", "off"];
    for (wrong, right) in [
        ("timeuot", "timeout"),
        ("retrys", "retry"),
        ("Breaker", "breaker"),
        ("idle_body", "idleBody"),
        ("of", "off"),
    ] {
        assert_eq!(suggestion(wrong, &names), format!("did you mean `{right}`?"));
    }
    for wrong in ["circuit", "xyz"] {
        assert!(suggestion(wrong, &names).starts_with("use one of `timeout`, "), "{wrong}");
    }
    assert!(suggestion(&"a".repeat(100_000), &names).starts_with("use one of "));
}
