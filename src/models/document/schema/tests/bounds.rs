//! What values may be: each reader names its bounds when they are passed.

use super::*;
use crate::models::decode::quantity::{show_duration, show_size};

#[test]
fn quantities_have_the_same_bounds() {
    every_value(|probe, kind| match kind {
        Kind::Duration(bounds) => {
            assert_eq!(probe.told(json!("99999999d"), "must be at most "), show_duration(*bounds.end()));
            if !bounds.start().is_zero() {
                assert_eq!(probe.told(json!("0ms"), "must be at least "), show_duration(*bounds.start()));
            }
        }
        Kind::Size(bounds) => {
            assert_eq!(probe.told(json!("17179869183GiB"), "must be at most "), show_size(*bounds.end()));
            if *bounds.start() > 0 {
                assert_eq!(probe.told(json!(0), "must be at least "), show_size(*bounds.start()));
            }
        }
        _ => {}
    });
}

#[test]
fn numbers_have_the_same_bounds() {
    every_value(|probe, kind| match kind {
        Kind::Integer(bounds) => {
            assert_eq!(probe.said(json!(bounds.start())), [""; 0], "{}", probe.path());
            assert_eq!(probe.said(json!(bounds.end())), [""; 0], "{}", probe.path());
            assert_ne!(probe.said(json!(bounds.end() + 1)), [""; 0], "{}", probe.path());
            assert_ne!(probe.said(json!(i64::from(*bounds.start()) - 1)), [""; 0], "{}", probe.path());
            assert!(!probe.said(json!("1")).is_empty(), "{} takes texts", probe.path());
        }
        Kind::Number(most) => {
            assert_eq!(probe.told(json!(1e9), "must be at most "), most.to_string());
            assert_eq!(probe.said(json!(0)), [""; 0], "{}", probe.path());
        }
        Kind::Ratio => {
            assert_eq!(probe.told(json!(1.5), "must be at most "), "1");
            probe.told(json!(0), "must be above 0");
        }
        _ => {}
    });
}

#[test]
fn choices_are_the_same() {
    const UNKNOWN: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    every_value(|probe, kind| match kind {
        Kind::Choice(choices) => {
            assert_eq!(probe.said(json!(choices[0])), [""; 0], "{}", probe.path());
            let told = probe.told(json!(UNKNOWN), "; ");
            let mut known = quoted(&told);
            let mut described = choices.to_vec();
            known.sort_unstable();
            described.sort_unstable();
            // One alone is near whatever is written.
            assert_eq!(described, known, "{}", probe.path());
        }
        Kind::Boolean => _ = probe.told(json!("zz"), "must be `true` or `false`"),
        _ => {}
    });
}

#[test]
fn lists_mappings_and_texts_are_as_long() {
    every_value(|probe, kind| match kind {
        Kind::List { item, least, most } => {
            let name = probe.way.last().unwrap();
            let full = vec![sample(name, item); most + 1];
            assert_eq!(probe.told(json!(full), "at most "), format!("{most} are allowed"));
            let refused = probe.said(json!([])).iter().any(|said| said.starts_with("is empty"));
            assert_eq!(refused, *least > 0, "{}", probe.path());
        }
        Kind::Texts { most, .. } => {
            let full: Map<_, _> = (0..=*most).map(|number| (format!("x-{number}"), json!("a"))).collect();
            assert_eq!(probe.told(full.into(), "at most "), format!("{most} are allowed"));
        }
        Kind::Text(text) => {
            let told = probe.told(json!("a".repeat(text.most + 1)), "at most ");
            let size = told.strip_suffix(" are allowed").unwrap();
            assert!(
                size == text.most.to_string() || size == show_size(text.most as u64),
                "{}: {told}",
                probe.path()
            );
        }
        _ => {}
    });
}

/// Texts that some reader refuses.
const ODD: &[&str] = &[
    "",
    " ",
    "a",
    "A",
    "a b",
    "a\n",
    "\n",
    "a\tb",
    "\u{7f}",
    "\u{85}",
    "ü",
    "日本",
    "*",
    "/",
    "//",
    "a/b",
    "/a b",
    "/ü",
    "/{a}",
    "{",
    "}",
    "sa:",
    "sa:A",
    "sa:*",
    "user:",
    "user:a b",
    "user:Ada@example.com",
    "user:ü",
    "k8s:a/b",
    "any_authenticated",
    "any",
    ":",
    "a:b",
    "http://",
    "http://a",
    "HTTPS://A.example:1/b",
    "ftp://a",
    "https://a b",
    "https://ü",
    "-a",
    "a-",
    "a--b",
    "A.b",
    "a_b",
    "{secret}",
    "Bearer {secret}",
    "{secret}{secret}",
    "\t{secret}",
    "ü{secret}",
    "10.0.0.0/8",
    "fd00::/8",
    "::ffff:10.0.0.0/104",
    "10.0.0.0/999",
    "10/8",
    "\"",
    "\\",
    "[",
    "]",
    "!",
    "#",
    "1",
    "true",
    "null",
    "x-ok",
    "x ok",
    "x\u{0}",
];

#[test]
fn what_a_pattern_does_not_match_no_reader_takes() {
    every_value(|probe, kind| {
        let Kind::Text(text) = kind else { return };
        let pattern =
            jsonschema::validator_for(&json!({ "type": "string", "pattern": text.pattern })).unwrap();
        for odd in ODD {
            if !pattern.is_valid(&json!(odd)) {
                assert_ne!(probe.said(json!(odd)), [""; 0], "{}: {odd:?}", probe.path());
            }
        }
        let good = sample(probe.way.iter().rfind(|piece| **piece != ITEM).unwrap(), kind);
        assert!(pattern.is_valid(&good) && probe.said(good.clone()).is_empty(), "{}: {good}", probe.path());
    });
}
