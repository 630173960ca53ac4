//! What makes two requests the same.

use super::*;
use crate::cache::fixtures::{get, headers, respect};

fn same(left: &RequestView<'_>, right: &RequestView<'_>, policy: &policy::Cache) -> bool {
    let keyer = Keyer::new(&[7; 32]);
    let key = |request| keyer.finish(keyer.draft(request, policy), Moment::default());
    key(left) == key(right)
}

#[test]
fn every_part_of_the_target_counts() {
    let (none, policy) = (HeaderMap::new(), respect());
    let base = get(&none);
    let others = [
        RequestView { https: false, ..base },
        RequestView { host: "api.example.co", ..base },
        RequestView { port: 8443, ..base },
        RequestView { path: "/quotes/2", ..base },
        RequestView { path: "/quotes%2f1", ..base },
        RequestView { query: Some("a=1"), ..base },
        RequestView { operation: "rates/quote", ..base },
        RequestView { partition: Partition::Private(0), ..base },
    ];
    for (place, other) in others.iter().enumerate() {
        assert!(!same(&base, other, &policy), "{place}");
        assert!(same(other, other, &policy));
    }
    assert!(same(&base, &RequestView { method: &Method::HEAD, ..base }, &policy), "HEAD is looked up as GET");
    let (one, two) = (Partition::Private(1), Partition::Private(2));
    assert!(!same(&RequestView { partition: one, ..base }, &RequestView { partition: two, ..base }, &policy));
}

#[test]
fn queries_are_compared_as_sent_unless_the_policy_normalises_them() {
    let none = HeaderMap::new();
    let query = |query| RequestView { query: Some(query), ..get(&none) };
    assert!(!same(&query("a=1&b=2"), &query("b=2&a=1"), &respect()));
    let sorted = policy::Cache { query_sort: true, ..respect() };
    assert!(same(&query("a=1&b=2"), &query("b=2&a=1"), &sorted));
    assert!(!same(&query("a=1&a=2"), &query("a=2&a=1"), &sorted), "the sort is stable");
    let ignoring = policy::Cache { query_ignore: vec!["utm".into()], ..respect() };
    assert!(same(&query("a=1"), &query("utm=x&a=1&utm"), &ignoring));
    assert!(same(&get(&none), &query("utm=x"), &ignoring));
    assert!(!same(&query("a=1"), &query("a=1&utm_x=1"), &ignoring));
}

#[test]
fn a_header_nobody_declared_joins_the_key() {
    let differ = |left: &str, right: &str| {
        let (left, right) = (headers(&[left]), headers(&[right]));
        !same(&get(&left), &get(&right), &respect())
    };
    for name in [
        "x-tenant",
        "stripe-account",
        "cookie",
        "accept",
        "x-forwarded-host",
        "x-api-key",
        "baggage",
        "origin",
    ] {
        assert!(differ(&format!("{name}: 1"), &format!("{name}: 2")), "{name}");
    }
    for name in
        ["user-agent", "traceparent", "x-request-id", "if-none-match", "cache-control", "authorization"]
    {
        assert!(!differ(&format!("{name}: 1"), &format!("{name}: 2")), "{name}");
    }
}

#[test]
fn a_declared_header_joins_even_if_harmless_and_credentials_join_a_private_key() {
    let (left, right) =
        (headers(&["user-agent: 1", "authorization: 1"]), headers(&["user-agent: 2", "authorization: 1"]));
    let declared = policy::Cache { vary: vec![header::USER_AGENT], ..respect() };
    assert!(!same(&get(&left), &get(&right), &declared));
    let (left, right) = (headers(&["authorization: 1"]), headers(&["authorization: 2"]));
    let private = |headers| RequestView { partition: Partition::Private(7), ..get(headers) };
    assert!(!same(&private(&left), &private(&right), &respect()));
}

#[test]
fn order_case_and_space_that_mean_nothing_do_not_count() {
    let pairs: &[(&[&str], &[&str])] = &[
        (&["accept: a", "x-a: 1"], &["x-a: 1", "accept: a"]),
        (&["x-a: 1, 2"], &["x-a: 1", "x-a: 2"]),
        (&["x-a: 1,2"], &["x-a:  1 , 2 "]),
        (&["accept-language: en, de"], &["accept-language: De ,EN"]),
        (&["accept-encoding: GZIP, br"], &["accept-encoding: gzip,br"]),
    ];
    for (left, right) in pairs {
        assert!(same(&get(&headers(left)), &get(&headers(right)), &respect()), "{left:?} {right:?}");
    }
    for (left, right) in [("x-a: \"1, 2\"", "x-a: \"1,2\""), ("x-a: a", "x-a: A"), ("x-a: 1,2", "x-a: 2,1")] {
        assert!(!same(&get(&headers(&[left])), &get(&headers(&[right])), &respect()), "{left} {right}");
    }
}

#[test]
fn a_selection_is_no_primary_key() {
    let (keyer, map, policy) = (Keyer::new(&[7; 32]), headers(&["user-agent: x"]), respect());
    let key = keyer.finish(keyer.draft(&get(&map), &policy), Moment::default());
    let variant = keyer.reselect(&key, &[header::USER_AGENT], &map);
    assert!(variant.is_variant() && !key.is_variant() && variant != key);
    let mut draft = keyer.draft(&get(&map), &policy);
    keyer.select(&mut draft, &[header::USER_AGENT], &map);
    assert_eq!(keyer.finish(draft, Moment::default()), variant);
    assert_eq!(keyer.reselect(&variant, &[], &map), key);
    assert!(!format!("{key:?}").contains("quotes"), "keys may hold credentials");
}
