//! Plain cases compared with `http-cache-semantics`, an evaluator of another origin, where it is right.

use std::time::SystemTime;

use http::{Request, Response};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};

use super::super::fixtures::{World, get, headers};
use super::super::{Lookup, Partition, RequestView};

/// Storable, and fresh at each of these ages?
const AGES: [u64; 5] = [0, 1, 9, 10, 60];

fn theirs(shared: bool, asked: &[&str], lines: &[&str], again: &[&str]) -> Vec<bool> {
    let request = |lines: &[&str]| {
        let mut request = Request::get("https://api.example.com/quotes/1").body(()).unwrap();
        *request.headers_mut() = headers(lines);
        request
    };
    let mut response = Response::new(());
    *response.headers_mut() = headers(lines);
    let options = CacheOptions { shared, cache_heuristic: 0.0, ..CacheOptions::default() };
    let arrived = SystemTime::now();
    let policy = CachePolicy::new_options(&request(asked), &response, arrived, options);
    let at = |age: &u64| arrived + std::time::Duration::from_secs(*age);
    let fresh =
        |age: &u64| matches!(policy.before_request(&request(again), at(age)), BeforeRequest::Fresh(_));
    AGES.iter().map(|age| policy.is_storable() && fresh(age)).collect()
}

fn ours(shared: bool, asked: &[&str], lines: &[&str], again: &[&str]) -> Vec<bool> {
    let partition = if shared { Partition::Shared } else { Partition::Private(1) };
    let (asked, again) = (headers(asked), headers(again));
    let mut world = World::new();
    let start = world.now;
    let stored = world.fetch(&RequestView { partition, ..get(&asked) }, 200, lines).is_ok();
    let mut fresh = |age: &u64| {
        world.now = start + std::time::Duration::from_secs(*age);
        matches!(world.lookup(&RequestView { partition, ..get(&again) }), Lookup::Fresh(_))
    };
    AGES.iter().map(|age| stored && fresh(age)).collect()
}

#[test]
fn plain_cases_agree_with_another_evaluator() {
    let responses: &[&[&str]] = &[
        &["cache-control: max-age=10"],
        &["cache-control: public, max-age=10"],
        &["cache-control: max-age=10, must-revalidate"],
        &["cache-control: s-maxage=10"],
        &["cache-control: max-age=5, s-maxage=5"],
        &["cache-control: no-store, max-age=10"],
        &["cache-control: private, max-age=10"],
        &["cache-control: no-cache, max-age=10", "etag: \"a\""],
        &["cache-control: max-age=0", "etag: \"a\""],
        &["cache-control: max-age=10", "age: 9"],
        &["cache-control: max-age=10", "age: 20", "etag: \"a\""],
        &["cache-control: max-age=10", "expires: 0"],
        &["expires: 0", "etag: \"a\""],
        &["cache-control: max-age=10", "vary: accept"],
        &["cache-control: max-age=10", "vary: *"],
        &["etag: \"a\""],
    ];
    let requests: &[(&[&str], &[&str])] = &[
        (&[], &[]),
        (&["accept: a"], &["accept: a"]),
        (&["accept: a"], &["accept: a", "cache-control: max-age=5"]),
        (&[], &["cache-control: min-fresh=5"]),
        (&[], &["cache-control: no-cache"]),
        (&["cache-control: max-age=60"], &["cache-control: max-age=60"]),
    ];
    for shared in [true, false] {
        for (lines, (asked, again)) in
            responses.iter().flat_map(|lines| requests.iter().map(move |pair| (lines, pair)))
        {
            // It takes `s-maxage` for nothing in a private cache; we take it for a bound.
            if !shared && lines[0].contains("s-maxage=10") {
                continue;
            }
            let (ours, theirs) = (ours(shared, asked, lines, again), theirs(shared, asked, lines, again));
            assert_eq!(ours, theirs, "shared {shared}, {asked:?} then {again:?}, {lines:?}");
        }
    }
}
