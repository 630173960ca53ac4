//! What selects, and how many variants are kept.

use super::*;
use crate::cache::fixtures::{headers, respect};

fn names(lines: &[&str]) -> Option<Vec<String>> {
    let names = selecting(&headers(lines), Partition::Shared, &respect())?;
    Some(names.iter().map(ToString::to_string).collect())
}

#[test]
fn only_names_outside_the_primary_key_select() {
    assert_eq!(names(&[]), Some(vec![]));
    assert_eq!(names(&["vary: Accept-Encoding, Origin"]), Some(vec![]), "these are in the key anyway");
    assert_eq!(
        names(&["vary: User-Agent,, accept", "vary: Authorization, USER-AGENT"]),
        Some(vec!["authorization".into(), "user-agent".into()])
    );
}

#[test]
fn a_star_in_any_place_matches_nothing() {
    for lines in [
        &["vary: *"][..],
        &["vary: *, *"],
        &["vary: , *"],
        &["vary: foo, *"],
        &["vary: *, foo"],
        &["vary:", "vary: *"],
        &["vary: a b"],
    ] {
        assert_eq!(names(lines), None, "{lines:?}");
    }
}

#[test]
fn markers_gather_names_and_keep_sixteen_variants() {
    let (agent, prefer) = (header::USER_AGENT, HeaderName::from_static("x-request-id"));
    assert_eq!(union(std::slice::from_ref(&prefer), &[agent.clone(), prefer.clone()]), vec![agent, prefer]);
    let variants = Variants::new(b"key", Vec::new());
    for hash in 0..16 {
        assert_eq!(variants.add(hash), None);
    }
    assert_eq!(variants.add(3), None, "it is there already");
    assert_eq!(variants.add(16), Some(0), "the oldest makes room");
    assert_eq!(variants.all().len(), MOST_VARIANTS);
}
